"""The aggregations' rows and their table, from written-out samples with the real grader: no model is needed."""

import dataclasses

import pytest

from assets.aggregation.table import aggregated_rows, summarise_aggregations
from assets.evaluation.gap_reports import gap_diagnostics, score_groups
from assets.grading import graded_rows
from gsr_dagster.commands.tables import aggregation_table
from gsr_dagster.experiment.aggregations.kinds.refining.repeated_refinement import round_id
from gsr_dagster.experiment.aggregations.kinds.refining.shuffled_refinement import SAME_ORDER
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.scoring.gap_summary import gap_summary
from resources.grading.grader import Grader
from resources.reporting.report_page import Report, render_report
from resources.reporting.report_rows import ReportedAggregations, ReportedGap

ROLLOUT = {"temperature": 0.7, "max_new_tokens": 16}
EXPERIMENT = Experiment.model_validate(
    {
        "name": "small",
        "k": 2,
        "benchmarks": {"sums": {"source": "reasoning-gym:chain_sum", "problems": 3, "samples": 4}},
        "families": {"llama": {"tiny": {"source": "path:nowhere", "parameters": 1}}},
        "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 64},
        "aggregations": {
            "scores": {"kind": "recorded_scores", "path": "scores.jsonl"},
            "pick": {"kind": "generative_selection"},
            "twice": {"kind": "repeated_refinement"},
            "order": {"kind": "shuffled_refinement"},
            "plan": {"kind": "planned_refinement", "groups_per_stratum": 2},
        },
    }
)
SUBJECT, MODEL = "llama-tiny", EXPERIMENT.models["llama-tiny"]
# p0 and p1 have two right candidates of four, p2 none; every candidate costs 10 tokens.
ANSWERS = {"p0": ["1/2", "0.5", "3", "4"], "p1": ["7", "2", "3", "2"], "p2": ["1", "1", "2", ""]}
PROBLEMS = [
    {"problem_id": p, "problem": "?", "answer": gold, "domain": "math"}
    for p, gold in (("p0", "1/2"), ("p1", "2"), ("p2", "9"))
]


def sample(prompt_id: str, answer: str, index: int = 0, tokens: int = 5, **columns: object) -> dict:
    problem_id = prompt_id.split("/")[1]
    text = f"So \\boxed{{{answer}}}." if answer else "Hm."
    return {
        "problem_id": problem_id,
        "prompt_id": prompt_id,
        "sample_index": index,
        "text": text,
        "generated_tokens": tokens,
        "finish_reason": "stop" if answer else "length",
        **columns,
    }


POOL = [
    sample(f"{SUBJECT}/{p}", answer, i, tokens=10, candidate_id=f"{SUBJECT}/{p}/{i}")
    for p, answers in ANSWERS.items()
    for i, answer in enumerate(answers)
]
GROUPS = [f"{SUBJECT}/{p}/g{number}" for p in ANSWERS for number in (0, 1)]


@pytest.fixture(scope="module")
def graded() -> list[dict]:
    return graded_rows(Grader(), "test", PROBLEMS, POOL, MODEL)


@pytest.fixture(scope="module")
def pool(graded) -> CandidatePool:
    return CandidatePool.of(SUBJECT, graded, EXPERIMENT.k, EXPERIMENT.seed)


def refinements(answer: str) -> list[dict]:
    return [sample(group, answer, refinement_id=f"{group}/0", candidate_ids=[]) for group in GROUPS]


@pytest.fixture(scope="module")
def rows(graded, pool) -> list[dict]:
    """Refinements say 1/2, the second round 2, another order 9 and the same order 1/2 again; the pick is the first."""
    refined = graded_rows(Grader(), "test", PROBLEMS, refinements("1/2"), MODEL)
    _, gaps = score_groups(pool, refined)
    planned = EXPERIMENT.aggregations["plan"].groups(pool)
    named = {
        "scores": [
            {"candidate_id": row["candidate_id"], "score": float(row["correct"]), "scored_tokens": 3} for row in graded
        ],
        "pick": [sample(group, "1" if "p2" not in group else "third") for group in GROUPS],
        "twice": [
            *(sample(round_id(group, 1), "5", index) for group in GROUPS for index in range(2)),
            *(sample(round_id(group, 2), "2") for group in GROUPS),
        ],
        "order": [
            *(sample(group, "9") for group in GROUPS),
            *(sample(f"{group}/{SAME_ORDER}", "0.5") for group in GROUPS),
        ],
        "plan": [sample(group.id, "1/2") for group, _ in planned],
    }
    return aggregated_rows(EXPERIMENT, pool, MODEL, Grader(), PROBLEMS, gaps, named)


