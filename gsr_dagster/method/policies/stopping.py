"""When to stop sampling candidates of a problem: rules that look at the votes so far (arXiv 2305.11860).

>>> leads_half([3, 1]), round(leads([3, 1, 1]), 4)
(0.8125, 0.6977)
>>> decided([3, 1], left=1), decided([3, 1], left=2)
(True, False)
"""

import random
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb, fsum, lgamma
from typing import Literal

import numpy as np

from gsr_dagster.method.voting import majority_vote

StoppingRule = Literal["beta", "dirichlet", "decided"]
# Part of every fingerprint: change it with the rules.
STOPPING_VERSION = "1"
# The orders in which a problem's candidates might have come.
ORDERS = 16
# The confidence at which a rule stops, besides the one that is asked for.
CONFIDENCES = (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
# As many classes as the authors' Dirichlet rule looks at, the largest first.
MOST_CLASSES = 5
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)


@dataclass(frozen=True)
class Stopped:
    """What a rule makes of a problem, on average over the orders of its candidates.

    ``correct`` is the vote at the stop, 0..1, ``samples`` and ``tokens`` what was drawn until then.
    ``confidence`` is None of a rule that has none.
    """

    rule: StoppingRule
    confidence: float | None
    correct: float
    samples: float
    tokens: float


def leads_half(votes: Sequence[int]) -> float:
    """Return how probable it is that the leading answer has more than half of what the two leading ones will get.

    P(p > 1/2) with p ~ Beta(a + 1, b + 1), for the counts a and b of the two leading answers:
    a sum of binomials. The stopping rule "Beta" of arXiv 2305.11860.
    """
    first, second = _two_largest(votes)
    rest = first + second + 1
    return sum(comb(rest, place) for place in range(first + 1)) / 2**rest


def leads(votes: Sequence[int]) -> float:
    """Return how probable it is that the leading answer is the most frequent of the answers seen.

    P(p_1 > p_j for every j) with p ~ Dirichlet(counts + 1), over the five leading answers: the
    stopping rule "Dirichlet" of arXiv 2305.11860, by quadrature where its authors draw. Of one
    answer or two it is ``leads_half``.
    """
    if len(votes) < 3:
        return leads_half(votes)
    return _leads(tuple(sorted(votes, reverse=True)[:MOST_CLASSES]))


@lru_cache(maxsize=200_000)
def _leads(votes: tuple[int, ...]) -> float:
    # The p are gammas over their sum: the first is the largest where its gamma is.
    shape = votes[0] + 1
    spread = 12 * shape**0.5 + 40
    low, high = max(0.0, shape - spread), shape + spread
    points = low + (NODES + 1) * (high - low) / 2
    below = np.prod([_gamma_below(count + 1, points) for count in votes[1:]], axis=0)
    density = np.exp((shape - 1) * np.log(points) - points - lgamma(shape))
    return float((WEIGHTS * density * below).sum() * (high - low) / 2)


def _gamma_below(shape: int, points: np.ndarray) -> np.ndarray:
    """Return P(X < x) of gammas of a whole ``shape`` at points above 0."""
    terms = [np.exp(n * np.log(points) - points - lgamma(n + 1)) for n in range(shape)]
    return np.clip(1 - np.sum(terms, axis=0), 0, 1)


def decided(votes: Sequence[int], left: int) -> bool:
    """Return whether so many more votes cannot change the winner, nor tie it."""
    first, second = _two_largest(votes)
    return first - second > left


def stopped(
    classes: Sequence[Hashable | None],
    tokens: Sequence[int],
    correct: Hashable | None,
    points: Sequence[tuple[StoppingRule, float | None]],
    seed: str,
) -> list[Stopped]:
    """Return what each (rule, confidence) makes of a problem's candidates, one after the other in ORDERS orders.

    ``classes`` holds the answer class of each candidate, None where it has no answer and does not
    vote. A rule that never stops takes all of them.
    """
    found: dict[tuple[StoppingRule, float | None], list[tuple[float, int, int]]] = {point: [] for point in points}
    for order in range(ORDERS):
        places = list(range(len(classes)))
        random.Random(f"{seed}:{order}").shuffle(places)
        votes = [classes[place] for place in places]
        curves: dict[StoppingRule, list[float]] = {rule: list(_curve(votes, rule)) for rule in dict(points)}
        spent = np.cumsum([tokens[place] for place in places])
        for rule, confidence in points:
            line = 1.0 if confidence is None else confidence
            at = next((n for n, value in enumerate(curves[rule], start=1) if value >= line), len(votes))
            found[rule, confidence].append((majority_vote(votes[:at], correct), at, int(spent[at - 1])))
    # The orders are a power of two and their sum is exact: a mean of equal votes is that vote.
    return [
        Stopped(*point, *(fsum(values) / ORDERS for values in zip(*drawn, strict=True)))
        for point, drawn in found.items()
    ]


def _curve(votes: Sequence[Hashable | None], rule: StoppingRule) -> Iterator[float]:
    """Yield a rule's confidence after each vote."""
    counts: Counter[Hashable] = Counter()
    for number, vote in enumerate(votes, start=1):
        if vote is not None:
            counts[vote] += 1
        so_far = [*counts.values()]
        if not so_far:
            yield 0.0
        elif rule == "decided":
            yield float(decided(so_far, len(votes) - number))
        else:
            yield (leads if rule == "dirichlet" else leads_half)(so_far)


def _two_largest(votes: Sequence[int]) -> tuple[int, int]:
    first, second, *_ = [*sorted(votes, reverse=True), 0, 0]
    return first, second
