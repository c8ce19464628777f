"""`gsr lineage`: from a student back to the problems, why a row is in a training set, and who saw a problem.

refinement/qwq-32b/training/17/g0/3 is one of 368,214 rows of training_sets[qwen2.5-7b-gsr] 5f0c7a1e9b2d
problem training/17, gold 42: How many ...
its group, 1 of 4 candidates correct:
  1. qwen2.5-7b/training/17/0: incorrect, answer 41
...
"""

import sys
from bisect import bisect
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import click

from assets.grading import graded_rows
from assets.teaching.training_sets import TrainingSetCounts
from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import BENCHMARK_PROBLEMS, CONTAMINATION, TRAINING_PROBLEMS, ArtifactKey, EvaluationKey
from gsr_dagster.experiment.students import Student
from gsr_dagster.method.candidate_pool import by_problem
from gsr_dagster.method.rejection_sampling import ending, teaches
from gsr_dagster.method.rows import Row
from gsr_dagster.operations.home import artifact_store
from resources.grading.grader import Grader
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError
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
        yield from _why(experiment, store, name, row)


def who_saw(experiment: Experiment, store: ArtifactStore, problem_id: str) -> Iterator[str]:
    """Yield, as lines, which students saw a problem, as what, and what of a benchmark overlaps with it.

    Raises UnknownIdError where neither a benchmark nor the training problems hold it.
    """
    benchmarks = {name: store.read(ArtifactKey(BENCHMARK_PROBLEMS, name)) for name in experiment.benchmarks}
    training = store.read(TRAINING_PROBLEMS) if experiment.training_problems else []
    known = {row["problem_id"]: row for rows in (*benchmarks.values(), training) for row in rows}
    if problem_id not in known:
        raise UnknownIdError(_unknown("problem", problem_id, list(known)))
    yield _problem(known[problem_id])
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


def _why(experiment: Experiment, store: ArtifactStore, name: str, row: Row) -> Iterator[str]:
    student = experiment.students[name]
    key = ArtifactKey("training_sets", name)
    manifest = store.existing(key)
    yield f"{row['row_id']} is one of {manifest.rows:,} rows of {key} {manifest.data_version[:12]}"
    (problem,) = [p for p in store.read(TRAINING_PROBLEMS) if p["problem_id"] == row["problem_id"]]
    yield _problem(problem)
    refined = row["kind"] == "refinement"
    drawn = ArtifactKey("teacher_refinements" if refined else "teacher_solutions", name)
    teacher = student.refiner if refined else student.solver
    samples = _graded(experiment, store, drawn, teacher, problem)
    column = "refinement_id" if refined else "solution_id"
    sample = next((s for s in samples if s[column] == row["teacher_sample_id"]), None)
    if sample is not None:  # a problem may have several groups
        samples = [s for s in samples if s["prompt_id"] == sample["prompt_id"]]
    else:
        raise ArtifactError(f"{row['teacher_sample_id']} is not in {drawn} any more: `gsr lineage {name}` shows more")
    if refined:
        pool = ArtifactKey("training_candidates", name)
        candidates = {c["candidate_id"]: c for c in _graded(experiment, store, pool, student.sampler, problem)}
        yield f"its group, {sample['n_correct']} of {len(row['candidate_ids'])} candidates correct:"
        for number, candidate_id in enumerate(row["candidate_ids"], start=1):
            found = candidates.get(candidate_id)
            yield f"  {number}. {candidate_id}: {_verdict(found) if found else f'not in {pool} any more'}"
    yield (
        f"the teacher {teacher} wrote {row['teacher_sample_id']}: {_verdict(sample)} against the gold "
        f"{problem['answer']}, {ending(sample['finish_reason'])} after {sample['generated_tokens']} tokens"
    )
    good = sum(teaches(s) for s in samples)
    what = "refinements of this group" if refined else "direct solutions of this problem"
    yield f"kept because it is right and ended by itself, as {good} of {len(samples)} {what}: {_rule(student, good, len(samples), refined)}"
    yield _mixture(student, store.summary(key, TrainingSetCounts))
    for upstream, read in manifest.upstream.items():
        now = store.data_version(ArtifactKey.parse(upstream))
        if now != read:
            yield f"BROKEN: {upstream} was {read[:12]} when the set was made, and is {(now or 'missing')[:12]} now"


def _rule(student: Student, good: int, samples: int, refined: bool) -> str:
    if refined and good == samples > student.keep_when_all_correct:
        return f"where all are, {student.keep_when_all_correct} are drawn by the seed"
    return "all of these are kept"


def _mixture(student: Student, counts: TrainingSetCounts) -> str:
    """Say how many of what was kept stand in the training set."""
    refinements = f"{counts.refinement_rows:,} of {counts.kept_refinements:,} kept refinements"
    solutions = f"{counts.direct_rows:,} of {counts.kept_solutions:,} kept solutions"
    mixture = {
        "hybrid": f"in the mixture of one to one, {refinements} and {solutions}",
        "refinement": f"in a set of refinements alone, {refinements}; the {counts.kept_solutions:,} kept solutions are left out",
        "direct": f"in a set of direct solutions alone, {solutions}; the {counts.kept_refinements:,} kept refinements are left out",
    }[student.rows]
    left_out = {
        "with the text of another": counts.left_out_identical,
        f"over {student.rows_a_problem} a problem": counts.left_out_of_a_problem,
        "of easy groups": counts.left_out_easy,
    }
    said = ", ".join(f"{count:,} {what}" for what, count in left_out.items() if count)
    return f"{mixture}; left out by choice {said}" if said else mixture


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


def _graded(experiment: Experiment, store: ArtifactStore, key: ArtifactKey, model: str, problem: Row) -> list[Row]:
    """Return an artifact's samples of one problem, graded, by sample index."""
    samples = [row for row in store.read(key) if row["problem_id"] == problem["problem_id"]]
    grader = Grader(name=experiment.evaluation.grader)
    graded = graded_rows(grader, str(key), [problem], samples, experiment.subject_model(model))
    return by_problem(graded).get(problem["problem_id"], [])


def _taught(experiment: Experiment, store: ArtifactStore) -> list[str]:
    return [name for name in experiment.students if store.manifest(ArtifactKey("training_sets", name))]


def _problem(row: Row) -> str:
    return f"problem {row['problem_id']}, gold {row['answer']}: {row['problem']}"


def _verdict(row: Row) -> str:
    return row["verdict"] if row["answer"] is None else f"{row['verdict']}, answer {row['answer']}"


def _overlap(row: Row) -> str:
    how = "near duplicate of" if row["kind"] == "near duplicate" else "shares 13 words in a row with"
    return f"{how} (share {row['share']:.2f})"


def _unknown(what: str, wanted: str, known: Sequence[str]) -> str:
    # Of hundreds of thousands only the neighbours in order are compared.
    ordered = sorted(set(known))
    place = bisect(ordered, wanted)
    near = get_close_matches(wanted, ordered[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS], n=3)
    return f"no {what} {wanted!r}" + (f"; near it: {', '.join(near)}" if near else f" among {len(known):,}")