def test_answers_to_multiple_choice_are_read_as_letters_everywhere(pool):
    said = {"text": "It is $\\boxed{17}$. So the answer is (C)."}
    problems = [{**problem, "answer": "C", "domain": "multiple_choice"} for problem in PROBLEMS]
    samples = [{**row, **said} for row in refinements("17")]
    refined = graded_rows(Grader(), "test", problems, samples, MODEL)
    assert {(row["answer"], row["verdict"]) for row in refined} == {("(C)", "correct")}
    _, gaps = score_groups(pool, refined)
    named = {
        "scores": [{"candidate_id": row["candidate_id"], "score": 1.0, "scored_tokens": 3} for row in POOL],
        "pick": samples,
        "twice": [{**sample(round_id(group, 2), "17"), **said} for group in GROUPS]
        + [sample(round_id(group, 1), "17", index) for group in GROUPS for index in range(2)],
        "order": [*samples, *({**sample(f"{group}/{SAME_ORDER}", "17"), **said} for group in GROUPS)],
        "plan": [{**sample(group.id, "1"), **said} for group, _ in EXPERIMENT.aggregations["plan"].groups(pool)],
    }
    rows = aggregated_rows(EXPERIMENT, pool, MODEL, Grader(), problems, gaps, named)
    for name in ("twice", "order", f"order/{SAME_ORDER}", "plan"):
        assert {(row["answer"], row["correct"]) for row in of(rows, name).values()} == {("(C)", 1.0)}


def of(rows, name: str) -> dict[str, dict]:
    return {row["group_id"]: row for row in rows if row["aggregation"] == name}


def correct_by_problem(rows, name: str) -> dict[str, float]:
    found = of(rows, name).values()
    return {p: sum(row["correct"] for row in found if row["problem_id"] == p) for p in ANSWERS}


def test_every_aggregation_has_a_row_a_group_but_the_planned_one(rows):
    paired = ("majority", "self_refinement", "scores", "pick", "twice", "order", f"order/{SAME_ORDER}")
    for name in paired:
        assert sorted(of(rows, name)) == sorted(GROUPS)
    assert {row["aggregation"] for row in rows} == {*paired, "plan"}


def test_the_best_scored_is_right_wherever_a_candidate_is_and_ties_share(rows, graded):
    for group, row in of(rows, "scores").items():
        assert row["correct"] == (row["n_correct"] > 0), group
    # The first groups of p0 and p2 hold two candidates of one score.
    tied = of(rows, "scores")[f"{SUBJECT}/p2/g0"]
    assert (tied["chosen"], tied["answer"], tied["scored_tokens"]) == (None, None, 6)


def test_a_pick_is_right_as_its_candidate_is_and_one_that_cannot_be_read_is_wrong(rows, graded, pool):
    candidates = {row["candidate_id"]: row for row in graded}
    shown = {group.id: members for group, members in pool.groups}
    for group, row in of(rows, "pick").items():
        assert row["unread"] == ("p2" in group)
        if not row["unread"]:
            assert row["chosen"] == shown[group][0]["candidate_id"]
            assert row["correct"] == candidates[row["chosen"]]["correct"]
    assert correct_by_problem(rows, "pick")["p2"] == 0


def test_refinements_are_graded_in_their_last_round_and_cost_all_rounds(rows):
    assert correct_by_problem(rows, "self_refinement") == {"p0": 2, "p1": 0, "p2": 0}
    assert correct_by_problem(rows, "twice") == {"p0": 0, "p1": 2, "p2": 0}
    assert correct_by_problem(rows, "order") == {"p0": 0, "p1": 0, "p2": 2}
    tokens = {
        name: {row["tokens"] for row in of(rows, name).values()} for name in ("majority", "self_refinement", "twice")
    }
    assert tokens == {"majority": {20}, "self_refinement": {25}, "twice": {20 + 2 * 5 + 5}}


