"""Grading speed on 6,000 recorded responses: `python -m bench.grading [--lighteval PYTHON]`.

Every contender runs in a process of its own, one after the other, twice; the better
time counts, and every time is shown as a ratio to the plain loop of the same run.
"""

import argparse
import gzip
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

DATA = Path(__file__).parents[2] / "shared" / "data" / "recorded" / "qwen2.5-math-1.5b.math500.jsonl.gz"
ROUNDS = 2

Pair = tuple[str, str]  # gold, response


def all_pairs() -> list[Pair]:
    """Return the pool's 6,000 responses, each with its gold."""
    with gzip.open(DATA, "rt") as lines:
        return [(row["answer"], row["response"]) for row in map(json.loads, lines)]


def distinct_pairs() -> list[Pair]:
    """Return the pool's distinct texts, each with its gold: 4,321 of the 6,000 responses."""
    return list(dict.fromkeys(all_pairs()))


def plain_loop(pairs: list[Pair]) -> list[bool]:
    """What people do: parse and verify, in a loop, with math-verify's own time-outs."""
    from math_verify import parse, verify

    return [verify(parse(f"\\boxed{{{gold}}}"), parse(response)) for gold, response in pairs]


def every_text(pairs: list[Pair]) -> list[bool]:
    """Our workers, every distinct text treated as new: no verdict serves twice."""
    from gsr_dagster.method.answers import final_answer
    from resources.grading.grader import Grader, Reference

    grader = Grader()
    asked = [(gold, final_answer(response)) for gold, response in pairs]
    pending = [answer and grader._submit(Reference(gold, "math"), [answer]) for gold, answer in asked]
    return [bool(future) and future.result()[0].verdict == "correct" for future in pending]


def pipeline(pairs: list[Pair]) -> list[bool]:
    """Our grader as the assets call it, vote classes included."""
    from gsr_dagster.method.answers import final_answer
    from resources.grading.grader import Grader, Reference

    questions = {gold: Reference(gold, "math") for gold, _ in pairs}
    grades = Grader().grade("bench", questions, [(gold, final_answer(response)) for gold, response in pairs])
    return [grade.correct for grade in grades]


def hostile_pipeline(pairs: list[Pair]) -> list[bool]:
    """The pipeline with one hostile response in a hundred among the others; the others' verdicts are returned."""
    every = 100
    mixed = []
    for number, pair in enumerate(pairs):
        if number % every == 0:
            mixed.append((pair[0], f"\\boxed{{{hostile(number // every)}}}"))
        mixed.append(pair)
    verdicts = pipeline(mixed)
    return [verdict for number, verdict in enumerate(verdicts) if number % (every + 1)]


def hostile(number: int) -> str:
    """Return a pathological answer, another for every number."""
    kinds = [
        f"9^{{9^{{9^{{{number}}}}}}}",
        f"{number}" + "9" * 100_000,
        "\\frac{" * 200 + f"{number}",
        " + ".join(f"{number}x^{{{power}}}" for power in range(80)),
        f"(x+y+z)^{{{200 + number}}}",
        f"__import__('os').system('exit {number}')",
        f"{number}!" + "!" * 40,
        f"\\prod_{{k=1}}^{{{number + 1}000000}} k",
    ]
    return kinds[number % len(kinds)]


WORKS = {
    "4,321 distinct texts": [plain_loop, every_text, pipeline, hostile_pipeline],
    "the pool of 6,000 responses": [plain_loop, pipeline],
}
CONTENDERS = {f.__name__: f for contenders in WORKS.values() for f in contenders}


def run(work: str, name: str, lighteval: str | None) -> tuple[float, list[bool]]:
    """Return the seconds and verdicts of one contender, in a process of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as pairs:
        json.dump(pairs_of(work), pairs)
        pairs.flush()
        command = [sys.executable, "-m", "bench.grading", "--work", work, "--only", name]
        if name == "lighteval":
            command = [str(lighteval), str(Path(__file__).with_name("lighteval_match.py")), pairs.name]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(json.loads(output.splitlines()[-1]))


def pairs_of(work: str) -> list[Pair]:
    return distinct_pairs() if "distinct" in work else all_pairs()


def compare(work: str, names: list[str], lighteval: str | None) -> None:
    """Run the contenders on one work and print its table."""
    best: dict[str, tuple[float, list[bool]]] = {}
    for _ in range(ROUNDS):
        for name in names:
            best[name] = min(run(work, name, lighteval), best.get(name, (float("inf"), [])))
    plain_seconds, plain_verdicts = best["plain_loop"]
    print(f"{work:<28}{'seconds':>9}{'times the plain loop':>22}{'correct':>9}  verdicts unlike the plain loop's")
    for name, (seconds, verdicts) in best.items():
        unlike = Counter((a, b) for a, b in zip(plain_verdicts, verdicts, strict=True) if a != b)
        lost, won = unlike[True, False], unlike[False, True]
        ratio = plain_seconds / seconds
        print(f"{name:<28}{seconds:9.1f}{ratio:22.1f}{sum(verdicts):9}  {lost} not correct, {won} correct")


def main() -> None:
    """Run all contenders and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", choices=WORKS)
    parser.add_argument("--only", choices=CONTENDERS)
    parser.add_argument("--lighteval", help="the Python of an environment with lighteval")
    arguments = parser.parse_args()
    if arguments.only:
        logging.disable(logging.WARNING)
        pairs = pairs_of(arguments.work)
        started = time.perf_counter()
        verdicts = CONTENDERS[arguments.only](pairs)
        print(json.dumps([time.perf_counter() - started, verdicts]))
        return
    for work, contenders in WORKS.items():
        names = [contender.__name__ for contender in contenders]
        extra = ["lighteval"] if arguments.lighteval and "distinct" in work else []
        compare(work, names + extra, arguments.lighteval)


if __name__ == "__main__":
    main()
