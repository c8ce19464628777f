import pytest

from assets.evaluation.gap_reports import score_groups
from assets.grading import graded_rows
from gsr_dagster.commands.regrade import regrade, regraded_table
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import gap_summary
from resources.grading.grader import Grader
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe

ROLLOUT = {"temperature": 0.7, "max_new_tokens": 16}
EXPERIMENT = Experiment.model_validate(
    {
        "name": "halves",
        "k": 2,
        "benchmarks": {"halves": {"source": "reasoning-gym:chain_sum", "problems": 2, "samples": 2}},
        "families": {"llama": {"tiny": {"source": "path:nowhere", "parameters": 1}}},
        "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 64},
    }
)
PARTITION = "halves|llama-tiny"


def sample(problem_id: str, prompt_id: str, index: int, answer: str, **columns: object) -> Row:
    row = {"problem_id": problem_id, "prompt_id": prompt_id, "sample_index": index, "text": f"\\boxed{{{answer}}}"}
    return {**row, "generated_tokens": 5, "finish_reason": "stop", **columns}


@pytest.fixture
def store(tmp_path) -> ArtifactStore:
    """Two problems with the gold 1/2: the vote is right by text, the refinements only by value."""
    store = ArtifactStore(root=str(tmp_path))
    problems = [{"problem_id": p, "problem": "?", "answer": "1/2", "domain": "math"} for p in ("p0", "p1")]
    pool = [sample(p, f"llama-tiny/{p}", i, "1/2", candidate_id=f"{p}/{i}") for p in ("p0", "p1") for i in (0, 1)]
    refinements = [
        sample(p, f"llama-tiny/{p}/g0", 0, "0.5", refinement_id=f"{p}/g0/0", candidate_ids=[f"{p}/0", f"{p}/1"])
        for p in ("p0", "p1")
    ]
    model = EXPERIMENT.models["llama-tiny"]
    graded = graded_rows(Grader(), "test", problems, pool, model)
    refined = graded_rows(Grader(), "test", problems, refinements, model)
    candidates = CandidatePool.of("llama-tiny", graded, k=2, seed=0)
    groups, rows = score_groups(candidates, refined)
    for asset, partition, content, summary in (
        ("benchmark_problems", "halves", problems, {}),
        ("base/candidate_pools", PARTITION, pool, {}),
        ("base/graded_candidates", PARTITION, graded, {}),
        ("base/self_refinements", PARTITION, refinements, {}),
        ("base/gap_reports", PARTITION, rows, gap_summary(candidates, groups, 0).document()),
    ):
        recipe = Recipe(ArtifactKey(asset, partition), settings={})
        store.publish(recipe, [store.put_shard(recipe, content)], summary)
    return store


def test_the_same_grader_changes_nothing(store):
    (again,) = regrade(EXPERIMENT, store, "math-verify")
    assert (again.changes, again.sign_changed, again.samples) == ([], False, 6)


def test_another_grader_names_each_changed_verdict_and_the_gaps_new_sign(store):
    before = store.data_version(ArtifactKey("base/gap_reports", PARTITION))
    (exact,) = regrade(EXPERIMENT, store, "exact")
    assert [(c.sample_id, c.gold, c.answer, c.before, c.after) for c in exact.changes] == [
        ("p0/g0/0", "1/2", "0.5", "correct", "incorrect"),
        ("p1/g0/0", "1/2", "0.5", "correct", "incorrect"),
    ]
    assert (exact.before.refinement_gap, exact.after.refinement_gap) == (0, -1)
    assert exact.sign_changed
    assert store.data_version(ArtifactKey("base/gap_reports", PARTITION)) == before
    assert regraded_table(EXPERIMENT, [exact]).row_count == 1


def test_a_problem_whose_gold_cannot_be_read_is_not_scored(store):
    recipe = Recipe(ArtifactKey("benchmark_problems", "halves"), settings={})
    problems = [
        {"problem_id": "p0", "problem": "?", "answer": "any $a$ such that (", "domain": "math"},
        {"problem_id": "p1", "problem": "?", "answer": "1/2", "domain": "math"},
    ]
    store.publish(recipe, [store.put_shard(recipe, problems)], {}, replaced=store.manifest(recipe.key))
    (again,) = regrade(EXPERIMENT, store, "math-verify")
    assert (again.after.problems, again.after.groups) == (1, 1)
    assert {c.after for c in again.changes} == {"gold unparseable"}
