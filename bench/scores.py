"""Speed of the scores and of the bootstrap: `python -m bench.scores`. Ratios of one run; single times mean little."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from gsr_dagster.method.scoring.intervals import DRAWS, bootstrap_mean
from gsr_dagster.method.scoring.scores import Graded, binomials, pool_scores

PROBLEMS, SAMPLES = 1000, 64
DRAWN_PREFIXES = 100
PROBLEMS_OF_THE_LOOP = 10  # the loop's time a problem is scaled up: all of them would take minutes
BENCHMARK = 675


def pool(rng: random.Random) -> list[Graded]:
    """Return the samples of a problem: a share of correct ones, wrong ones over a long tail of classes, few blanks."""
    share = rng.betavariate(0.7, 0.7)
    wrong = [rng.expovariate(1) for _ in range(20)]
    samples = []
    for _ in range(SAMPLES):
        if rng.random() < share:
            samples.append(Graded(True, 0, 1))
        else:
            answer = rng.choices(range(1, 21), weights=wrong)[0]
            samples.append(Graded(False, None if rng.random() < 0.05 else answer, 1))
    return samples


def drawn_prefixes(samples: list[Graded], rng: random.Random) -> tuple[list[float], list[float]]:
    """What other tools do: shuffle, and look at the first k, again and again."""
    passed, voted = [0.0] * SAMPLES, [0.0] * SAMPLES
    for _ in range(DRAWN_PREFIXES):
        drawn = rng.sample(samples, SAMPLES)
        for k in range(1, SAMPLES + 1):
            passed[k - 1] += any(s.correct for s in drawn[:k]) / DRAWN_PREFIXES
            votes = Counter(s.answer_class for s in drawn[:k] if s.answer_class is not None)
            voted[k - 1] += bool(votes) and votes.most_common(1)[0][0] == 0 and 1 / DRAWN_PREFIXES
    return passed, voted


def loop_of_draws(refined: np.ndarray, vote: np.ndarray) -> tuple[float, float]:
    """Draw problems with numpy, one bootstrap sample after the other; (problems, groups) each."""
    rng = np.random.default_rng(0)
    gaps = np.empty(DRAWS)
    for draw in range(DRAWS):
        drawn = rng.integers(0, len(refined), len(refined))
        gaps[draw] = refined[drawn].mean() - vote[drawn].mean()
    low, high = np.percentile(gaps, [2.5, 97.5])
    return float(low), float(high)


def seconds(work: Callable[[], Any], rounds: int = 3) -> tuple[float, Any]:
    """Return the best time of some rounds, and what the last one returned."""
    times, result = [], None
    for _ in range(rounds):
        started = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - started)
    return min(times), result


def main() -> None:
    """Measure and print both ratios."""
    rng = random.Random(0)
    pools = [pool(rng) for _ in range(PROBLEMS)]
    binomials(SAMPLES)
    ours, exact = seconds(lambda: [pool_scores(samples) for samples in pools], rounds=1)
    few = pools[:PROBLEMS_OF_THE_LOOP]
    theirs, drawn = seconds(lambda: [drawn_prefixes(samples, rng) for samples in few], rounds=1)
    theirs *= PROBLEMS / PROBLEMS_OF_THE_LOOP
    off = max(float(np.abs(np.array(d[1]) - e[1]).max()) for d, e in zip(drawn, exact, strict=False))
    print(f"pass@k and maj@k, {PROBLEMS} problems x {SAMPLES} samples, every k:")
    print(f"  exact {ours:.2f} s; {DRAWN_PREFIXES} drawn prefixes {theirs:.1f} s, {theirs / ours:.0f} times that;")
    print(f"  one drawn prefix a k {theirs / DRAWN_PREFIXES / ours:.1f} times; drawn votes are off by up to {off:.2f}")

    spread = np.random.default_rng(0)
    for groups in (1, 4):
        hard = spread.random((BENCHMARK, 1))
        refined = (spread.random((BENCHMARK, groups)) > hard).astype(float)
        vote = spread.choice([0, 0.5, 1], (BENCHMARK, groups))
        problems = [f"p{number}" for number in range(BENCHMARK) for _ in range(groups)]
        gaps = [float(value) for value in (refined - vote).ravel()]
        ours, interval = seconds(lambda p=problems, g=gaps: bootstrap_mean(p, g, seed=0))
        theirs, (low, high) = seconds(lambda r=refined, v=vote: loop_of_draws(r, v))
        print(
            f"bootstrap, {DRAWS:,} draws, {BENCHMARK} problems x {groups} groups: {theirs / ours:.0f} times faster than a loop"
        )
        print(f"  {1000 * ours:.0f} ms; [{interval.low:.4f}, {interval.high:.4f}], the loop's [{low:.4f}, {high:.4f}]")


if __name__ == "__main__":
    main()
