"""Which words of a refinement stand in which candidate: runs that both share, marked by the candidate.

>>> shared_runs("so 3 + 4 = 7 in all", ["we add: 3 + 4 = 7", "no idea"])
[('so ', None), ('3 + 4 = 7', 0), (' in all', None)]
"""

import re
from collections import defaultdict
from collections.abc import Sequence

# A shorter run is chance: "the answer is" stands in every text.
SHORTEST_RUN = 4
# So many places of a run's first words are tried. Texts that go in circles have thousands.
MOST_PLACES = 50

Marked = tuple[str, int | None]


def shared_runs(text: str, candidates: Sequence[str]) -> list[Marked]:
    """Return a text in pieces, each with the index of the candidate that holds it, None for what is the text's own.

    A piece of a candidate is a run of SHORTEST_RUN words or more, the longest that begins at its place; the first
    candidate that holds it counts. Words are what white space divides. The pieces together are the text.
    """
    words = list(re.finditer(r"\S+", text))
    spoken = [word[0] for word in words]
    others = [candidate.split() for candidate in candidates]
    places: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for candidate, other in enumerate(others):
        for start in range(len(other) - SHORTEST_RUN + 1):
            places[tuple(other[start : start + SHORTEST_RUN])].append((candidate, start))
    pieces, written, place = list[Marked](), 0, 0
    while place < len(words):
        found = places.get(tuple(spoken[place : place + SHORTEST_RUN]), ())[:MOST_PLACES]
        length, candidate = max(
            ((_run(spoken, place, others[one], start), -one) for one, start in found), default=(0, 0)
        )
        if not length:
            place += 1
            continue
        begin, end = words[place].start(), words[place + length - 1].end()
        pieces += [(text[written:begin], None), (text[begin:end], -candidate)]
        written, place = end, place + length
    return [piece for piece in [*pieces, (text[written:], None)] if piece[0]]


def _run(words: Sequence[str], place: int, others: Sequence[str], start: int) -> int:
    """Return how many words from two places on are the same."""
    length = 0
    while (
        place + length < len(words) and start + length < len(others) and words[place + length] == others[start + length]
    ):
        length += 1
    return length
