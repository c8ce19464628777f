"""gsr export: what is said of a student that is written, and of one that is not, as a user sees it."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from tests.school import STUDENT, School


@pytest.fixture
def export(school: School, tmp_path: Path):
    def ask(*arguments: str) -> tuple[int, str]:
        told = ["-e", str(tmp_path / "school.yaml"), "export", *arguments, "--to", str(tmp_path / "student")]
        result = CliRunner().invoke(main, told)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return ask


def test_an_adapter_without_a_public_base_is_written_and_said_to_need_the_weights(export, tmp_path):
    code, told = export(STUDENT)
    assert code == 0, told
    assert told.splitlines() == [
        f"{STUDENT}, its adapter: {tmp_path / 'student'}",
        "There are no public weights of llama-tiny, which tools need to load the adapter: --merged writes all weights.",
    ]
    assert (tmp_path / "student" / "README.md").exists()
    code, told = export(STUDENT)
    assert code == 1
    assert "is there and not empty" in told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["llama-studant"], f"no student 'llama-studant': did you mean {STUDENT}?"),
        ([STUDENT, "--public"], "--public is about --push ORG/NAME"),
        ([STUDENT, "--push", "student"], "names no owner: write ORG/NAME"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line_and_nothing_is_written(export, tmp_path, arguments, says):
    code, told = export(*arguments)
    assert code != 0
    assert says in told
    assert not (tmp_path / "student").exists()


def test_a_student_that_is_not_trained_yet_is_said_to_be_so(export, school):
    shutil.rmtree(Path(school.store.root) / "lora_checkpoints")
    assert export(STUDENT) == (1, f"Error: {STUDENT} is not trained yet: gsr run trains it\n")
