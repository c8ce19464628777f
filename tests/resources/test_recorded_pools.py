"""Recorded samples of real models, read from ../shared/data: the figures of its README, and the hostile inputs."""

import gzip
import json
from collections import Counter, defaultdict

import numpy as np
import pytest

from bench.grading import hostile
from gsr_dagster.method.answers import final_answer
from gsr_dagster.method.groups import Group
from gsr_dagster.method.scoring.refinement_gap import by_correct, gap_parts, refinement_gap
from gsr_dagster.method.scoring.scores import Graded, pool_scores, score_group
from resources.grading.grader import Grade, Grader, Reference
from tests.places import DATA

RECORDED = DATA / "recorded"


def recorded(name: str) -> list[dict]:
    path = RECORDED / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def graded(rows: list[dict], text) -> list[Grade]:
    questions = {row["problem_id"]: Reference(row["answer"], "math") for row in rows}
    return Grader().grade("recorded", questions, [(row["problem_id"], final_answer(text(row))) for row in rows])


@pytest.mark.parametrize(
    ("name", "recorded_figures", "ours"),
    [
        # Under the recorded figures by the responses that were cut off before an answer: math-verify takes the last
        # formula in them, which was right 19 and 14 times.
        ("qwen2.5-math-1.5b.math500", (59.0, 70.8, 83.6), (58.8, 70.6, 83.6)),
        # The vote is above: tied votes count by their share, and equal answers vote together.
        ("llama-3.2-1b-instruct.math500", (26.1, 32.6, 54.4), (25.8, 33.0, 53.6)),
    ],
)
def test_the_recorded_figures_come_out(name, recorded_figures, ours):
    rows = recorded(name)
    pools = defaultdict(list)
    for row, grade in zip(rows, graded(rows, lambda row: row["response"]), strict=True):
        pools[row["problem_id"]].append(Graded(grade.correct, grade.answer_class, 1))
    passed, voted = (np.mean(curves, axis=0) for curves in zip(*map(pool_scores, pools.values()), strict=True))
    figures = tuple(round(100 * float(score), 1) for score in (passed[0], voted[-1], passed[-1]))
    assert figures == ours
    assert figures == pytest.approx(recorded_figures, abs=1)


def test_the_recorded_refinements_go_through_the_gap_with_their_candidates():
    """341 problems without early consensus, 1,183 refinements by gpt-3.5-turbo, each with the candidates it was shown."""
    rows = recorded("gpt-3.5-turbo.math500.refined")
    refined = graded(rows, lambda row: row["response"])
    shown = [dict(row, text=text) for row in rows for text in row["candidates"]]
    candidates = iter(graded(shown, lambda row: row["text"]))
    groups = []
    for number, (row, grade) in enumerate(zip(rows, refined, strict=True)):
        k = len(row["candidates"])
        members = [Graded(c.correct, c.answer_class, 1) for c in (next(candidates) for _ in range(k))]
        group = Group(f"{row['problem_id']}/g{number}", row["problem_id"], tuple(range(k)))
        groups.append(score_group(group, members, Graded(grade.correct, grade.answer_class, 1)))
    gap = refinement_gap(groups, seed=0)
    parts = gap_parts(groups)
    assert len(groups) == 1183
    assert gap.low < gap.estimate < gap.high
    assert gap.standard_error == pytest.approx((gap.high - gap.low) / 3.92, rel=0.1)
    assert parts.rescued + parts.rescued_all_wrong - parts.broken == pytest.approx(gap.estimate)
    strata = by_correct(groups, k=max(g.n_correct for g in groups))
    assert strata[-1].n_correct == 0
    assert strata[-1].self_ref == min(stratum.self_ref for stratum in strata)
    # It was -2.8 before the last phrase of a line was read, and words behind a number ("60 handshakes"), and -2.4
    # before a clause behind it was ("64, which is also supported by the other agents").
    assert (round(100 * gap.estimate, 1), round(100 * parts.rescued_all_wrong, 1)) == (-2.3, 1.0)


# Beside the kinds that the bench measures.
HOSTILE_TOO = ["\\sqrt{" * 60 + "2" + "}" * 60, "\\int_0^1 x^{8} e^{-x^2} dx"]


def test_one_hostile_answer_in_a_hundred_hangs_nothing_and_changes_no_other_verdict():
    rows = recorded("qwen2.5-math-1.5b.math500")[:3000]
    questions = {row["problem_id"]: Reference(row["answer"], "math") for row in rows}
    clean = [(row["problem_id"], final_answer(row["response"])) for row in rows]
    answers = [*map(hostile, range(28)), *HOSTILE_TOO]
    mixed = [*clean, *((rows[100 * number]["problem_id"], answer) for number, answer in enumerate(answers))]
    grades = Grader().grade("mixed", questions, mixed)
    assert grades[: len(clean)] == Grader().grade("clean", questions, clean)
    assert Counter(grade.correct for grade in grades[len(clean) :]) == {False: 30}
