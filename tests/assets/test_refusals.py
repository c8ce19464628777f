"""What an asset refuses to read where a check would have failed, with the reason."""

from pathlib import Path

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from tests.school import STUDENT, School

TRAINED = f"sums|{STUDENT}"


@pytest.fixture
def school(finished_school: School, tmp_path: Path) -> School:
    return finished_school.copy(tmp_path / "artifacts")


@pytest.mark.parametrize(
    ("read", "reader", "partition"),
    [
        ("base/candidate_pools", "base/graded_candidates", "sums|llama-tiny"),
        ("student/self_refinements", "student/gap_reports", TRAINED),
        ("training_candidates", "teacher_refinements", STUDENT),
        ("teacher_refinements", "training_sets", STUDENT),
        ("teacher_solutions", "training_sets", STUDENT),
    ],
)
def test_samples_that_are_incomplete_are_not_read(school, read, reader, partition):
    school.rewrite(read, partition, lambda rows: rows[1:])
    message = school.refusal(reader, partition)
    assert f"{read}[{partition}] lacks 1 of its samples, the first " in message
    assert "materialize it again" in message


@pytest.mark.parametrize(("left", "refinements"), [(slice(1, None), "refinements and"), (slice(0, 0), "0 refinements")])
def test_a_student_is_not_trained_on_rows_out_of_balance(school, left, refinements):
    school.rewrite("training_sets", STUDENT, lambda rows: rows[left] or [{**rows[0], "kind": "other"}])
    message = school.refusal("lora_checkpoints")
    assert f"training_sets[{STUDENT}] holds " in message
    assert refinements in message


def test_a_student_whose_chain_is_broken_is_not_evaluated(school):
    key = ArtifactKey("training_candidates", STUDENT)
    school.rewrite(key.asset, key.partition, lambda rows: rows[1:])
    message = school.refusal("student/candidate_pools", TRAINED)
    assert f"the lineage of {STUDENT}'s checkpoint is broken in 1 places, first at {key}: it is " in message
    assert f"`gsr lineage {STUDENT}` shows the whole chain" in message
