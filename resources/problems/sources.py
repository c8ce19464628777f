"""Problems from their source: rows of ``problem_id``, ``problem``, ``answer`` and ``domain``.

load_problems("math500", ProblemSet(source="hub:math500"))            all 500, by their ids
load_problems("few", ProblemSet(source="file:x.jsonl", problems=20))  a seeded choice of 20
"""

import importlib.util
import random
import sys
import types
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from gsr_dagster.experiment.problems.datasets import REGISTRY, Domain, HubDataset
from gsr_dagster.experiment.problems.golds import GoldError, as_text, solution_answer
from gsr_dagster.experiment.problems.problem_sets import GENERATED, SYLLABLES, ProblemSet
from gsr_dagster.method.rows import Row
from resources.models.hub import hub_errors_as
from resources.problems.lines import LINES_VERSION, lines_problems
from resources.problems.multiple_choice import lettered
from resources.problems.row_files import RowFileError, read_rows
from resources.store.errors import ArtifactError
from resources.store.hashes import input_sha256

MOST_GENERATED_PER_PROBLEM = 50


@dataclass(frozen=True)
class Problems:
    """The rows of a problem set, and how many of the source were left out, by the reason.

    ``golds_read_from_solutions`` is of how many rows the answer was a whole solution.
    """

    rows: list[Row]
    left_out: dict[str, int]
    golds_read_from_solutions: int = 0


def problem_set_identity(problem_set: ProblemSet) -> dict[str, Any]:
    """Return what pins the problems: a file by its content. Raises ArtifactError where it is missing."""
    kind, _, name = problem_set.source.partition(":")
    settings = problem_set.model_dump(include={"source", "options", "seed"}) | {"domain": domain_of(problem_set)}
    if kind == "file":
        settings["source"] = f"file:sha256:{input_sha256(Path(name))}"
    if kind == "lines":
        settings["version"] = LINES_VERSION
    if kind == "hub":
        settings["source"] = f"hub:{REGISTRY[name].repository}@{REGISTRY[name].revision}"
    return settings


def load_problems(name: str, problem_set: ProblemSet, excluded: Collection[str] = ()) -> Problems:
    """Return the set's problems, each text once, without those whose text is excluded.

    Ids are NAME/ID with the source's own id, else NAME/NUMBER in its order. Fewer problems
    than the source has are a seeded choice, of which more problems keep all. Raises
    ArtifactError where the source has too few, or not as many as it should have, repeats
    an id, lacks a column or refuses the options.
    """
    kind = problem_set.source.partition(":")[0]
    found = list(_generated(name, problem_set, excluded) if kind in GENERATED else _read(name, problem_set))
    seen, left_out = set(excluded), Counter()
    rows: list[Row] = []
    solutions: set[str] = set()
    for problem_id, problem, answer, is_solution in found:
        reason = (
            "empty problem" if not problem.strip()
            else "empty answer" if not answer.strip()
            else "in a benchmark" if problem in excluded
            else "repeated" if problem in seen
            else None
        )  # fmt: skip
        if reason:
            left_out[reason] += 1
            continue
        seen.add(problem)
        number = f"{len(rows):05d}" if problem_id is None else problem_id
        rows.append(
            {"problem_id": f"{name}/{number}", "problem": problem, "answer": answer, "domain": domain_of(problem_set)}
        )
        if is_solution:
            solutions.add(rows[-1]["problem_id"])
    repeated = [problem_id for problem_id, count in Counter(row["problem_id"] for row in rows).items() if count > 1]
    if repeated:
        raise ArtifactError(
            f"{name}: {problem_set.source} has {len(repeated)} ids twice, first {repeated[0]}; give each problem an id "
            "of its own, such as SUBTASK/ID, or name another column with options: {id: COLUMN}; "
            "where there is no such column, problems are numbered"
        )
    wanted = problem_set.problems or len(rows)
    if len(rows) < wanted or not rows:
        raise ArtifactError(f"{name}: {problem_set.source} has {len(rows)} distinct problems, not {wanted or 1}")
    if kind in GENERATED:
        return Problems(rows[:wanted], dict(left_out))
    chosen = sorted(random.Random(problem_set.seed).sample(range(len(rows)), len(rows))[:wanted])
    kept = [rows[place] for place in chosen]
    return Problems(kept, dict(left_out), sum(row["problem_id"] in solutions for row in kept))


