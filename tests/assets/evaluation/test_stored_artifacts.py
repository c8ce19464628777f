"""What is stored stays current: fingerprints, and the document of a refined model's gap report, are those of before."""

import hashlib
import json

import pytest

import assets.aggregation.fingerprints
import assets.evaluation.fingerprints
import assets.teaching.fingerprints
from gsr_dagster.experiment.loading import experiment_path, load_experiment
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.scoring.gap_summary import gap_summary, graded
from gsr_dagster.method.scoring.scores import Graded, score_group
from gsr_dagster.operations.lanes import all_steps
from resources.store.artifacts import ArtifactStore
from tests.places import FORMER_DEMO

# Of the fingerprints and wanted rows of all partitions, before recorded pools could be uneven or without refinements.
BEFORE: dict[tuple[str, str], str] = {
    ("demo", "base/candidate_pools"): "d74f32cb11a71c95",
    ("demo", "base/gap_reports"): "fd20ddf606c22528",
    ("demo", "base/graded_candidates"): "a4b8572400104e79",
    ("demo", "base/self_refinements"): "b17da5f421d224aa",
    ("demo", "contamination"): "26336069fa83f930",
    ("demo", "lora_checkpoints"): "c6b0d3fa9ad976b5",  # with the targets' version, 2
    ("demo", "refinement_gap_scaling"): "08783dc43c6380da",
    ("demo", "student/candidate_pools"): "b6f0a9566dc903ac",
    ("demo", "student/gap_reports"): "a831d719453d4043",
    ("demo", "student/graded_candidates"): "d6393d8fd3e51bc3",
    ("demo", "student/self_refinements"): "b514f65732b86ae7",
    ("demo", "student_comparison"): "67371820fb5cd5dd",
    ("demo", "teacher_refinements"): "f45c20a107d9b852",
    ("demo", "teacher_solutions"): "b990ff86c8e37691",
    ("demo", "training_candidates"): "c96d0a22d588cc1e",
    ("demo", "training_sets"): "121a3ecc9b1da18d",
    ("paper", "base/candidate_pools"): "a074282e85aaccc3",
    ("paper", "base/gap_reports"): "354d806b2d4cc49f",
    ("paper", "base/graded_candidates"): "098854de6ef071ae",
    ("paper", "base/self_refinements"): "2870ad3016321e2c",
    ("paper", "contamination"): "3f130cc94b56f968",
    ("paper", "lora_checkpoints"): "5467a31e5a1d9ece",
    ("paper", "refinement_gap_scaling"): "5b85424e074b9285",
    ("paper", "student/candidate_pools"): "cf54ecf16f1f4d31",
    ("paper", "student/gap_reports"): "577ab70410e78545",
    ("paper", "student/graded_candidates"): "b15aabe49cdbe644",
    ("paper", "student/self_refinements"): "98e2cd33c63a4b38",
    ("paper", "student_comparison"): "eba602b889ffba15",
    ("paper", "teacher_refinements"): "7dd0c774bf534602",
    ("paper", "teacher_solutions"): "2d5757e31a5746ae",
    ("paper", "training_candidates"): "e9b82c4b5a14ab9c",
    ("paper", "training_sets"): "b334e9afac7d9501",
}
DOCUMENT = "594f55307a5b4c1f"


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("name", "path"), [("demo", FORMER_DEMO), ("paper", experiment_path("paper"))])
def test_no_fingerprint_of_a_shipped_experiment_has_changed(name, path, tmp_path, monkeypatch):
    # The grader's rules are of another story: they change with its verdicts.
    for module in (assets.aggregation.fingerprints, assets.evaluation.fingerprints, assets.teaching.fingerprints):
        monkeypatch.setattr(module, "grader_version", lambda name: name)
    experiment, store = load_experiment(path), ArtifactStore(root=str(tmp_path))
    steps = {asset: step for asset, step in all_steps(experiment).items() if "problems" not in asset}
    found = {}
    for asset, step in steps.items():
        recipes = {partition: step.recipe(store, partition) for partition in step.partitions}
        found[name, asset] = digest({p: (recipe.fingerprint, recipe.wanted) for p, recipe in recipes.items()})
    assert found == {key: value for key, value in BEFORE.items() if key[0] == name}


def test_the_document_of_a_refined_models_gap_report_has_not_changed():
    rows = [
        {
            "candidate_id": f"m/b/{p}/{i}",
            "problem_id": f"b/{p}",
            "sample_index": i,
            "correct": (p * i) % 3 == 1 and i != 5,
            "answer_class": None if i == 5 else (p * i) % 3,
            "generated_tokens": 10 + i,
        }
        for p in range(6)
        for i in range(6)
    ]
    pool = CandidatePool.of("m", rows, k=2, seed=0)
    groups = [
        score_group(
            group,
            [graded(row) for row in pool.by_problem[group.problem_id]],
            Graded(number % 2 == 0, number % 3, 7),
        )
        for number, group in enumerate(pool.own_groups())
    ]
    document = json.loads(json.dumps(gap_summary(pool, groups, 1).document()), parse_float=lambda x: round(float(x), 9))
    votes = document.pop("vote_points")  # came later, and a report without it can still be read
    assert {point["k"]: point["score"]["estimate"] for point in votes} == {
        k: document["pool_maj_at_k"][k - 1] for k in (1, 2, 4, 6)
    }
    assert digest(document) == DOCUMENT
