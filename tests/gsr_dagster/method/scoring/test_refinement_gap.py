import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_dagster.method.scoring.refinement_gap import (
    by_correct,
    equal_cost,
    fresh_sample_control,
    gap_parts,
    refinement_gap,
)
from gsr_dagster.method.scoring.scores import GroupScore


def group(problem: str, vote: float, refined: bool, n_correct: int = 1) -> GroupScore:
    return GroupScore(problem, f"{problem}/g0", n_correct, vote, refined, 40, 10)


groups_of_four = st.lists(
    st.integers(0, 4).flatmap(
        lambda n_correct: st.builds(
            lambda vote, refined: group("p", vote if n_correct else 0.0, refined, n_correct),
            st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]),
            st.booleans(),
        )
    ),
    min_size=1,
    max_size=20,
)


def test_the_gap_is_the_mean_difference_on_the_same_groups():
    groups = [group("a", 1, True), group("b", 0, True), group("c", 0.5, False), group("d", 1, False)]
    assert refinement_gap(groups, seed=0).estimate == pytest.approx((0 + 1 - 0.5 - 1) / 4)


@settings(deadline=None)
@given(groups_of_four)
def test_parts_and_strata_add_up_to_the_gap(groups):
    gap = refinement_gap(groups, 0).estimate
    parts = gap_parts(groups)
    assert parts.rescued + parts.rescued_all_wrong - parts.broken == pytest.approx(gap, abs=1e-12)
    strata = by_correct(groups, k=4)
    assert sum(s.part_of_gap for s in strata) == pytest.approx(gap, abs=1e-12)
    assert sum(s.groups for s in strata) == len(groups)
    all_wrong = [s.part_of_gap for s in strata if s.n_correct == 0]
    assert parts.rescued_all_wrong == pytest.approx(sum(all_wrong), abs=1e-12)


def test_a_tied_vote_is_rescued_and_broken_by_its_share():
    parts = gap_parts([group("a", 0.5, True, 2), group("b", 0.25, False, 1)])
    assert (parts.rescued, parts.rescued_all_wrong, parts.broken) == (0.25, 0, 0.125)


# By N_c: groups, correct votes, correct refinements of four a group. The smallest whole numbers that give every
# printed digit of the table: 30 problems of AIME24, 32 samples, 8 groups of k = 4 a problem.
AIME24 = {4: (65, 65, 260), 3: (39, 39, 152), 2: (36, 34, 129), 1: (32, 6, 77), 0: (68, 0, 16)}


def published_groups() -> list[GroupScore]:
    """GSR-7B on AIME24 (../shared/method.md): each group once for each of its four refinements."""
    return [
        group(f"{n_correct}-{number // 4}", float(number // 4 < voted), number < refined, n_correct)
        for n_correct, (count, voted, refined) in AIME24.items()
        for number in range(4 * count)
    ]


def test_the_published_table_comes_out_to_the_printed_digit():
    groups = published_groups()
    strata = by_correct(groups, k=4)
    assert [round(100 * s.self_ref, 1) for s in strata] == [100, 97.4, 89.6, 60.2, 5.9]
    assert [round(100 * s.maj, 1) for s in strata] == [100, 100, 94.4, 18.8, 0]
    assert round(100 * sum(g.vote for g in groups) / len(groups), 1) == 60.0
    assert round(100 * sum(g.refined for g in groups) / len(groups), 1) == 66.0
    assert round(100 * refinement_gap(groups, 0).estimate, 2) == 6.04


def test_the_published_parts_come_out_but_for_what_was_computed_from_rounded_figures():
    """method.md's +5.51 and −0.72 are 13.3 % · (60.2 − 18.8) and 15.0 % · (89.6 − 94.4): 5.52 and −0.73 unrounded."""
    groups = published_groups()
    parts = {s.n_correct: round(100 * s.part_of_gap, 2) for s in by_correct(groups, k=4)}
    assert parts == {4: 0, 3: -0.42, 2: -0.73, 1: 5.52, 0: 1.67}
    share = {s.n_correct: round(100 * s.groups / len(groups), 1) for s in by_correct(groups, k=4)}
    assert round(share[1] * (60.2 - 18.8) / 100, 2) == 5.51
    assert round(share[2] * (89.6 - 94.4) / 100, 2) == -0.72
    assert round(100 * gap_parts(groups).rescued_all_wrong, 2) == 1.67


def test_an_all_wrong_group_is_held_against_the_other_samples_of_its_problem():
    groups = [group("a", 0, True, 0), group("b", 0, False, 0), group("b", 1, True, 3), group("alone", 0, True, 0)]
    control = fresh_sample_control(groups, {"a": (0, 8), "b": (3, 8), "alone": (0, 4)}, k=4, seed=0)
    assert control is not None
    assert (control.groups, control.self_ref, control.fresh) == (2, 0.5, (0 / 4 + 3 / 4) / 2)
    assert control.difference.estimate == pytest.approx(0.5 - 0.375)


def test_without_other_samples_there_is_no_control():
    assert fresh_sample_control([group("a", 0, True, 0)], {"a": (0, 4)}, k=4, seed=0) is None


def test_a_refinement_of_the_price_of_one_candidate_is_held_against_five_votes():
    maj = [0.2, 0.2, 0.3, 0.3, 0.4, 0.4]
    cost = equal_cost([group("a", 0, True), group("b", 1, False)], k=4, maj=maj)
    assert (cost.tokens, cost.samples, cost.self_ref, cost.maj) == (50, 5, 0.5, 0.4)


def test_a_vote_between_two_numbers_of_samples_lies_between_their_scores():
    half = GroupScore("a", "a/g0", 1, 0, True, candidate_tokens=40, refinement_tokens=5)
    assert equal_cost([half], k=4, maj=[0, 0, 0, 0.2, 0.4]).maj == pytest.approx(0.3)


def test_a_vote_dearer_than_the_pool_is_not_made_up():
    assert equal_cost([group("a", 0, True)], k=4, maj=[0.1, 0.2, 0.3, 0.4]).maj is None


def test_no_groups_are_refused():
    with pytest.raises(ValueError, match="the pool is empty"):
        gap_parts([])
    with pytest.raises(ValueError, match="the pool is empty"):
        refinement_gap([], seed=0)
    with pytest.raises(ValueError, match="without a generated token"):
        equal_cost([GroupScore("a", "g", 0, 0, False, 0, 0)], k=4, maj=[0.0])
