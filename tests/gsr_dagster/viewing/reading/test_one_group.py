"""One group, and what the other aggregations wrote to it."""

import pytest

from assets.evaluation.evaluation_run import EvaluationRun
from gsr_dagster.experiment.keys import EvaluationKey
from gsr_dagster.viewing.reading.group_filter import GroupFilter
from gsr_dagster.viewing.reading.group_index import GroupIndex
from gsr_dagster.viewing.reading.one_group import one_group, wrote
from tests.school import play

KEY = EvaluationKey("base", "sums", "llama-tiny")
AGGREGATIONS = {
    "again": {"kind": "repeated_refinement"},
    "greedy": {"kind": "greedy_direct"},
    "whole": {"kind": "repeated_refinement", "widths": [4, 1]},
    "sure": {"kind": "adaptive_consistency"},
}


@pytest.fixture(scope="module")
def index(school, tmp_path_factory) -> GroupIndex:
    other = school.copy(tmp_path_factory.mktemp("artifacts") / "school", aggregations=AGGREGATIONS)
    with pytest.MonkeyPatch.context() as patch:
        play(patch)
        for name in AGGREGATIONS:
            assert other.run(f"base/aggregation/{name}", KEY.partition).success
    return GroupIndex(EvaluationRun(other.experiment, other.store, KEY))


def test_every_round_of_a_group_is_shown_and_nothing_of_another_group(index):
    group = one_group(index, "llama-tiny/sums/3-11/g1")
    names = [text.id for text in wrote(index, group, "again")]
    assert names == [f"llama-tiny/sums/3-11/g1/{place}" for place in ("r1/0", "r1/1", "r2/0")]


def test_a_direct_answer_is_that_of_the_groups_problem(index):
    (text,) = wrote(index, one_group(index, "llama-tiny/sums/3-11/g0"), "greedy")
    assert text.row["problem_id"] == "sums/3-11"
    assert {candidate for _, candidate in text.said} == {None}  # it was shown none


def test_an_aggregation_of_other_groups_wrote_nothing_to_this_one_and_one_that_draws_nothing_has_no_texts(index):
    group = one_group(index, "llama-tiny/sums/3-11/g0")
    assert wrote(index, group, "whole") == []
    assert wrote(index, group, "sure") is None
    assert wrote(index, group, "../../sums") is None


def test_a_group_has_the_votes_that_all_groups_together_give_it(index):
    everyone = index.page(GroupFilter(sort="least agreement")).groups
    alone = [index.group(group["group_id"]) for group in everyone]
    assert [(g["agreeing"], g["tied"]) for g in alone] == [(g["agreeing"], g["tied"]) for g in everyone]
    assert {g["tied"] for g in alone} == {True, False}
