"""What a refiner does with the candidates it is shown: copies one, follows their vote, or minds their order.

>>> copies("so it is 7", "well, so it is 7")
False
>>> copies("first we add, then we halve, and so it is 7", "first we add, then we halve, and so it is 7 .")
True
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from gsr_dagster.method.scoring.intervals import Interval, bootstrap_mean
from gsr_dagster.method.voting import vote_winner

COPIED_SHARE = 0.9
BASE, PRIME = 1_000_003, 2**61 - 1


@dataclass(frozen=True)
class Refinement:
    """A refinement beside the candidates it was shown: summaries, None without one, and answer classes.

    The classes of both are numbered together. ``correct_class`` is the gold's.
    """

    problem_id: str
    summary: str | None
    answer_class: Hashable | None
    shown: tuple[str | None, ...]
    shown_classes: tuple[Hashable | None, ...]
    correct_class: Hashable
    truncated: bool

    @property
    def winner(self) -> Hashable | None:
        return vote_winner(self.shown_classes)


def refiner_diagnostics(refinements: Sequence[Refinement], seed: int) -> dict[str, Interval | None]:
    """Return rates, 0..1, with intervals over problems; None where no refinement can tell.

    ``copies``: the summary is one of those shown, nearly word for word. ``keeps_an_answer``:
    its answer is one of theirs. ``follows_majority``: its answer is that of the vote, of
    the groups whose vote has one winner; ``..._right`` and ``..._wrong`` of those where
    the winner is right, or wrong. ``truncated``: the token limit cut it off.
    ``unclosed_thinking``: the thinking never ended, so there is no summary.
    """
    voted = [r for r in refinements if r.winner is not None]
    return {
        "copies": _rate(refinements, lambda r: copies(r.summary, *r.shown), seed),
        "keeps_an_answer": _rate(refinements, lambda r: r.answer_class in set(r.shown_classes) - {None}, seed),
        "follows_majority": _rate(voted, follows, seed),
        "follows_majority_right": _rate([r for r in voted if r.winner == r.correct_class], follows, seed),
        "follows_majority_wrong": _rate([r for r in voted if r.winner != r.correct_class], follows, seed),
        "truncated": _rate(refinements, lambda r: r.truncated, seed),
        "unclosed_thinking": _rate(refinements, lambda r: r.summary is None, seed),
    }


def follows(refinement: Refinement) -> bool:
    """Return whether the refinement's answer is the one that wins the vote."""
    return refinement.answer_class == refinement.winner


def copies(text: str | None, *candidates: str | None) -> bool:
    """Return whether a text shares with one of the candidates an unbroken run of words as long as 0.9 of the longer one.

    Words are what white space divides. A text without words copies nothing.
    """
    words = (text or "").split()
    return any(_share_a_run(words, (candidate or "").split()) for candidate in candidates)


def _share_a_run(words: Sequence[str], others: Sequence[str]) -> bool:
    run = ceil(COPIED_SHARE * max(len(words), len(others)))
    if not run or run > min(len(words), len(others)):
        return False
    inside = _spaced(others)
    # The words that every such run holds, where there are any, decide most cases at once.
    if _spaced(words[len(words) - run : run]) not in inside:
        return False
    numbers: dict[str, int] = {}
    first, second = ([numbers.setdefault(word, len(numbers) + 1) for word in text] for text in (words, others))
    return not set(_hashed_runs(first, run)).isdisjoint(_hashed_runs(second, run))


def order_changes(
    before: Mapping[str, Hashable | None],
    other_order: Mapping[str, Hashable | None],
    same_order: Mapping[str, Hashable | None],
    problem_of: Mapping[str, str],
    seed: int,
) -> dict[str, Interval]:
    """Return how often a group's answer is another one when it is refined again: in another order, in the same.

    The mappings are by group, the first three to answer classes, None without an answer.
    Sampling alone changes answers too, so the order counts by the ``difference``. Raises
    ValueError where the groups differ, or there is none.
    """
    if not before.keys() == other_order.keys() == same_order.keys():
        raise ValueError("the orders were refined on different groups")
    problems = [problem_of[group] for group in before]
    other = [float(before[group] != other_order[group]) for group in before]
    same = [float(before[group] != same_order[group]) for group in before]
    return {
        "other_order": bootstrap_mean(problems, other, seed),
        "same_order": bootstrap_mean(problems, same, seed),
        "difference": bootstrap_mean(problems, [o - s for o, s in zip(other, same, strict=True)], seed),
    }


def _hashed_runs(words: Sequence[int], run: int) -> Iterator[int]:
    """Yield a hash of every run of so many words, in time that grows with the text alone (Karp and Rabin 1987)."""
    highest = pow(BASE, run, PRIME)
    value = 0
    for place, word in enumerate(words):
        value = (value * BASE + word - (words[place - run] * highest if place >= run else 0)) % PRIME
        if place >= run - 1:
            yield value


def _spaced(words: Sequence[str]) -> str:
    return " ".join(["", *words, ""])


def _rate(refinements: Sequence[Refinement], counts: Callable[[Refinement], bool], seed: int) -> Interval | None:
    if not refinements:
        return None
    return bootstrap_mean([r.problem_id for r in refinements], [float(counts(r)) for r in refinements], seed)
