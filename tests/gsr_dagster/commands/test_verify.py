"""What `gsr verify` says of a store, and what a script makes of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe

RECIPE = Recipe(ArtifactKey("benchmark_problems", "sums"), settings={})


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "1000")
    for name in ("GSR_ARTIFACTS", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def verify(*options: str) -> Result:
    result = CliRunner().invoke(main, ["-e", "demo", "verify", *options])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


@pytest.mark.parametrize("options", [(), ("--drop",)])
def test_of_an_empty_store_it_says_so_and_where_it_looked_and_fails(home, options):
    result = verify(*options)
    assert result.exit_code == 1
    assert f"{home}/artifacts/demo is empty: nothing of demo is stored there, so nothing was checked" in result.output
    assert not home.exists()


def test_files_of_others_do_not_make_a_store(home):
    folder = home / "artifacts" / "demo" / "somewhere"
    folder.mkdir(parents=True)
    (folder / "notes.txt").touch()
    assert "is empty" in verify().output


def test_of_a_whole_store_it_says_how_many_files_it_checked_and_where(home):
    store = ArtifactStore(root=str(home / "artifacts" / "demo"))
    store.publish(RECIPE, [store.put_shard(RECIPE, [{"problem_id": "sums/1"}])], {})
    result = verify()
    assert result.exit_code == 0
    assert f"Every stored file of demo is what its hash says: 2 in {home}/artifacts/demo." in result.output


@pytest.mark.parametrize("command", ["verify", "run", "report", "sql", "page"])
@pytest.mark.parametrize("root", ["gcs://bucket/prefix", "S3://", "s3://", "~nobody-of-this-name/x"])
def test_a_root_that_is_none_is_refused_by_every_command(home, tmp_path, monkeypatch, command, root):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GSR_ARTIFACTS", root)
    result = CliRunner().invoke(main, ["-e", "demo", command])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: GSR_ARTIFACTS: {root}: ")
    assert list(tmp_path.iterdir()) == []