def test_the_table_holds_each_against_the_vote_on_the_same_groups(rows):
    summary = summarise_aggregations(EXPERIMENT, rows)
    entries = {entry.aggregation: entry for entry in summary.aggregations}
    assert list(entries) == ["majority", "self_refinement", "scores", "pick", "twice", "order"]
    vote = of(rows, "majority")
    for name, entry in entries.items():
        mine = of(rows, name)
        assert entry.score.estimate == pytest.approx(sum(row["correct"] for row in mine.values()) / 6)
        if name != "majority":
            gain = sum(mine[group]["correct"] - vote[group]["correct"] for group in GROUPS) / 6
            assert entry.difference.estimate == pytest.approx(gain)
    assert entries["majority"].difference is None
    assert (entries["pick"].unread, entries["scores"].scored_tokens) == (2, 6)
    assert aggregation_table([reported_aggregations(rows, SUBJECT)]).row_count == 6


def reported_aggregations(rows, subject: str) -> ReportedAggregations:
    return ReportedAggregations(**vars(summarise_aggregations(EXPERIMENT, rows)), benchmark="sums", subject=subject)


def reported_gap(pool, graded, subject: str) -> ReportedGap:
    refined = graded_rows(Grader(), "test", PROBLEMS, refinements("1/2"), MODEL)
    groups, _ = score_groups(pool, refined)
    diagnostics = gap_diagnostics(pool, Grader(), PROBLEMS, graded, refined)
    scores = vars(dataclasses.replace(gap_summary(pool, groups, 0), diagnostics=diagnostics))
    return ReportedGap(benchmark="sums", subject=subject, lane="base", family="llama", parameters=1, **scores)


def test_equal_answers_in_other_words_are_no_change_of_the_answer(rows):
    """1/2, refined again, is 0.5 in the same order and 9 in the other."""
    change = summarise_aggregations(EXPERIMENT, rows).order["order"]
    assert {how: interval.estimate for how, interval in change.items()} == {
        "other_order": 1,
        "same_order": 0,
        "difference": 1,
    }


def test_planned_groups_hold_what_their_stratum_says(rows):
    strata = summarise_aggregations(EXPERIMENT, rows).planned["plan"]
    assert [(s.n_correct, s.groups, s.problems) for s in strata] == [(2, 2, 2), (1, 2, 2), (0, 2, 2)]
    for row in of(rows, "plan").values():
        assert f"/c{row['n_correct']}-" in row["group_id"]
        assert row["correct"] == (row["problem_id"] == "p0")


def test_the_diagnostics_see_copies_votes_and_answers_in_other_words(graded, pool):
    """Every refinement says 0.5: on p0 that is an answer of the first group, in the words of its second candidate."""
    refined = graded_rows(Grader(), "test", PROBLEMS, refinements("0.5"), MODEL)
    rates = gap_diagnostics(pool, Grader(), PROBLEMS, graded, refined)
    assert rates["copies"].estimate == pytest.approx(1 / 6)
    assert rates["keeps_an_answer"].estimate == pytest.approx(1 / 6)
    # One winner: p0's first group (right), and of p2 the first (wrong) and the second (one answer alone).
    assert rates["follows_majority_right"].estimate == 1
    assert rates["follows_majority_wrong"].estimate == 0
    assert rates["truncated"].estimate == rates["unclosed_thinking"].estimate == 0


def test_the_report_shows_the_aggregations_and_the_diagnostics(rows, graded, pool):
    gap = reported_gap(pool, graded, SUBJECT)
    page = render_report(Report(EXPERIMENT, [gap], aggregations=[reported_aggregations(rows, SUBJECT)]))
    for text in ("Other ways to answer", "<small>generative selection</small>", "in another order", "built by their"):
        assert text in page
    without = render_report(Report(EXPERIMENT, [gap]))
    assert "What the refiner does" in without
    assert "Other ways to answer" not in without


def test_the_report_escapes_every_name(rows, graded, pool):
    hostile = "<script>alert('x')</script>"
    aggregations = [reported_aggregations(rows, hostile)]
    page = render_report(Report(EXPERIMENT, [reported_gap(pool, graded, hostile)], aggregations=aggregations))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
