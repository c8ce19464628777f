"""Dagster's SQLite storage, with connections to the event log that are kept.

Dagster's own opens a database for every event and compiles every statement anew, which was a third of the
time of a run that samples nothing. It asks alembic for the tables of every run's database; here it is asked once a
process. Files and tables are the same: either opens what the other wrote.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool

# The index and the runs that are looked at: every run has a database of its own.
MOST_KEPT = 8


class KeptSqliteStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage with such an event log."""

    def __init__(self, base_dir: str, inst_data: Any = None):
        super().__init__(base_dir, inst_data)
        self._event_log_storage = KeptEventLog(self._event_log_storage._base_dir)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "KeptSqliteStorage":
        return cls.from_local(inst_data=inst_data, **config_value)


class KeptEventLog(SqliteEventLogStorage):
    """An event log that keeps its connections."""

    def __init__(self, base_dir: str):
        # By database, those that were used last at the end, each with the file that it is connected to.
        self._kept: dict[str, tuple[Engine, tuple[int, int] | None]] = {}
        self._tables = set[str]()
        super().__init__(base_dir)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> Engine:
        """Return what is connected to a database; where its file was removed or replaced, to the one that is there now."""
        path = self.path_for_shard(shard)
        engine, file = self._kept.pop(shard, (None, None))
        if engine is not None and file != _file(path):
            engine.dispose()
            self._initialized_dbs.discard(shard)
            engine = None
        if engine is None:
            address = self.conn_string_for_shard(shard)
            engine = create_engine(address, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
            if not os.path.exists(path):
                self._initialized_dbs.discard(shard)
                # Where another process makes it just now, Dagster's own way below waits for that.
                with suppress(sqlite3.OperationalError):
                    self._make(path, shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            file = _file(path)
        self._kept[shard] = (engine, file)
        while len(self._kept) > MOST_KEPT:
            self._forget(next(iter(self._kept)))
        return engine

    def _make(self, path: str, shard: str) -> None:
        """Make a database with Dagster's tables, unless it has tables by now."""
        with closing(sqlite3.connect(path, SQLITE_BUSY_TIMEOUT_SECONDS, isolation_level=None)) as database:
            database.execute("pragma journal_mode=wal")
            database.execute("begin immediate")
            empty = not database.execute("select name from sqlite_master").fetchone()
            for statement in self._making_tables if empty else ():
                database.execute(statement)
            database.execute("commit")
        if empty:
            self._initialized_dbs.add(shard)

    @cached_property
    def _making_tables(self) -> list[str]:
        """The statements that make Dagster's tables in an empty database."""
        engine = create_engine("sqlite://", poolclass=StaticPool)
        self._initdb(engine)
        with engine.connect() as connection:
            database: Any = connection.connection.driver_connection
            _begin, *statements, _commit = database.iterdump()
        engine.dispose()
        return statements

    def has_table(self, table_name: str) -> bool:
        """Return whether the index has a table. No table is ever dropped."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def dispose(self) -> None:
        super().dispose()
        with self._db_lock:
            for shard in [*self._kept]:
                self._forget(shard)

    def _forget(self, shard: str) -> None:
        engine, _ = self._kept.pop(shard)
        engine.dispose()


def _file(path: str) -> tuple[int, int] | None:
    """Return what tells a file from one that has its name later."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