def domain_of(problem_set: ProblemSet) -> Domain:
    """Return how the answers of a problem set are read and compared."""
    kind, _, name = problem_set.source.partition(":")
    return problem_set.domain or (REGISTRY[name].domain if kind == "hub" else "math")


Read = TypeVar("Read")
# The source's id, the problem, the answer, and whether that was read from a whole solution.
Found = tuple[str | None, str, str, bool]


def _read(name: str, problem_set: ProblemSet) -> Iterator[Found]:
    """Yield the rows of a data set of the hub, or of a file."""
    kind, _, place = problem_set.source.partition(":")
    if kind == "hub":
        entry = REGISTRY[place]
        columns = [c for c in (entry.problem, entry.answer, entry.id, *entry.filtered_by) if c]
    else:
        entry = _own_dataset(problem_set)
        named_id = [entry.id] if entry.id and "id" in problem_set.options else []
        columns = [entry.problem, entry.answer, *named_id, *problem_set.wrong_columns]
    if kind == "file":
        tables: list[Any] = [_FileRows(name, Path(place))]
    else:
        with hub_errors_as(ArtifactError, f"{name}: {problem_set.source}"):
            tables = [_of_the_hub(entry, config, by_id=kind == "hf") for config in entry.configs]
    for table in tables:
        missing = set(columns) - set(table.column_names)
        if missing:
            raise ArtifactError(
                f"{name}: {problem_set.source} has no column {', '.join(sorted(missing))}; "
                f"there are {', '.join(table.column_names)}"
            )
        wanted = [c for c in dict.fromkeys([*columns, entry.id or ""]) if c in table.column_names]
        rows = [row for row in table.select_columns(wanted) if entry.only is None or entry.only(row)]
        for number, row in enumerate(rows, start=1):
            place = f"{name}: {problem_set.source}, row {number}"
            problem_id = _cell(row, entry.id, _as_id, place) if entry.id else ""
            place += f" (id {problem_id})" if problem_id else ""
            answer = _cell(row, entry.answer, entry.read_answer, place)
            problem = _cell(row, entry.problem, _as_problem, place)
            if problem_set.wrong_columns and problem.strip() and answer.strip():
                wrong = [one for column in problem_set.wrong_columns for one in _cell(row, column, _texts, place)]
                try:
                    problem, answer = lettered(problem, answer, wrong, str(problem_set.seed))
                except GoldError as error:
                    raise ArtifactError(f"{place}: {entry.answer} is {error}") from None
                yield problem_id or None, problem, answer, False
                continue
            solved = None if kind == "hub" else solution_answer(answer, domain_of(problem_set))
            yield problem_id or None, problem, solved or answer, bool(solved)
    count = sum(len(table) for table in tables)
    if entry.problems is not None and count != entry.problems:
        raise ArtifactError(f"{name}: {problem_set.source} has {count} rows, and should have {entry.problems}")


def _own_dataset(problem_set: ProblemSet) -> HubDataset:
    """Return what the options say of a file's columns, or of a data set of the hub by its id."""
    options = problem_set.options
    repository, _, revision = problem_set.source.partition(":")[2].partition("@")
    return HubDataset(
        repository,
        revision,
        split=options.get("split", "train"),
        problem=options.get("problem", "problem"),
        answer=options.get("answer", "answer"),
        licence="",
        problems=None,
        id=options.get("id", "id"),
        configs=(options.get("config"),),
    )


