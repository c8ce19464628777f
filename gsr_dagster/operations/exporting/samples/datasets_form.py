"""Samples as a data set that `load_dataset` takes: Parquet files, a config for each benchmark and student."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from assets.evaluation.evaluation_run import EvaluationRun
from gsr_dagster.experiment.keys import TRAINING_PROBLEMS
from gsr_dagster.method.rows import Row
from gsr_dagster.operations.exporting.samples.choosing import Chosen
from gsr_dagster.operations.exporting.samples.reading import candidates, refinements, training_rows
from gsr_dagster.operations.exporting.samples.tables import COLUMNS, Kind, write_table
from resources.reporting.cards.samples_card import Part


def write_tables(chosen: Chosen, folder: Path) -> list[Part]:
    """Write the files of every config: one a benchmark and model, one a student."""
    parts = [
        *_by_benchmark(folder, "candidates", chosen.pools, candidates),
        *_by_benchmark(folder, "refinements", chosen.refined, refinements),
    ]
    for run in chosen.taught:
        teachers = set[str]()
        file = f"training/{run.name}.parquet"
        rows = write_table(folder / file, COLUMNS["training"], _noting(training_rows(run), "teacher", teachers))
        parts.append(_part("training", f"training-{run.name}", file, "train", str(TRAINING_PROBLEMS), teachers, rows))
    return parts


def _by_benchmark(
    folder: Path, kind: Kind, runs: Iterable[EvaluationRun], read: Callable[[EvaluationRun], Iterator[list[Row]]]
) -> Iterator[Part]:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for run in runs:
        path = folder / kind / run.key.benchmark / f"{run.subject}.parquet"
        counts[run.key.benchmark][run.subject] = write_table(path, COLUMNS[kind], chain.from_iterable(read(run)))
    for benchmark, of in counts.items():
        files = f"{kind}/{benchmark}/*.parquet"
        yield _part(kind, f"{kind}-{benchmark}", files, "test", benchmark, of, sum(of.values()))


def _part(kind: Kind, name: str, files: str, split: str, problems: str, models: Iterable[str], rows: int) -> Part:
    columns = [(column.name, str(column.type), column.holds) for column in COLUMNS[kind]]
    return Part(name, files, split, kind, problems, sorted(models), rows, columns)


def _noting(rows: Iterable[Row], column: str, values: set[str]) -> Iterator[Row]:
    """Yield rows as they are, and add what a column holds to a set."""
    for row in rows:
        values.add(row[column])
        yield row
