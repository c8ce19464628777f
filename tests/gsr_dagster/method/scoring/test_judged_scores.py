"""Scores with a judge against a few lines that count them by hand, and Cohen's kappa against its definition."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.scoring.agreement import agreement
from gsr_dagster.method.scoring.gap_summary import graded, scores_of
from gsr_dagster.method.scoring.judged_scores import (
    by_grader_then_judge,
    by_judge,
    judged_summary,
)
from gsr_dagster.method.scoring.scores import score_group

K = 3  # the fewest in which it matters whether two wrong answers are equal
ANSWERS = ("a", "b", "c", "d")
GRADED = st.sampled_from(["correct", "incorrect 1", "incorrect 2", "unreadable", "timed out", "comparison failed"])
JUDGED = st.sampled_from(["correct", "incorrect", "unread"])


@st.composite
def evaluations(draw):
    """Return graded candidates, refinements by group, and the judge's verdicts."""
    candidates, refinements, verdicts = [], {}, {}
    for number in range(draw(st.integers(1, 3))):
        problem, readable = f"p{number}", draw(st.booleans())
        of = {answer: draw(GRADED) if readable else "gold unparseable" for answer in ANSWERS}
        verdicts |= {(problem, answer): draw(JUDGED) for answer in ANSWERS}

        def row(answer, problem=problem, of=of):
            return graded_row(problem, answer, of)

        groups = draw(st.integers(1, 2))
        said = st.sampled_from([*ANSWERS, None])
        candidates += [{**row(draw(said)), "sample_index": index} for index in range(groups * K)]
        for group in range(groups):
            refinements[f"{problem}/g{group}"] = row(draw(said))
    return candidates, refinements, verdicts


def graded_row(problem: str, answer: str | None, of: dict[str, str]) -> dict:
    said = of.get(answer, "no answer" if "gold unparseable" not in of.values() else "gold unparseable")
    verdict, _, number = said.partition(" ") if said.startswith("incorrect") else (said, "", "")
    classes = {
        "correct": 0,
        "incorrect": int(number or 0),
        "timed out": f"{answer} itself",
        "comparison failed": answer,
    }
    return {
        "problem_id": problem,
        "answer": answer,
        "verdict": verdict,
        "correct": verdict == "correct",
        "answer_class": None if answer is None else classes.get(verdict),
        "generated_tokens": 1,
    }


def label(row: dict, verdicts: dict, alone: bool):
    """Return what an answer votes for, "gold" for the right answer."""
    judged = verdicts[row["problem_id"], row["answer"]] if row["answer"] else None
    if row["answer"] is None:
        return None
    if alone:
        wrong = row["answer_class"] if row["verdict"] == "incorrect" else row["answer"]
        return "gold" if judged == "correct" else wrong
    if row["verdict"] in ("correct", "incorrect") or judged == "unread":
        return "gold" if row["verdict"] == "correct" else row["answer_class"]
    return "gold" if judged == "correct" else row["answer"]


@settings(max_examples=200)
@given(evaluations(), st.booleans())
def test_the_scores_are_those_that_counting_gives(drawn, alone):
    candidates, refinements, verdicts = drawn
    decide = by_judge if alone else by_grader_then_judge
    scored = {
        row["problem_id"]
        for row in candidates
        if row["verdict"] != "gold unparseable"
        or any(verdicts[row["problem_id"], answer] != "unread" for answer in ANSWERS)
    }
    rows = decide(candidates, verdicts)
    assert {row["problem_id"] for row in rows} == scored
    if not scored:
        return
    pool = CandidatePool.of("m", rows, K, seed=0)
    by_group = {name: decide([row], verdicts) for name, row in refinements.items()}
    groups = [
        score_group(group, [graded(row) for row in pool.by_problem[group.problem_id]], graded(by_group[group.id][0]))
        for group in pool.own_groups()
    ]
    scores = scores_of(pool, groups)
    votes, refined, right = [], [], []
    for name, refinement in refinements.items():
        problem, number = name.split("/g")
        if problem not in scored:
            continue
        of_problem = [row for row in candidates if row["problem_id"] == problem]
        said = [label(row, verdicts, alone) for row in of_problem[K * int(number) : K * int(number) + K]]
        most = max((said.count(one) for one in said if one is not None), default=0)
        leaders = {one for one in said if one is not None and said.count(one) == most}
        votes.append(("gold" in leaders) / len(leaders) if leaders else 0.0)
        refined.append(label(refinement, verdicts, alone) == "gold")
    for problem in scored:
        said = [label(row, verdicts, alone) for row in candidates if row["problem_id"] == problem]
        right.append(said.count("gold") / len(said))
    assert scores.pass_at_1 == pytest.approx(sum(right) / len(right))
    assert scores.maj_at_k == pytest.approx(sum(votes) / len(votes))
    assert scores.self_ref_at_k == pytest.approx(sum(refined) / len(refined))
    assert scores.refinement_gap == pytest.approx(scores.self_ref_at_k - scores.maj_at_k)


