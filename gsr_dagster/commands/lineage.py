"""`gsr lineage`: from a student back to the problems, why a row is in a training set, and who saw a problem."""

import sys
from bisect import bisect
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import click

from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import BENCHMARK_PROBLEMS, CONTAMINATION, TRAINING_PROBLEMS, ArtifactKey, EvaluationKey
from gsr_dagster.method.rows import Row
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.operations.provenance import TaughtRow, problem_line
from resources.store.artifacts import ArtifactStore
from resources.store.lineage import walk
from resources.texts import printable

NEIGHBOURS = 500


class UnknownIdError(UserError, ValueError):
    """An id that no artifact holds; the message names the nearest ones."""


@click.command("lineage")
@click.argument("student", required=False)
@click.option("--row", help="The id of a training row: why is it in the set?")
@click.option("--problem", help="The id of a problem: which students saw it?")
@with_experiment
def command(experiment: Experiment, student: str | None, row: str | None, problem: str | None) -> None:
    """Walk a student's checkpoint back to the problems by the manifests' hashes, or ask about one row or problem."""
    if sum(asked is not None for asked in (student, row, problem)) != 1:
        raise click.UsageError("name one of: a student, --row ID, --problem ID")
    store = artifact_store(experiment)
    if student is None:
        for line in why_row(experiment, store, row) if row is not None else who_saw(experiment, store, problem or ""):
            console.print(printable(line), soft_wrap=True)
        return
    if student not in experiment.students:
        known = ", ".join(experiment.students) or "none"
        raise click.ClickException(f"no student {student!r}; there are: {known}")
    links = list(walk(store, "lora_checkpoints", student))
    for link in links:
        style = None if link.holds else "bold red"
        console.print("  " * link.depth + link.text, style=style, soft_wrap=True)
    if not all(link.holds for link in links):
        sys.exit(1)


def why_row(experiment: Experiment, store: ArtifactStore, row_id: str) -> Iterator[str]:
    """Yield, as lines, why a row is in the training set of every student that has it.

    Raises UnknownIdError where no training set holds it, ArtifactError where what it was
    made from is not there any more.
    """
    sets = {name: store.read(ArtifactKey("training_sets", name)) for name in _taught(experiment, store)}
    having = {name: row for name, rows in sets.items() for row in rows if row["row_id"] == row_id}
    if not having:
        raise UnknownIdError(
            _unknown("training row", row_id, [row["row_id"] for rows in sets.values() for row in rows])
        )
    for name, row in having.items():
        yield from TaughtRow(experiment, store, name, row).why()


def who_saw(experiment: Experiment, store: ArtifactStore, problem_id: str) -> Iterator[str]:
    """Yield, as lines, which students saw a problem, as what, and what of a benchmark overlaps with it.

    Raises UnknownIdError where neither a benchmark nor the training problems hold it.
    """
    benchmarks = {name: store.read(ArtifactKey(BENCHMARK_PROBLEMS, name)) for name in experiment.benchmarks}
    training = store.read(TRAINING_PROBLEMS) if experiment.training_problems else []
    known = {row["problem_id"]: row for rows in (*benchmarks.values(), training) for row in rows}
    if problem_id not in known:
        raise UnknownIdError(_unknown("problem", problem_id, list(known)))
    yield problem_line(known[problem_id])
    overlaps = store.read(CONTAMINATION) if store.manifest(CONTAMINATION) else None
    if any(row["problem_id"] == problem_id for row in training):
        yield from _learners(experiment, store, problem_id)
        pairs = [row for row in overlaps or [] if row["training_id"] == problem_id]
        for row in pairs:
            yield f"{_overlap(row)} {row['problem_id']} of the benchmark {row['benchmark']}"
        if overlaps is not None and not pairs:
            yield "no benchmark holds it: no problem of any overlaps with it"
    for benchmark, rows in benchmarks.items():
        if not any(row["problem_id"] == problem_id for row in rows):
            continue
        yield f"the benchmark {benchmark} holds it"
        yield from _evaluated(experiment, store, benchmark, problem_id)
        pairs = [r for r in overlaps or [] if (r["benchmark"], r["problem_id"]) == (benchmark, problem_id)]
        for row in pairs:
            yield f"{_overlap(row)} {row['training_id']} of the training problems"
            yield from (f"  {line}" for line in _learners(experiment, store, row["training_id"]))
        if overlaps is not None and not pairs:
            yield "no student learned from it: no training problem overlaps with it"
    if overlaps is None:
        yield "whether training and benchmark problems overlap is not known: contamination was not materialized"


def _learners(experiment: Experiment, store: ArtifactStore, problem_id: str) -> Iterator[str]:
    """Yield what each student learned from a training problem."""
    taught = _taught(experiment, store)
    for name in experiment.students:
        if name not in taught:
            yield f"{name} has no training set yet"
            continue
        key = ArtifactKey("training_sets", name)
        rows = [row for row in store.read(key) if row["problem_id"] == problem_id]
        trained = store.manifest(ArtifactKey("lora_checkpoints", name))
        current = trained and trained.upstream.get(str(key)) == store.data_version(key)
        learned = "learned" if current else "is to learn"
        if not rows:
            yield f"{name} {learned} nothing from it: no row of {key} is of it"
        else:
            kinds = [row["kind"] for row in rows]
            yield f"{name} {learned} from {kinds.count('refinement')} refinements and {kinds.count('direct')} direct solutions of it:"
            yield from (f"  {row['row_id']}" for row in rows)


def _evaluated(experiment: Experiment, store: ArtifactStore, benchmark: str, problem_id: str) -> Iterator[str]:
    """Yield how each student did on a benchmark's problem."""
    for name in experiment.students:
        key = EvaluationKey("student", benchmark, name).artifact("graded_candidates")
        if store.manifest(key) is None:
            yield f"{name} was not evaluated on it yet"
        else:
            rows = [row for row in store.read(key) if row["problem_id"] == problem_id]
            yield f"{name} was evaluated on it: {sum(row['correct'] for row in rows)} of {len(rows)} candidates are right"


def _taught(experiment: Experiment, store: ArtifactStore) -> list[str]:
    return [name for name in experiment.students if store.manifest(ArtifactKey("training_sets", name))]


def _overlap(row: Row) -> str:
    how = "near duplicate of" if row["kind"] == "near duplicate" else "shares 13 words in a row with"
    return f"{how} (share {row['share']:.2f})"


def _unknown(what: str, wanted: str, known: Sequence[str]) -> str:
    # Of hundreds of thousands only the neighbours in order are compared.
    ordered = sorted(set(known))
    place = bisect(ordered, wanted)
    near = get_close_matches(wanted, ordered[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS], n=3)
    return f"no {what} {wanted!r}" + (f"; near it: {', '.join(near)}" if near else f" among {len(known):,}")
