"""Responses that try to hang what reads and grades them: none does, and no other response's verdict changes."""

import gzip
import json
import threading
import time
from collections import defaultdict

import pytest

from assets.grading import graded_rows
from gsr_dagster.experiment.experiment import Model
from gsr_dagster.method.answers import final_answer
from gsr_dagster.method.scoring.diagnostics import copies
from resources.grading import grader
from resources.grading.worker import seconds
from tests.journeys.reliability.full_numbers import times
from tests.places import DATA

RECORDED = DATA / "recorded"
MEBIBYTE = 1 << 20
EVERY = 100
MODEL = Model(source="path:nowhere", parameters=1)

# Responses whose reading, not grading, once took hours: time grew with the square of their length.
LONG = {
    "a phrase before a million line breaks": "The answer is" + "\n" * MEBIBYTE,
    "formulas that never close": "so it = \\(" * (MEBIBYTE // 10) + ".",
    "boxes with a million blanks between them": "\\boxed{1}" + " " * MEBIBYTE + "\\boxed{2}",
    "a hundred thousand boxes": "\\boxed{1}, " * (MEBIBYTE // 11),
    "boxes in boxes": "\\boxed{" * 100_000 + "1" + "}" * 100_000,
    "braces that never close": "\\boxed{" + "{" * MEBIBYTE,
    "one endless word": "\\boxed{" + "a" * MEBIBYTE + "}",
    "a closing sentence without end": "It is " + "7" * MEBIBYTE + ".",
    "phrases without end": "the answer is " * (MEBIBYTE // 14),
    "dollars": "= $" * (MEBIBYTE // 3) + ".",
}
KINDS = [
    lambda n: f"\\boxed{{9^{{9^{{9^{{{n}}}}}}}}}",
    lambda n: f"\\boxed{{{n}{'9' * 100_000}}}",
    lambda n: "\\boxed{" + "\\frac{" * 200 + f"{n}" + "}" * 201,
    lambda n: "\\boxed{" + " + ".join(f"{n}x^{{{power}}}" for power in range(80)) + "}",
    lambda n: f"\\boxed{{(x+y+z)^{{{200 + n}}}}}",
    lambda n: f"\\boxed{{{n}!{'!' * 40}}}",
    lambda n: f"\\boxed{{\\prod_{{k=1}}^{{{n + 1}000000}} k}}",
    lambda n: f"\\boxed{{\\sum_{{k=1}}^{{9999}} k^{{k+{n}}}}}",
    lambda n: f"\\boxed{{\\int_0^1 e^{{x^{{{n + 3}}}}} \\sin(x^x) dx}}",
    lambda n: "\\boxed{" + "(" * 39 + f"{n}+x" + ")^9" * 39 + "}",
    lambda n: "\\boxed{\\{" + ", ".join(f"\\frac{{{i}}}{{{n + 7}}}" for i in range(60)) + "\\}}",
    lambda n: f"\\boxed{{{n}}}" + "\x00\u202e\x1b]0;x\x07" * 1000 + "\\boxed{\x00}",
    *(lambda n, text=text: f"{n} {text}" for text in LONG.values()),
]


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_mebibyte_is_read_in_a_moment_whatever_it_repeats(text):
    with seconds(2):
        final_answer(text)


def test_two_mebibytes_are_held_against_each_other_in_a_moment():
    """Texts that share nearly the run that would make one a copy of the other, at every place but the right one."""
    shared = "a " * (MEBIBYTE // 4)
    first, second = (side * (MEBIBYTE // 40) + shared + side * (MEBIBYTE // 40) for side in ("b ", "c "))
    with seconds(10):
        assert not copies(first, second)
        assert copies(first, first + "c")


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the shared recorded samples are not here")
def test_one_hostile_response_in_a_hundred_hangs_nothing_and_changes_no_other_verdict(monkeypatch):
    samples = recorded(times(500, 10_000))
    clean_seconds, clean = graded(monkeypatch, samples)
    mixed = []
    for number, sample in enumerate(samples):
        mixed.append(sample)
        if number % EVERY == EVERY - 1:
            mixed.append({**sample, "text": KINDS[number // EVERY % len(KINDS)](number // EVERY)})
    mixed_seconds, verdicts = graded(monkeypatch, mixed)
    hostile = verdicts[EVERY :: EVERY + 1]
    others = [verdict for number, verdict in enumerate(verdicts) if number % (EVERY + 1) != EVERY]
    print(
        f"{len(samples)} in {clean_seconds:.1f} s, with {len(hostile)} hostile {mixed_seconds:.1f} s: {sorted(set(hostile))}"
    )
    assert len(hostile) == len(samples) // EVERY
    assert others == clean
    assert "correct" in clean
    assert "correct" not in hostile
    # Each costs two seconds of the worker's clock at most, and hardly any that.
    assert mixed_seconds < 2 * clean_seconds + 2 * len(hostile)


def recorded(count: int) -> list[dict]:
    """The first responses of two recorded pools, by problem, as many as asked for."""
    samples = []
    for path in sorted(RECORDED.glob("*instruct.math500.jsonl.gz")) + sorted(RECORDED.glob("qwen*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            rows = map(json.loads, lines)
            samples += [{"problem_id": row["answer"], "text": row["response"]} for row in rows]
    assert len(samples) >= count
    return samples[:count]


def graded(monkeypatch, samples: list[dict]) -> tuple[float, list[str]]:
    """The seconds and the verdicts of responses, by a grader that knows none of them."""
    monkeypatch.setattr(grader, "_judged", defaultdict(lambda: defaultdict(dict)))
    golds = dict.fromkeys(sample["problem_id"] for sample in samples)
    problems = [{"problem_id": gold, "answer": gold, "domain": "math"} for gold in golds]
    started = time.monotonic()
    verdicts: list[str] = []

    def grade() -> None:
        verdicts.extend(row["verdict"] for row in graded_rows(grader.Grader(), "hostile", problems, samples, MODEL))

    thread = threading.Thread(target=grade, daemon=True)
    thread.start()
    thread.join(300)
    assert not thread.is_alive(), "grading hangs"
    return time.monotonic() - started, verdicts
