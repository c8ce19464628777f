"""Worked refinements stand before what a teacher and a base model are asked, and nowhere in what a student sees."""

import json
from collections import defaultdict

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.prompting.prompts import REFINE_ROLE, refinement_messages, refinement_turns
from tests import school
from tests.running import recipe_of
from tests.school import STUDENT, School, ScriptedEngine

WORKED = {
    "problem": "What is 1 + 1?",
    "candidates": ["\\boxed{2}", "\\boxed{3}"],
    "refinement": "2 adds up. \\boxed{2}",
}
TURNS = refinement_turns([(WORKED["problem"], WORKED["candidates"], WORKED["refinement"])])


@pytest.fixture
def asked(monkeypatch) -> dict[str, list]:
    """The chats that each scripted model was asked, "student" for one with a checkpoint."""
    asked = defaultdict(list)

    class Listening(ScriptedEngine):
        def __init__(self, name):
            super().__init__(school.SKILLS[name])
            self.name = name

        def sample(self, requests, settings):
            asked[self.name] += [request.messages for request in requests]
            return super().sample(requests, settings)

    school.play(monkeypatch)
    monkeypatch.setattr(
        "resources.engines.loading._engine",
        lambda model, checkpoint: Listening("student" if checkpoint else model.source.rpartition("/")[2]),
    )
    monkeypatch.setattr("resources.engines.loading._loaded", {})
    return asked


def with_worked_refinements(folder, **of_training) -> School:
    document = school.document(folder)
    document["benchmarks"]["sums"]["worked_refinements"] = [WORKED]
    document["training_problems"] |= {"worked_refinements": [WORKED], **of_training}
    return School(document, folder / "artifacts")


def refining(chats: list) -> list:
    return [chat for chat in chats if chat[-1]["content"].startswith(REFINE_ROLE)]


def test_models_are_shown_them_as_turns_and_students_are_not(tmp_path, asked):
    made = with_worked_refinements(tmp_path)
    made.run_all()
    for model in ("tiny", "big"):
        assert refining(asked[model])
        assert all(chat[:2] == TURNS and len(chat) == 3 for chat in refining(asked[model]))
    assert refining(asked["student"])
    assert all(len(chat) == 1 for chat in refining(asked["student"]))
    rows = made.store.read(ArtifactKey("training_sets", STUDENT))
    refinements = [json.loads(row["messages"]) for row in rows if row["kind"] == "refinement"]
    assert refinements
    assert all(len(chat) == 1 and chat[0]["content"].startswith(REFINE_ROLE) for chat in refinements)
    assert all(check.passed for check in made.checks("training_sets").values() if check.check_name != "all_wrong_kept")


def test_the_students_prompt_is_measured_without_them(tmp_path, asked):
    made = with_worked_refinements(tmp_path)
    made.run_all()
    for row in made.store.read(ArtifactKey("teacher_refinements", STUDENT)):
        (plain,) = json.loads(row["messages"])
        assert row["student_prompt_tokens"] == len(plain["content"])


def test_students_can_be_spared_the_worked_examples_of_direct_prompts_too(tmp_path, asked):
    made = with_worked_refinements(tmp_path, students_see_examples=False)
    made.run_all()
    solutions = [
        c for c in asked["big"] if not c[-1]["content"].startswith(REFINE_ROLE) and "What is 2" in c[-1]["content"]
    ]
    assert any(len(chat) == 3 for chat in solutions)
    rows = made.store.read(ArtifactKey("training_sets", STUDENT))
    assert {len(json.loads(row["messages"])) for row in rows} == {1}
    assert made.checks("training_sets")["no_gold_in_prompts"].passed


def test_they_are_in_the_fingerprints_of_what_is_asked_with_them_and_of_nothing_else(tmp_path):
    plain = School(school.document(tmp_path), tmp_path / "artifacts")
    document = {
        **plain.written,
        "benchmarks": {"sums": {**plain.written["benchmarks"]["sums"], "worked_refinements": [WORKED]}},
    }
    worked = School(document, tmp_path / "artifacts")

    def same(asset: str, partition: str) -> bool:
        key = ArtifactKey(asset, partition)
        return len({recipe_of(one.experiment, one.store, key).fingerprint for one in (plain, worked)}) == 1

    assert not same("base/self_refinements", "sums|llama-tiny")
    assert same("base/candidate_pools", "sums|llama-tiny")
    assert same("student/self_refinements", f"sums|{STUDENT}")
    assert same("teacher_refinements", STUDENT)


def test_an_example_is_written_as_the_prompt_and_its_answer():
    assert [
        *refinement_messages("What is 1 + 1?", ["\\boxed{2}", "\\boxed{3}"]),
        {"role": "assistant", "content": "2 adds up. \\boxed{2}"},
    ] == TURNS
