"""Teaching with recorded samples: the same rows without the models that wrote them, and no others."""

import copy
import json
from pathlib import Path

import pytest

from assets.teaching.recording import RecordingError, record_teaching
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from resources.engines.base import EngineError
from resources.engines.recorded import RecordedEngine
from tests import school
from tests.school import STUDENT, School


@pytest.fixture(scope="module")
def played():
    """Scripted models, and recorded ones as they are."""
    with pytest.MonkeyPatch.context() as patch:
        school.play(patch)

        def engine(model, checkpoint):
            recorded = model.engine.kind == "recorded"
            return RecordedEngine(model.engine.path) if recorded else school.scripted_engine(model, checkpoint)

        patch.setattr("resources.engines.loading._engine", engine)
        patch.setattr("resources.engines.loading._loaded", {})
        yield


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, played) -> School:
    written = school.document(tmp_path_factory.mktemp("drawn"))
    written["evaluation"]["candidate_tokens"] = 1000
    made = School(written, tmp_path_factory.mktemp("artifacts"))
    made.run_all()
    return made


@pytest.fixture(scope="module")
def recording(drawn, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    counts = record_teaching(TeachingRun(drawn.experiment, drawn.store, STUDENT), folder)
    assert set(counts) == {path.name for path in folder.iterdir()} == {"llama-tiny", "llama-big"}
    return folder


def taught_by(recording: Path, drawn: School) -> dict:
    """The experiment with recorded models in the place of the teacher and of the one that wrote the candidates."""
    written = copy.deepcopy(drawn.written)
    written["families"]["recorded"] = {
        name: {"engine": {"kind": "recorded", "path": str(recording / f"llama-{name}")}, "evaluate": False}
        for name in ("tiny", "big")
    }
    del written["families"]["llama"]["big"]
    written["students"][STUDENT] |= {"teacher": "recorded-big", "candidates_from": "recorded-tiny"}
    return written


def test_a_student_learns_the_same_rows_from_the_recording(drawn, recording, tmp_path):
    again = School(taught_by(recording, drawn), tmp_path)
    again.run_all()
    key = ArtifactKey("training_sets", STUDENT)
    taught = [[(row["messages"], row["completion"]) for row in made.store.read(key)] for made in (drawn, again)]
    assert sorted(taught[0]) == sorted(taught[1])
    assert {p.partition for p in again.experiment.evaluations("base")} == {"sums|llama-tiny"}


def test_a_recording_says_how_its_samples_were_drawn(drawn, recording):
    made_with = json.loads((recording / "llama-big" / "made_with.json").read_text())
    manifest = drawn.store.existing(ArtifactKey("teacher_refinements", STUDENT))
    assert made_with["teacher_refinements"]["fingerprint"] == manifest.fingerprint
    assert made_with["teacher_refinements"]["settings"] == manifest.settings


def test_the_worked_examples_of_who_wrote_the_samples_need_not_be_shown_again(drawn, recording, tmp_path):
    """The student's own prompt is enough, and then its tokens are those that count."""
    written = taught_by(recording, drawn)
    assert written["training_problems"].pop("worked_examples")
    plain = copy.deepcopy(drawn.written)
    plain["training_problems"]["students_see_examples"] = False
    shown = School(plain, tmp_path / "shown")
    shown.run_all()
    folder = tmp_path / "recorded"
    record_teaching(TeachingRun(shown.experiment, shown.store, STUDENT), folder)
    for name, model in written["families"]["recorded"].items():
        model["engine"]["path"] = str(folder / f"llama-{name}")
    again = School(written, tmp_path / "again")
    again.run_all()
    key = ArtifactKey("training_sets", STUDENT)
    taught = [[(row["messages"], row["completion"]) for row in made.store.read(key)] for made in (shown, again)]
    assert sorted(taught[0]) == sorted(taught[1])
    was, now = (
        {row["solution_id"].split("/", 1)[1]: row for row in made.store.rows(ArtifactKey("teacher_solutions", STUDENT))}
        for made in (shown, again)
    )
    assert {name: row["prompt_tokens"] for name, row in now.items()} == {
        name: row["student_prompt_tokens"] for name, row in was.items()
    }


@pytest.mark.parametrize("change", [{"seed": 7}, {"k": 3}])
def test_another_seed_or_k_shows_other_candidates_and_is_refused(drawn, recording, tmp_path, change):
    written = taught_by(recording, drawn) | change
    with pytest.raises(EngineError, match="was recorded in llama-big for another prompt"):
        School(written, tmp_path).run_all()


def test_more_samples_than_are_recorded_are_refused(drawn, recording, tmp_path):
    written = taught_by(recording, drawn)
    written["students"][STUDENT]["solutions"]["samples"] += 1
    with pytest.raises(EngineError, match="samples are not recorded in llama-big, first"):
        School(written, tmp_path).run_all()


def test_refinements_of_shortened_candidates_cannot_be_recorded(drawn, tmp_path):
    made = drawn.copy(tmp_path / "artifacts")
    made.rewrite("teacher_refinements", STUDENT, shortened_candidates=3)
    with pytest.raises(RecordingError, match="3 candidates were shortened"):
        record_teaching(TeachingRun(made.experiment, made.store, STUDENT), tmp_path)


def test_a_model_that_gave_candidates_and_solutions_cannot_be_recorded(drawn, tmp_path):
    written = copy.deepcopy(drawn.written)
    written["students"][STUDENT]["teacher"] = "llama-tiny"
    run = TeachingRun(Experiment.model_validate(written), drawn.store, STUDENT)
    with pytest.raises(RecordingError, match="llama-tiny gave both candidates and solutions"):
        record_teaching(run, tmp_path)