def test_where_the_judge_alone_decides_equal_wrong_answers_vote_together():
    """a and b are equal to the grader, and wrong; it calls c right, and the judge does not."""
    of = {"a": "incorrect 1", "b": "incorrect 1", "c": "correct", "d": "timed out"}
    rows = [graded_row("p", answer, of) for answer in ANSWERS]
    decided = by_judge(rows, {("p", answer): "incorrect" for answer in ANSWERS})
    assert [row["answer_class"] for row in decided] == [1, 1, "c", "d"]
    assert not any(row["correct"] for row in decided)


@settings(max_examples=200)
@given(evaluations())
def test_a_judge_whose_verdicts_cannot_be_read_changes_nothing(drawn):
    candidates, _, verdicts = drawn
    silent = dict.fromkeys(verdicts, "unread")
    assert by_grader_then_judge(candidates, silent) == [r for r in candidates if r["verdict"] != "gold unparseable"]
    assert by_grader_then_judge(candidates, {}) == by_grader_then_judge(candidates, silent)


def verdict_rows(pairs):
    return [
        {"problem_id": f"p{number % 3}", "verdict": one, "judge_verdict": other}
        for number, (one, other) in enumerate(pairs)
    ]


VERDICTS = st.tuples(st.sampled_from(["correct", "incorrect", "unreadable"]), JUDGED)


@given(st.lists(VERDICTS, max_size=30))
def test_kappa_and_the_counts_are_those_of_the_definition(pairs):
    found = agreement(verdict_rows(pairs), seed=0)
    both = [(one == "correct", other == "correct") for one, other in pairs if one != "unreadable" and other != "unread"]
    if not both:
        assert found is None
        return
    n = len(both)
    observed = sum(one == other for one, other in both) / n
    yes = sum(one for one, _ in both) / n * sum(other for _, other in both) / n
    no = sum(not one for one, _ in both) / n * sum(not other for _, other in both) / n
    assert found.share.estimate == pytest.approx(observed)
    assert found.share.low <= found.share.estimate <= found.share.high
    if yes + no == 1:
        assert found.kappa is None
    else:
        assert found.kappa == pytest.approx((observed - yes - no) / (1 - yes - no))
    counts = found.both_correct, found.only_grader_correct, found.only_judge_correct, found.both_incorrect
    assert counts == tuple(both.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False)))
    assert found.answers == n


def test_kappa_of_cohens_own_kind_of_table():
    """20 of both yes, 5 and 10 of one alone, 15 of both no: 0.7 observed, 0.5 by chance."""
    pairs = [("correct", "correct")] * 20 + [("correct", "incorrect")] * 5
    pairs += [("incorrect", "correct")] * 10 + [("incorrect", "incorrect")] * 15
    assert agreement(verdict_rows(pairs), seed=0).kappa == pytest.approx(0.4)


def test_every_answer_is_counted_once_by_who_decided_it():
    pairs = [("correct", "correct"), ("unreadable", "correct"), ("timed out", "incorrect"), ("incorrect", "unread")]
    summary = judged_summary("big", verdict_rows([*pairs, ("comparison failed", "unread")]), {}, seed=0)
    assert (summary.answers, summary.only_judge, summary.unread, summary.undecided) == (5, 2, 2, 1)
    assert summary.agreement.answers == 1
