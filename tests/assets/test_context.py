"""Prompts over a model's context, in a whole lane: what could not be asked is counted, warned of, and asked again."""

import copy
from pathlib import Path

import pytest

from assets.evaluation.fingerprints import evaluation_steps
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.lanes import lanes
from tests import school as scripted
from tests.assets.rewriting import BASE, WARN
from tests.school import School

REFINED = ArtifactKey("base/self_refinements", BASE)


@pytest.fixture
def served(finished_school, tmp_path, monkeypatch):
    """Return the school with a served model of a context, which is the one that the file says."""
    scripted.play(monkeypatch)

    def engine(model, checkpoint):
        made = scripted.scripted_engine(model, checkpoint)
        made.context = getattr(model.engine, "context", None)
        return made

    monkeypatch.setattr("resources.engines.loading._engine", engine)

    def school(context: int | None, before: School = finished_school, root: str = "artifacts") -> School:
        families = copy.deepcopy(finished_school.written["families"])
        named = {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "tiny"}
        families["llama"]["tiny"] = {
            "source": families["llama"]["tiny"]["source"],
            "engine": {**named, **({"context": context} if context else {})},
        }
        return before.copy(tmp_path / root, families=families, students={}, training_problems=None)

    return school


def stale(school: School) -> list[ArtifactKey]:
    lane = next(lane for lane in lanes(school.experiment) if lane.name == "base_evaluation")
    return lane.stale(school.store, BASE)


def run_lane(school: School) -> None:
    for step in evaluation_steps(school.experiment, "base"):
        assert school.run(step.asset, BASE).success, step.asset


def test_what_is_over_the_context_is_wrong_and_warned_of_and_a_longer_context_in_the_file_asks_again(served):
    school = served(300)
    run_lane(school)
    assert not stale(school)
    summary = school.store.existing(REFINED).summary
    assert (summary["unasked"], summary["context"]) == (48, 300)
    check = school.checks(REFINED.asset, BASE)["few_unasked"]
    assert (check.passed, check.severity) == (False, WARN)
    assert (
        "48 of 48 samples (100.0%) could not be asked for: at most 1% is allowed (checks.most_unasked); serve the model"
        in check.description
    )
    gap = school.store.existing(ArtifactKey("base/gap_reports", BASE)).summary
    assert gap["self_ref_at_k"] == 0
    assert gap["diagnostics"]["unclosed_thinking"] is None

    longer = served(5000, school, "longer")
    assert stale(longer)[0] == REFINED
    run_lane(longer)
    assert not stale(longer)
    summary = longer.store.existing(REFINED).summary
    assert "unasked" not in summary
    assert summary["samples"] == 48
    assert longer.checks(REFINED.asset, BASE)["few_unasked"].passed


def test_a_context_that_is_still_too_short_is_tried_once(served):
    school = served(300)
    run_lane(school)
    longer = served(400, school, "longer")
    assert stale(longer)[0] == REFINED
    run_lane(longer)
    assert longer.store.existing(REFINED).summary["unasked"] == 48
    assert not stale(longer)


def test_a_context_that_the_file_does_not_say_makes_nothing_stale(served):
    school = served(None)
    run_lane(school)
    assert not stale(school)
    assert not stale(served(5000, school, "said")), "nothing was over it"
    assert Path(school.store.root).exists()
