"""Gap summaries of pools that are uneven, or of which nothing or only a part was refined."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.scoring.gap_summary import GapSummary, gap_summary, graded, means_of
from gsr_dagster.method.scoring.scores import Graded, GroupScore, score_group
from gsr_dagster.method.voting import majority_vote
from resources.store.manifests import canonical_json

# The answer class of every sample, by problem; class 0 is right, None is no answer.
CLASSES = st.lists(st.sampled_from([0, 0, 1, 2, None]), min_size=1, max_size=6)
POOLS = st.lists(CLASSES, min_size=1, max_size=4)


def pool_of(classes: list[list[int | None]], k: int) -> CandidatePool:
    rows = [
        {
            "candidate_id": f"m/p{p}/{i}",
            "problem_id": f"p{p}",
            "sample_index": i,
            "correct": c == 0,
            "answer_class": c,
            "generated_tokens": 3,
        }
        for p, of_problem in enumerate(classes)
        for i, c in enumerate(of_problem)
    ]
    return CandidatePool.of("m", rows, k=k, seed=0)


def scored(pool: CandidatePool, refined: bool = True) -> list[GroupScore]:
    samples = {problem: [graded(row) for row in rows] for problem, rows in pool.by_problem.items()}
    return [score_group(group, samples[group.problem_id], Graded(refined, 0, 5)) for group in pool.own_groups()]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@settings(max_examples=100, deadline=None)
@given(POOLS, st.integers(1, 7))
def test_every_k_is_exact_over_all_subsets_of_the_problems_that_have_as_many_samples(classes, k):
    summary = gap_summary(pool_of(classes, k), [], 0)
    longest = max(map(len, classes))
    assert len(summary.pool_pass_at_k) == len(summary.pool_maj_at_k) == longest
    for size in range(1, longest + 1):
        having = [of_problem for of_problem in classes if len(of_problem) >= size]
        subsets = [list(combinations(of_problem, size)) for of_problem in having]
        passed = mean([mean([float(0 in subset) for subset in of]) for of in subsets])
        voted = mean([mean([majority_vote(subset, 0) for subset in of]) for of in subsets])
        assert summary.problems_of_k[size - 1] == len(having)
        assert summary.pool_pass_at_k[size - 1] == pytest.approx(passed)
        assert summary.pool_maj_at_k[size - 1] == pytest.approx(voted)
        if size == k:
            assert (summary.pass_at_k, summary.maj_at_k) == (pytest.approx(passed), pytest.approx(voted))
    assert summary.pass_at_1 == pytest.approx(mean([mean([float(c == 0) for c in p]) for p in classes]))
    assert (summary.problems_at_k is None) == (len(set(map(len, classes))) == 1)
    if k > longest:
        assert summary.pass_at_k is summary.maj_at_k is None


@settings(max_examples=50, deadline=None)
@given(POOLS, st.integers(1, 4), st.data())
def test_any_part_of_the_groups_may_be_refined_and_the_document_is_read_back(classes, k, data):
    pool = pool_of(classes, k)
    every = scored(pool)
    some = [group for group in every if data.draw(st.booleans())]
    summary = gap_summary(pool, some, 0)
    assert (summary.groups, summary.groups_not_refined) == (len(some), len(every) - len(some))
    assert summary.refined == bool(some)
    assert TypeAdapter(GapSummary).validate_json(canonical_json(summary.document()), strict=True) == summary
    if some:
        assert summary.refinement_gap == pytest.approx(mean([group.refined - group.vote for group in some]))
        assert summary.maj_at_k == pytest.approx(mean([group.vote for group in some]))
    else:
        assert summary.self_ref_at_k is summary.refinement_gap is summary.parts is summary.equal_cost is None


@given(POOLS, st.integers(1, 4), st.booleans(), st.booleans())
def test_the_means_alone_are_the_estimates_of_the_intervals(classes, k, refined, right):
    pool = pool_of(classes, k)
    groups = scored(pool, right) if refined else []
    means, summary = means_of(pool, groups), gap_summary(pool, groups, 0)
    for score in ("problems", "groups", "maj_at_k", "self_ref_at_k", "refinement_gap"):
        assert getattr(means, score) == pytest.approx(getattr(summary, score)), score


def test_a_problem_with_fewer_than_k_samples_has_no_group_and_stays_in_smaller_ks():
    pool = pool_of([[0, 0, 1, 0, 2], [0]], k=2)
    assert [group.id for group in pool.own_groups()] == ["p0/g0", "p0/g1"]
    summary = gap_summary(pool, scored(pool), 0)
    assert (summary.problems, summary.groups, summary.problems_at_k) == (2, 2, [2, 1, 1, 1, 1])
    assert summary.pass_at_1 == pytest.approx((3 / 5 + 1) / 2)


def test_the_vote_at_equal_cost_is_of_the_problems_that_were_refined_at_every_k():
    """k = 2 candidates of 3 tokens and a refinement of 5 cost as much as 3.67 samples: between maj@3 and maj@4 of p0."""
    pool = pool_of([[0, 0, 1, 0, 2], [1]], k=2)
    alone = gap_summary(pool_of([[0, 0, 1, 0, 2]], k=2), scored(pool), 0)
    assert gap_summary(pool, scored(pool), 0).equal_cost == alone.equal_cost
    assert alone.equal_cost is not None
    assert alone.equal_cost.maj is not None


def test_a_pool_that_is_even_and_wholly_refined_says_nothing_of_it():
    document = gap_summary(pool_of([[0, 1], [0, 0]], k=2), scored(pool_of([[0, 1], [0, 0]], k=2)), 0).document()
    assert not {"problems_at_k", "groups_not_refined", "by_overlap"} & document.keys()
