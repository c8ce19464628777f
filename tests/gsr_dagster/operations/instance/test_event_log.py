"""The event log that keeps its connections, beside Dagster's own on the same files."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import text

from gsr_dagster.operations.instance.event_log import MOST_KEPT, KeptEventLog
from gsr_dagster.operations.instance.preparing import DAGSTER_YAML, STORAGE
from tests.running import instance_in

Open = Callable[[str], dg.DagsterInstance]


@dg.asset(check_specs=[dg.AssetCheckSpec("whole", asset="pool")])
def pool():
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="whole")])


@pytest.fixture
def opened(tmp_path) -> Iterator[Open]:
    """Return what opens an instance of the same folder, "kept" or as Dagster does it."""
    with ExitStack() as stack:

        def instance(kind: str) -> dg.DagsterInstance:
            (tmp_path / "dagster.yaml").write_text(
                DAGSTER_YAML if kind == "kept" else DAGSTER_YAML.replace(STORAGE, "")
            )
            return stack.enter_context(instance_in(tmp_path))

        yield instance


def run(instance: dg.DagsterInstance) -> str:
    result = dg.materialize([pool], instance=instance)
    assert result.success
    return result.run_id


def events(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [repr(entry) for entry in instance.all_logs(run_id)]


def materializations(instance: dg.DagsterInstance) -> list[str]:
    return [record.run_id for record in instance.fetch_materializations(pool.key, limit=100).records]


def test_either_reads_what_the_other_wrote(opened):
    kept, own = opened("kept"), opened("dagster's own")
    assert isinstance(kept.event_log_storage, KeptEventLog)
    assert not isinstance(own.event_log_storage, KeptEventLog)
    runs = [run(kept), run(own), run(kept)]
    for run_id in runs:
        assert events(kept, run_id) == events(own, run_id) != []
    assert materializations(kept) == materializations(own) == runs[::-1]


def test_what_another_process_wipes_is_gone_and_runs_go_on(opened):
    kept, own = opened("kept"), opened("dagster's own")
    before = run(kept)
    own.wipe()
    assert events(kept, before) == []
    assert materializations(kept) == []
    after = run(kept)
    assert events(own, after) == events(kept, after) != []


def test_an_index_that_is_replaced_is_the_one_that_is_read(opened, tmp_path):
    kept, index = opened("kept"), tmp_path / "history" / "runs" / "index.db"
    run(kept)
    for path in index.parent.glob("index.db*"):
        path.unlink()
    assert materializations(kept) == []
    assert materializations(opened("dagster's own")) == []


def test_a_runs_database_has_the_tables_that_dagster_makes(tmp_path):
    kept, own = KeptEventLog(str(tmp_path)), SqliteEventLogStorage(str(tmp_path))
    with kept.run_connection("ours"), own.run_connection("theirs"):
        pass
    ours, theirs = tables(tmp_path / "ours.db"), tables(tmp_path / "theirs.db")
    assert ours == theirs
    assert any("event_logs" in statement for statement in ours)


def tables(path: Path) -> list[str]:
    """Return all that a database holds, as statements, and how it is written to."""
    with closing(sqlite3.connect(path)) as database:
        return [*sorted(database.iterdump()), *database.execute("pragma journal_mode").fetchone()]


def test_processes_that_open_the_database_of_a_run_at_once_find_its_tables(tmp_path):
    logs = [kind(str(tmp_path)) for kind in (KeptEventLog, SqliteEventLogStorage) for _ in range(4)]
    for number in range(10):
        together = threading.Barrier(len(logs))

        def count(log: SqliteEventLogStorage, run_id: str, together: threading.Barrier) -> int:
            together.wait()
            with log.run_connection(run_id) as connection:
                return connection.execute(text("select count(*) from event_logs")).scalar_one()

        with ThreadPoolExecutor(len(logs)) as pool:
            asked = [pool.submit(count, log, f"run {number}", together) for log in logs]
            assert [answer.result() for answer in asked] == [0] * len(logs)


def test_no_more_databases_stay_open_than_are_looked_at(opened, tmp_path):
    kept = opened("kept")
    runs = [run(kept) for _ in range(MOST_KEPT + 3)]
    assert all(events(kept, run_id) for run_id in runs)
    assert len(databases(tmp_path)) == MOST_KEPT
    kept.event_log_storage.dispose()
    assert databases(tmp_path) == []


def databases(home: Path) -> list[str]:
    """Return the databases of events that this process has open."""
    files = (Path(file.path) for file in psutil.Process().open_files())
    return [file.name for file in files if file.parent == home / "history" / "runs" and file.suffix == ".db"]


def test_threads_write_and_read_at_the_same_time(opened):
    kept, seen = opened("kept"), []

    def report() -> None:
        for _ in range(10):
            kept.report_runless_asset_event(dg.AssetMaterialization(pool.key))
            seen.append(len(materializations(kept)))

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(seen) == len(materializations(opened("dagster's own"))) == 40
