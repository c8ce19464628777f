"""The nearest of the names that there are, for one that there is not."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches


def nearest(name: str, names: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the name that is most like another one; None where none is.

    >>> nearest("math_train", ["math-train", "math500"])
    'math-train'
    """
    known = {one.lower(): one for one in names}
    found = get_close_matches(name.lower(), known, n=1, cutoff=likeness)
    return known[found[0]] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the question for the nearest of these names, "" where none is near."""
    found = nearest(name, names)
    return f": did you mean {found}?" if found else ""


def which(name: str, names: Collection[str]) -> str:
    """Return the question for the nearest of these names, and all that there are."""
    near, known = did_you_mean(name, names), ", ".join(names)
    return f"{near} There are {known}" if near else f"; there are {known}"
