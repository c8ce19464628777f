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
        ([], "name a STUDENT, or write --samples"),
        ([STUDENT, "--as", "inspect"], "--as is about samples: write --samples too"),
        ([STUDENT, "--samples"], "STUDENT is about a student's weights, which --samples does not write"),
        (["--samples", "--merged"], "--merged is about a student's weights, which --samples does not write"),
        (["--samples", "--model", "llama-tini"], "no model or student 'llama-tini': did you mean llama-tiny?"),
        (["--samples", "--benchmark", "sum"], "no benchmark 'sum': did you mean sums?"),
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


def test_samples_are_written_and_counted_and_what_is_missing_is_named(export, school, tmp_path):
    (Path(school.store.root) / "base/gap_reports/sums/llama-tiny/manifest.json").unlink()
    code, told = export("--samples", "--model", "llama-tiny", "--model", "llama-big")
    assert code == 0, told
    assert told.splitlines() == [
        "candidates-sums: 192 rows of llama-big, llama-tiny",
        "refinements-sums: 48 rows of llama-big",
        "Missing: 1 artifacts, which gsr run makes. base/gap_reports[sums|llama-tiny]: not made yet.",
        f"240 rows in {tmp_path / 'student'}",
    ]
    assert sorted(path.name for path in (tmp_path / "student").iterdir()) == ["README.md", "candidates", "refinements"]
    code, told = export("--samples", "--as", "lm-eval")
    assert code == 1
    assert "is there and not empty" in told


def test_pools_are_written_in_the_form_of_lm_eval(export, tmp_path):
    code, told = export("--samples", "--as", "lm-eval", "--model", "llama-big")
    assert code == 0, told
    assert told.splitlines()[0] == "sums: 96 rows of llama-big"
    assert {path.name.partition("_")[0] for path in (tmp_path / "student" / "llama-big").iterdir()} == {
        "samples",
        "results",
    }
