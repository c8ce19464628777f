import gzip

import pytest
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from tests.places import DATA

RECORDED = DATA / "recorded"
needs_data = pytest.mark.skipif(not RECORDED.is_dir(), reason="the shared recorded samples are not here")


def gsr(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


@needs_data
def test_recorded_refinements_become_an_experiment_that_runs_without_a_model(tmp_path, monkeypatch):
    with gzip.open(RECORDED / "gpt-3.5-turbo.math500.refined.jsonl.gz", "rt") as rows:
        some = [line for line, _ in zip(rows, range(120), strict=False)]
    (tmp_path / "some.jsonl").write_text("".join(some))
    folder = tmp_path / "gpt"
    told = gsr(
        "import", str(tmp_path / "some.jsonl"), "--to", str(folder), "--model", "gpt3.5-turbo", "--parameters", "2e10"
    )
    assert "words are counted instead" in told
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    ran = gsr("-e", str(folder / "experiment.yaml"), "run")
    (imported,) = [line.split() for line in told.splitlines() if line.startswith("4 ")]
    reported = next(line.split() for line in ran.splitlines() if line.startswith("recorded "))
    vote, refinement, gap = reported[3], reported[4], reported[6:]
    assert imported[-5:] == [vote, refinement, *gap], "the import's table and the gap report's agree"
    printed = float(gap[0].replace("−", "-"))
    assert float(refinement) - float(vote) == pytest.approx(printed), "and what they print adds up"


@needs_data
def test_fields_that_do_not_exist_are_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "1 + 1?"}')
    arguments = ["--to", str(tmp_path / "to"), "--model", "a-b", "--parameters", "1"]
    result = CliRunner().invoke(main, ["import", str(tmp_path / "rows.jsonl"), *arguments])
    assert result.exit_code == 1
    assert "row 1: no field 'problem'" in result.output
    assert "it has prompt" in result.output
