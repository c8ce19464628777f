"""What is asked of a model and a student is what their evaluation asks, and what they can be asked at all."""

import pytest
import yaml

from assets.evaluation.fingerprints import checkpoint_key
from gsr_dagster.answering.asked import read_request
from gsr_dagster.answering.engine_queue import EngineQueue
from gsr_dagster.answering.solving import Read, Solver
from gsr_dagster.answering.subject import Subject, SubjectError, answering, outdated
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey
from gsr_dagster.method.prompting.prompts import summarise
from resources.engines.base import Sample, chat_sha256
from resources.grading.grader import Grader
from tests.school import SKILLS, STUDENT, ScriptedEngine


def solver_of(experiment: Experiment, subject: str) -> Solver:
    engine = ScriptedEngine(SKILLS["student"])
    return Solver(Subject(experiment, subject, engine), EngineQueue(engine, threads=0), Grader(name="exact"))


def asked_of(solver: Solver, problem: str, **fields):
    body = {"model": solver.subject.name, "messages": [{"role": "user", "content": problem}], **fields}
    return read_request(body, solver.subject)


@pytest.mark.parametrize(("lane", "subject"), [("base", "llama-tiny"), ("student", STUDENT)])
def test_both_prompts_are_those_of_the_evaluation_to_the_letter(finished_school, lane, subject):
    """Held against the hashes of what was sent. The candidates there were shortened to the token budget."""
    key, store = EvaluationKey(lane, "sums", subject), finished_school.store
    solver = solver_of(finished_school.experiment, subject)
    problems = {row["problem_id"]: row["problem"] for row in store.read(key.problems)}
    pool = {row["candidate_id"]: row for row in store.read(key.artifact("candidate_pools"))}
    refinements = store.read(key.artifact("self_refinements"))
    assert len(refinements) == 48
    shortened = 0
    for row in refinements:
        members = [pool[name] for name in row["candidate_ids"]]
        group = [
            Read(Sample("", 0, 0, one["text"], "stop", 0, 0), summarise(one["text"], None), None) for one in members
        ]
        asked = asked_of(solver, problems[row["problem_id"]])
        messages, cut = solver.refinement_chat(asked, group)
        assert chat_sha256(messages) == row["prompt_sha256"]
        assert {chat_sha256(solver.direct_chat(asked))} == {one["prompt_sha256"] for one in members}
        assert asked.refinement == finished_school.experiment.rollout("refinement", subject)
        shortened += cut
    assert shortened > 0


def test_of_answers_that_tie_the_seed_draws_one_and_without_answers_the_first_candidate_is_taken(finished_school):
    solver = solver_of(finished_school.experiment, STUDENT)

    def vote(*answers: str | None, **fields):
        reads = [Read(Sample("", 0, 0, "", "stop", 0, 0), "", answer) for answer in answers]
        return solver.vote(asked_of(solver, "?", **fields), reads)

    drawn = {vote("7", "8", None, "8", "7", seed=seed).chosen for seed in range(20)}
    assert drawn == {0, 1}
    tied, sure, none = vote("7", "8"), vote("8", "7", "7", None), vote(None, None)
    assert (tied.tied, tied.agreement) == (True, 0.5)
    assert (sure.tied, sure.agreement, sure.chosen) == (False, 0.5, 1)
    assert (none.tied, none.agreement, none.chosen) == (False, 0.0, 0)


def test_answers_are_read_as_in_the_benchmarks_unless_a_request_says_it(finished_school):
    solver = solver_of(finished_school.experiment, STUDENT)
    assert asked_of(solver, "?").domain == "math"
    assert asked_of(solver, "?", domain="multiple_choice").domain == "multiple_choice"
    written = {**finished_school.written, "benchmarks": {"kk": {"source": "hub:knights-and-knaves-4", "samples": 4}}}
    other = Experiment.model_validate(written)
    assert Subject(other, STUDENT, solver.subject.engine).domain == "knights_knaves"


def test_a_student_that_is_not_trained_cannot_answer(finished_school, tmp_path):
    school = finished_school.copy(tmp_path / "school")
    answering(school.experiment, school.store, STUDENT)
    (tmp_path / "school" / checkpoint_key(STUDENT).path / "manifest.json").unlink()
    with pytest.raises(SubjectError, match=f"{STUDENT} is not trained yet: gsr run trains it"):
        answering(school.experiment, school.store, STUDENT)


def test_a_student_of_an_earlier_experiment_file_is_known(finished_school, tmp_path):
    assert not outdated(finished_school.experiment, finished_school.store, STUDENT)
    (written := {**finished_school.written["students"][STUDENT]})["keep_when_all_correct"] = 1
    later = finished_school.copy(tmp_path / "school", students={STUDENT: written})
    assert outdated(later.experiment, later.store, STUDENT)


def test_recorded_samples_and_batches_cannot_answer(finished_school, recorded_family):
    recorded = Experiment.model_validate(yaml.safe_load(recorded_family.path.read_text()))
    with pytest.raises(SubjectError, match="recorded: its engine holds samples of certain problems"):
        answering(recorded, finished_school.store, "qwen2.5-7b")
    batch = {"kind": "openai", "base_url": "http://localhost:1/v1", "model": "m", "mode": "batch"}
    families = {"llama": {"tiny": {"engine": batch}}}
    left = {
        name: part for name, part in finished_school.written.items() if name not in ("students", "training_problems")
    }
    with pytest.raises(SubjectError, match="mode: requests"):
        answering(Experiment.model_validate({**left, "families": families}), finished_school.store, "llama-tiny")
