"""How sure a model was of the tokens it drew, and votes that weigh candidates by it (DeepConf, arXiv 2508.15260).

The confidence of a token is minus the mean log-probability of the likeliest tokens in its place: where a model
hesitates between many it is low.

>>> trace = trace_confidence([2.0, 4.0, 1.0, 3.0], window=2)
>>> trace.mean, trace.tail, trace.lowest, trace.minima
(2.5, 2.0, 2.0, ((2, 3.0), (3, 2.5), (4, 2.0)))
>>> weighted_vote(["7", "9", "9"], [5.0, 1.0, 2.0], correct="7")
1.0
"""

import random
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal

import numpy as np

from gsr_dagster.method.policies.stopping import ORDERS

Measure = Literal["mean", "tail", "bottom", "lowest"]
MEASURES: tuple[Measure, ...] = ("mean", "tail", "bottom", "lowest")
# Part of every fingerprint: change it with what is measured.
CONFIDENCE_VERSION = "1"
BOTTOM = 0.1  # of the windows, those with the lowest confidence
MOST_THOUSANDTHS = 2**16 - 1


@dataclass(frozen=True)
class TraceConfidence:
    """The confidence of one candidate's tokens, in nats.

    ``mean`` of all tokens; ``tail`` of the last window; ``bottom`` of the tenth of the windows that
    has the lowest; ``lowest`` of the lowest window. A window is so many tokens in a row; a shorter
    text is its own. ``minima`` are the windows that are lower than all before, each as the tokens up
    to its end and its mean; none of a text shorter than a window.
    """

    mean: float
    tail: float
    bottom: float
    lowest: float
    minima: tuple[tuple[int, float], ...] = ()

    def stopped_at(self, bar: float) -> int | None:
        """Return after how many tokens a window falls under a bar, None where none does."""
        return next((tokens for tokens, value in self.minima if value < bar), None)


@dataclass(frozen=True)
class StoppedTraces:
    """What stopping unsure candidates makes of a problem: its vote, 0..1, and what was drawn until then."""

    correct: float
    samples: float
    tokens: float


def token_confidence(likeliest: Sequence[float]) -> float:
    """Return minus the mean of the log-probabilities of the likeliest tokens in a place, in nats (arXiv 2508.15260)."""
    return -sum(likeliest) / len(likeliest)


def thousandths(confidences: Sequence[float]) -> list[int]:
    """Return the confidences of tokens as they are stored: in whole thousandths of a nat, 0 to 65.535."""
    return [min(max(round(1000 * one), 0), MOST_THOUSANDTHS) for one in confidences]


def in_nats(stored: Sequence[int]) -> list[float]:
    """Return the confidences of tokens, in nats, as ``thousandths`` stored them."""
    return [one / 1000 for one in stored]


def trace_confidence(confidences: Sequence[float] | np.ndarray, window: int) -> TraceConfidence:
    """Return the confidence of a candidate by that of its tokens. A candidate without tokens has 0."""
    values = np.asarray(confidences, dtype=float)
    if not len(values):
        return TraceConfidence(0.0, 0.0, 0.0, 0.0)
    mean, tail = float(values.mean()), float(values[-window:].mean())
    if len(values) < window:
        return TraceConfidence(mean, tail, mean, mean)
    sums = np.concatenate([[0.0], values.cumsum()])
    windows = (sums[window:] - sums[:-window]) / window
    fewest = max(1, int(len(windows) * BOTTOM))
    bottom = float(np.partition(windows, fewest - 1)[:fewest].mean())
    new = np.flatnonzero(windows < np.concatenate([[np.inf], np.minimum.accumulate(windows)[:-1]]))
    return TraceConfidence(
        mean, tail, bottom, float(windows.min()), tuple((int(at) + window, float(windows[at])) for at in new)
    )


def weighted_vote(classes: Sequence[Hashable | None], weights: Sequence[float], correct: Hashable | None) -> float:
    """Return the probability, 0..1, that the class with the most weight is the correct one; ties share it.

    A candidate whose class is None has no answer and does not vote.
    """
    votes: dict[Hashable, list[float]] = defaultdict(list)
    for one, weight in zip(classes, weights, strict=True):
        if one is not None:
            votes[one].append(weight)
    if not votes or correct is None:
        return 0.0
    totals = {one: fsum(given) for one, given in votes.items()}
    leaders = [one for one, total in totals.items() if total == max(totals.values())]
    return (correct in leaders) / len(leaders)


def surest(classes: Sequence[Hashable | None], weights: Sequence[float], keep: float) -> list[Hashable | None]:
    """Return the classes with those of unsure candidates as None: kept is the share ``keep``, 0..1, of the surest.

    By the percentile of the weights of all that have an answer, and what is on it is kept.
    """
    answered = [weight for one, weight in zip(classes, weights, strict=True) if one is not None]
    if not answered:
        return list(classes)
    line = np.percentile(answered, (1 - keep) * 100)
    return [one if weight >= line else None for one, weight in zip(classes, weights, strict=True)]


def stopped_traces(
    classes: Sequence[Hashable | None],
    tokens: Sequence[int],
    traces: Sequence[TraceConfidence],
    correct: Hashable | None,
    warm_up: int,
    keep: float,
    consensus: float | None,
    seed: str,
) -> StoppedTraces:
    """Return what a problem's candidates give where unsure ones are stopped, on average over ORDERS orders.

    The first ``warm_up`` are drawn whole; the lowest windows of the surest ``keep`` of them set the
    bar. Each later one is stopped where a window falls under it, and has no vote. Nothing more is
    drawn once the leading answer has the share ``consensus`` of the votes, by their lowest windows;
    with None all are drawn.
    """
    drawn = []
    for order in range(ORDERS):
        places = list(range(len(classes)))
        random.Random(f"{seed}:{order}").shuffle(places)
        first, later = places[:warm_up], places[warm_up:]
        bar = float(np.percentile([traces[place].lowest for place in first], (1 - keep) * 100))
        voting = [place for place in first if traces[place].lowest >= bar]
        spent, samples = sum(tokens[place] for place in first), len(first)
        for place in later:
            if consensus is not None and _agree(classes, traces, voting) >= consensus:
                break
            samples += 1
            stop = traces[place].stopped_at(bar)
            spent += tokens[place] if stop is None else stop
            voting += [place] if traces[place].lowest >= bar else []
        vote = weighted_vote([classes[place] for place in voting], [traces[place].lowest for place in voting], correct)
        drawn.append((vote, samples, spent))
    return StoppedTraces(*(fsum(values) / ORDERS for values in zip(*drawn, strict=True)))


def _agree(classes: Sequence[Hashable | None], traces: Sequence[TraceConfidence], voting: Sequence[int]) -> float:
    """Return the share of the votes, by their weight, that the leading answer has; 0 where nobody votes."""
    totals: dict[Hashable, float] = defaultdict(float)
    for place in voting:
        if (one := classes[place]) is not None:
            totals[one] += traces[place].lowest
    whole = sum(totals.values())
    return max(totals.values()) / whole if whole else 0.0
