"""The groups of an evaluation, filtered and sorted in SQL: held against loops over the stored rows."""

from collections import Counter
from itertools import product

import pytest

from assets.evaluation.evaluation_run import EvaluationRun
from gsr_dagster.experiment.keys import EvaluationKey
from gsr_dagster.viewing.reading.group_filter import ORDERS, OUTCOMES, GroupFilter
from gsr_dagster.viewing.reading.group_index import GroupIndex, GroupIndexes

KEY = EvaluationKey("base", "sums", "llama-tiny")


@pytest.fixture(scope="module")
def run(school) -> EvaluationRun:
    return EvaluationRun(school.experiment, school.store, KEY)


@pytest.fixture(scope="module")
def rows(run) -> list[dict]:
    """The groups by loops: the gap report's rows, with what a reader sees of their candidates and refinement."""
    graded = {row["candidate_id"]: row for row in run.read("graded_candidates")}
    refined = {row["refinement_id"]: row for row in run.read("self_refinements")}
    problems = {row["problem_id"]: row["problem"] for row in run.problems()}
    found = []
    for row in run.read("gap_reports"):
        shown = [graded[name] for name in row["candidate_ids"]]
        votes = Counter(one["answer_class"] for one in shown if one["answer_class"] is not None)
        said = refined[row["refinement_id"]]["text"].strip()
        texts = [problems[row["problem_id"]], said, *(one["summary"] for one in shown)]
        tied = list(votes.values()).count(max(votes.values(), default=0)) > 1
        copied = said in [one["summary"] for one in shown]
        cut = refined[row["refinement_id"]]["finish_reason"] == "length"
        beside = {"texts": texts, "tied": tied, "copied": copied, "cut": cut}
        found.append({**row, **beside, "agreeing": max(votes.values(), default=0)})
    return found


def ids(index: GroupIndex, **wanted) -> list[str]:
    found = index.page(GroupFilter(**wanted))
    assert found.of == 48
    assert found.found == len(found.groups)
    return [group["group_id"] for group in found.groups]


@pytest.fixture(scope="module")
def index(run) -> GroupIndex:
    return GroupIndex(run)


@pytest.mark.parametrize(("outcome", "correct"), list(product([*OUTCOMES, None], [None, 0, 1, 2])))
def test_outcomes_and_right_candidates_are_those_of_the_rows(index, rows, outcome, correct):
    holds = {
        "rescued": lambda row: row["refined"] and row["vote"] < 1,
        "broken": lambda row: not row["refined"] and row["vote"] > 0,
        "both right": lambda row: row["refined"] and row["vote"] == 1,
        "both wrong": lambda row: not row["refined"] and row["vote"] == 0,
        None: lambda row: True,
    }[outcome]
    by_loop = [row["group_id"] for row in rows if holds(row) and correct in (None, row["n_correct"])]
    assert ids(index, outcome=outcome, correct=correct) == by_loop
    if correct is None and outcome:
        assert index.outcomes[outcome] == len(by_loop)


def test_every_group_has_one_outcome(index):
    assert sum(index.outcomes.values()) == 48


@pytest.mark.parametrize("name", ["tied", "copied", "cut_off"])
def test_ties_copies_and_cuts_are_those_of_the_texts(index, rows, name):
    column = {"cut_off": "cut"}.get(name, name)
    assert ids(index, **{name: True}) == [row["group_id"] for row in rows if row[column]]


@pytest.mark.parametrize("text", ["the ANSWER is", "attempt 9", "3 + 11?", "no model wrote this", "%_", "'"])
def test_a_text_is_found_in_problem_candidates_and_refinement(index, rows, text):
    by_loop = [r["group_id"] for r in rows if any(text.lower() in held.lower() for held in r["texts"])]
    assert ids(index, text=text) == by_loop


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("least agreement", lambda row: row["agreeing"]),
        ("most agreement", lambda row: -row["agreeing"]),
        ("longest refinement", lambda row: -row["refinement_tokens"]),
        ("shortest refinement", lambda row: row["refinement_tokens"]),
    ],
)
def test_groups_are_sorted_as_python_sorts_them(index, rows, sort, key):
    assert sort in ORDERS
    assert ids(index, sort=sort) == [row["group_id"] for row in sorted(rows, key=key)]


def test_a_page_has_the_votes_and_the_problem_of_each_group(index, rows):
    shown = {group["group_id"]: group for group in index.page(GroupFilter()).groups}
    for row in rows:
        group = shown[row["group_id"]]
        assert (group["agreeing"], group["tied"]) == (row["agreeing"], row["tied"])
        assert group["problem"] == row["texts"][0]


def test_the_neighbours_of_a_group_are_those_of_the_filter(index):
    wanted = GroupFilter(outcome="both right", sort="most agreement")
    listed = [group["group_id"] for group in index.page(wanted).groups]
    around = [index.neighbours(wanted, group) for group in listed]
    assert around == list(zip([None, *listed[:-1]], [*listed[1:], None], strict=True))


def test_an_index_is_kept_until_its_artifacts_change(school, tmp_path):
    other = school.copy(tmp_path / "artifacts")
    run = EvaluationRun(other.experiment, other.store, KEY)
    indexes = GroupIndexes()
    before = indexes.of(run)
    assert indexes.of(run) is before
    other.rewrite("base/gap_reports", KEY.partition, lambda rows: rows[:5])
    assert indexes.of(run).page(GroupFilter()).of == 5


def test_a_pool_that_nobody_refined_has_its_groups_too(school, tmp_path):
    other = school.copy(tmp_path / "artifacts")
    other.rewrite("base/gap_reports", KEY.partition, lambda rows: [])
    groups = GroupIndex(EvaluationRun(other.experiment, other.store, KEY)).page(GroupFilter()).groups
    assert len(groups) == 48
    assert {group["refined"] for group in groups} == {None}
