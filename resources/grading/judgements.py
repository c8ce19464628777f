"""Judgements that outlive their process: by gold, domain, answer and the grader's version, in the cache folder.

They save time and decide nothing: without them, or where they are damaged, answers are judged again. Of a
reference all judgements stand in one entry, since the names that equal answers share are of one
process: what another process found meanwhile is never mixed with them.
"""

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress

from resources.grading.worker import GAVE_UP, Judgement
from resources.store.files import cache_folder
from resources.store.hashes import sha256

SECONDS_TO_WAIT = 30
TABLE = "create table if not exists judged (reference text primary key, sha256 text, judgements text) without rowid"
# So many names are asked for at once: SQLite takes no more than some thousands.
AT_ONCE = 500

log = logging.getLogger(__name__)

Judgements = Mapping[str, Judgement]


class KeptJudgements:
    """The judgements of one version of a grader."""

    def __init__(self, version: str):
        self.path = cache_folder() / "judgements" / f"{sha256(version.encode())[:16]}.sqlite"

    def written(self) -> tuple[int, int] | None:
        """Return what tells the file from what it is once somebody writes into it, None where there is none."""
        with suppress(OSError):
            found = self.path.stat()
            return found.st_mtime_ns, found.st_size
        return None

    def read(self, references: Iterable[str]) -> dict[str, dict[str, Judgement]]:
        """Return what is kept of the named references, by answer; nothing of one whose entry is damaged."""
        names = list(references)
        parts = [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]
        found = dict[str, dict[str, Judgement]]()
        if not names or not self.path.is_file():
            return found
        with self._unless_it_fails(), self._opened() as connection:
            for part in parts:
                places = ", ".join("?" * len(part))
                query = f"select reference, sha256, judgements from judged where reference in ({places})"
                for name, digest, text in connection.execute(query, part):
                    if digest != _digest(name, text):
                        log.warning("%s: an entry is damaged. Its answers are judged again.", self.path)
                        continue
                    found[name] = {answer: Judgement(*judged) for answer, judged in json.loads(text).items()}
        return found

    def keep(self, judged: Mapping[str, Judgements]) -> None:
        """Keep the judgements of references, where they hold all that is kept of these already."""
        with self._unless_it_fails():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._opened() as connection:
                connection.execute("begin immediate")
                for name, judgements in judged.items():
                    self._keep(connection, name, judgements)
                connection.commit()

    @staticmethod
    def _keep(connection: sqlite3.Connection, name: str, judgements: Judgements) -> None:
        query = "select sha256, judgements from judged where reference = ?"
        digest, before = connection.execute(query, [name]).fetchone() or (None, "{}")
        kept = {
            answer: [judgement.verdict, judgement.same_as]
            for answer, judgement in judgements.items()
            if judgement.verdict not in GAVE_UP  # another machine may read it
        }
        if digest != _digest(name, before) or _holds(kept, json.loads(before)):
            text = json.dumps(kept)
            connection.execute("insert or replace into judged values (?, ?, ?)", [name, _digest(name, text), text])

    def _opened(self) -> "closing[sqlite3.Connection]":
        connection = sqlite3.connect(self.path, timeout=SECONDS_TO_WAIT, isolation_level=None)
        try:
            connection.execute(TABLE)
        except sqlite3.Error:
            connection.close()
            raise
        return closing(connection)

    @contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        """Say what cannot be used, and remove what is damaged: answers are judged again."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            log.warning("%s: %s. Answers are judged again.", self.path, error)
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                self.path.unlink(missing_ok=True)


def _holds(judgements: Mapping[str, list[str]], others: Mapping[str, list[str]]) -> bool:
    return all(judgements.get(answer) == judged for answer, judged in others.items())


def _digest(name: str, text: str) -> str:
    return sha256(f"{name}\n{text}".encode())
