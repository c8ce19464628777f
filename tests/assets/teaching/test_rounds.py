"""Rounds: a student as the base, the sampler or the teacher of another student."""

import copy
from pathlib import Path

import pytest

from gsr_dagster.commands.plan.steps import plan
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.lanes import lanes
from gsr_dagster.operations.staleness import refreshable
from resources.store.lineage import walk
from tests import school
from tests.running import recipe_of
from tests.school import STUDENT, School

SECOND, THIRD = "llama-second", "llama-third"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict:
    """The school with two more students; the file names the second round before the first."""
    document = school.document(tmp_path_factory.mktemp("rounds"))
    first = document["students"][STUDENT]
    third = {"candidates_from": SECOND, "teacher": {"refinements": SECOND, "solutions": "llama-big"}}
    document["students"] = {
        SECOND: {**first, "base": STUDENT, "teacher": STUDENT},
        STUDENT: first,
        THIRD: {**first, **third},
    }
    return document


@pytest.fixture(scope="module")
def loaded() -> list[tuple[str, str]]:
    """The sources and checkpoints of the engines that were loaded."""
    return []


@pytest.fixture(scope="module")
def finished(written, loaded, tmp_path_factory) -> School:
    root = tmp_path_factory.mktemp("artifacts")

    def engine(model, checkpoint):
        loaded.append((model.source, str(checkpoint)))
        return school.ScriptedEngine(school.SKILLS["student" if checkpoint else Path(model.source).name])

    with pytest.MonkeyPatch.context() as patch:
        school.play(patch)
        patch.setattr("resources.engines.loading._engine", engine)
        patch.setattr("resources.engines.loading._loaded", {})
        patch.setattr("resources.models.weights.merged", lambda base, adapter: Path(f"{base}+{adapter}"))
        made = School(written, root)
        made.run_all()
    return made


def test_rounds_are_made_in_their_order_and_each_is_evaluated_before_the_next(finished):
    order = [(lane.name, lane.partitions) for lane in lanes(finished.experiment)][3:]
    assert order == [
        ("teaching", (STUDENT,)),
        ("student_evaluation", (f"sums|{STUDENT}",)),
        ("teaching_round_2", (SECOND,)),
        ("student_evaluation_round_2", (f"sums|{SECOND}",)),
        ("teaching_round_3", (THIRD,)),
        ("student_evaluation_round_3", (f"sums|{THIRD}",)),
        ("reports", ("",)),
    ]
    assert not any(lane.stale(finished.store, p) for lane in lanes(finished.experiment) for p in lane.partitions)
    samplers = {
        row["candidate_id"].split("/")[0] for row in finished.store.read(ArtifactKey("training_candidates", SECOND))
    }
    assert samplers == {STUDENT}


def test_an_earlier_student_is_merged_into_its_base_for_what_is_trained_on_it(finished, loaded):
    first, second = (
        str(finished.store.local_files(ArtifactKey("lora_checkpoints", name))) for name in (STUDENT, SECOND)
    )
    tiny = finished.written["families"]["llama"]["tiny"]["source"]
    assert (tiny, first) in loaded
    assert (f"{tiny}+{first}", second) in loaded


def test_the_lineage_of_a_later_student_goes_over_the_earlier_ones(finished):
    links = list(walk(finished.store, "lora_checkpoints", SECOND))
    assert all(link.holds for link in links)
    texts = [link.text for link in links]
    assert any(text.startswith(f"training_sets[{STUDENT}]") for text in texts)
    assert (
        sum("shown above" in text for text in texts) == 3
    )  # candidates, refinements and solutions of the first student
    upstream = finished.store.existing(ArtifactKey("lora_checkpoints", SECOND)).upstream
    assert set(upstream) == {f"training_sets[{SECOND}]", f"lora_checkpoints[{STUDENT}]"}


def test_a_later_student_is_compared_with_its_own_base(finished):
    rows = {row["student"]: row["base"] for row in finished.store.read(ArtifactKey("student_comparison"))}
    assert rows == {STUDENT: "llama-tiny", SECOND: STUDENT, THIRD: "llama-tiny"}


def test_the_first_round_has_the_fingerprints_of_an_experiment_without_a_second(finished):
    document = copy.deepcopy(finished.written)
    document["students"] = {STUDENT: document["students"][STUDENT]}
    alone = Experiment.model_validate(document)
    for asset in ("training_candidates", "teacher_refinements", "training_sets", "lora_checkpoints"):
        key = ArtifactKey(asset, STUDENT)
        assert recipe_of(alone, finished.store, key).fingerprint == finished.store.existing(key).fingerprint


def test_the_sensor_makes_a_round_again_before_the_next_is_looked_at(finished):
    document = copy.deepcopy(finished.written)
    document["students"][STUDENT]["training"] = {"learning_rate": 2e-4}
    changed = Experiment.model_validate(document)
    found = set(refreshable(changed, finished.store, lambda key: False))
    assert ArtifactKey("lora_checkpoints", STUDENT) in found
    assert not {key for key in found if SECOND in key.partition or THIRD in key.partition}


def test_a_plan_counts_every_round_in_its_order(finished):
    trained = [step.model for step in plan(finished.experiment) if step.trains]
    assert trained == [STUDENT, SECOND, THIRD]
    assert {step.parameters for step in plan(finished.experiment)} == {1}


def test_dagster_waits_for_the_students_of_the_rounds_before(finished):
    graph = finished.definitions.resolve_asset_graph()
    candidates = finished.experiment.page_key(ArtifactKey("training_candidates", SECOND))
    assert candidates.path == ["school", "round_2", "training_candidates"]
    assert finished.experiment.page_key(ArtifactKey("lora_checkpoints", STUDENT)) in graph.get(candidates).parent_keys