def _of_the_hub(entry: HubDataset, config: str | None, by_id: bool) -> Any:
    """Return a config of a data set; one ``by_id`` as a file of its own would be read."""
    import datasets

    if not by_id:
        if Path(entry.repository).exists():  # which would be read in its place
            raise ArtifactError(f"{entry.repository} is a folder here, and not the data set of the hub: run elsewhere")
        return datasets.load_dataset(entry.repository, config, split=entry.split, revision=entry.revision)
    # A plain name would also be that of a folder here.
    path = f"hf://datasets/{entry.repository}"
    builder: Any = datasets.load_dataset_builder(path, config, revision=entry.revision)
    # In CSV texts such as None and NA would be missing; they may be an answer.
    texts: dict[str, Any] = {"keep_default_na": False} if hasattr(builder.config, "keep_default_na") else {}
    return datasets.load_dataset(path, config, split=entry.split, revision=entry.revision, **texts)


def _cell(row: Row, column: str, read: Callable[[Any], Read], place: str) -> Read:
    """Return a column of a row as ``read`` reads it. Raises ArtifactError that names the row where it has no one reading."""
    try:
        return read(row.get(column))
    except GoldError as error:
        raise ArtifactError(f"{place}: {column} is {error}") from None


def _as_id(value: Any) -> str:
    return value if isinstance(value, str) else _as_problem(value)


def _texts(value: Any) -> list[str]:
    """Return a cell of wrong answers: one, or a list of them."""
    return [as_text(one) for one in value] if isinstance(value, (list, tuple)) else [as_text(value)]


def _as_problem(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        raise GoldError(f"a list ({str(value)[:60]}): write it as text")
    return as_text(value)


class _FileRows:
    """A file's rows, in the form of a data set of the hub. Nothing is guessed: a text that looks like a date is a text."""

    def __init__(self, name: str, path: Path):
        try:
            self.rows = list(read_rows(path))
        except RowFileError as error:
            raise ArtifactError(f"{name}: {error}") from None
        self.column_names = list(dict.fromkeys(column for row in self.rows for column in row))

    def __len__(self) -> int:
        return len(self.rows)

    def select_columns(self, names: Sequence[str]) -> Iterator[Row]:
        return ({name: row.get(name) for name in names} for row in self.rows)


def _generated(name: str, problem_set: ProblemSet, excluded: Collection[str]) -> Iterator[Found]:
    """Yield new problems and answers, as many as wanted, for as long as there is hope."""
    assert problem_set.problems is not None, "refused by the experiment file's checks"
    most = MOST_GENERATED_PER_PROBLEM * problem_set.problems
    kind, _, what = problem_set.source.partition(":")
    if kind == "lines":
        lines, stations = map(int, what.split("x"))
        made = lines_problems(lines, stations, problem_set.seed, problem_set.options.get(SYLLABLES))
    else:
        made = _of_reasoning_gym(name, problem_set, most)
    seen = set(excluded)
    enough = len(seen) + problem_set.problems
    for problem, answer in islice(made, most):
        if problem not in seen:
            seen.add(problem)
            yield None, problem, answer, False
            if len(seen) == enough:
                return


def _of_reasoning_gym(name: str, problem_set: ProblemSet, most: int) -> Iterator[tuple[str, str]]:
    """Return the questions and answers of a reasoning-gym task."""
    # pycosat has no wheel and needs a compiler; of all tasks only zebra puzzles call it.
    if "pycosat" not in sys.modules and importlib.util.find_spec("pycosat") is None:
        sys.modules["pycosat"] = types.ModuleType("pycosat")
    try:
        import reasoning_gym
    except ModuleNotFoundError:
        raise ArtifactError(
            f"{name}: {problem_set.source} needs reasoning-gym, which is not installed: pip install reasoning-gym"
        ) from None

    task = problem_set.source.removeprefix("reasoning-gym:")
    try:
        dataset = reasoning_gym.create_dataset(task, size=most, seed=problem_set.seed, **problem_set.options)
    except (TypeError, ValueError, AssertionError) as error:
        raise ArtifactError(f"{name}: {problem_set.source} refuses its options: {error}") from None
    return ((entry["question"], as_text(entry["answer"])) for entry in dataset)
