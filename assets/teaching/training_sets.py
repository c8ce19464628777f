"""Training sets, by rejection sampling: of the teacher's samples only those that are right and end by themselves teach."""

import dataclasses
import random
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.grading import scored
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.refusals import refuse_incomplete
from assets.teaching.chosen_rows import SHARD_ROWS, Choice, TrainingSetCounts, Votes
from assets.teaching.fingerprints import TrainingSets
from assets.teaching.judged_samples import TAUGHT_BY, judged_refinements, judged_solutions
from assets.teaching.prompt_sets import choose_prompts
from assets.teaching.teacher_samples import graded_candidates
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.students import Student
from gsr_dagster.method.candidate_pool import in_order
from gsr_dagster.method.mixture import mixed_rows
from gsr_dagster.method.rejection_sampling import keep_refinements, teaches
from gsr_dagster.method.rows import Row, batches
from resources.engines.loading import Engines
from resources.grading.grader import Grader
from resources.grading.worker import GAVE_UP
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe
from resources.store.ordering import sorted_rows
from resources.store.tables import decode


def training_set_assets(experiment: Experiment, shared: dict[str, Any]) -> list[dg.AssetsDefinition]:
    """Return the asset of the training sets."""
    step = TrainingSets(experiment)

    @asset_of(step, kinds={"python"}, **shared)
    def training_sets(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], engines: Engines, grader: Grader
    ) -> dg.MaterializeResult:
        """The training rows: correct refinements and correct direct solutions, one to one unless told otherwise.

        Of a student that learns from rewards they are the prompts of its rollouts.
        """
        run = TeachingRun(experiment, store, context.partition_key)
        recipe = step.recipe(store, run.name)
        if run.student.by_rewards:
            return materialize(context, store, recipe, lambda: choose_prompts(run, recipe, engines, grader))
        return materialize(context, store, recipe, lambda: choose_rows(run, recipe, grader))

    return [training_sets]


def choose_rows(run: TeachingRun, recipe: Recipe, grader: Grader) -> ArtifactContents:
    """Grade the teacher's samples and choose the training rows. Raises ArtifactError where samples are missing."""
    refuse_incomplete(run.experiment, run.store, run.key("teacher_refinements"), run.key("teacher_solutions"))
    student = run.student
    refinements = judged_refinements(run, f"{recipe.key}: refinements", grader)
    solutions = judged_solutions(run, f"{recipe.key}: solutions", grader)
    hard = None if student.hard_share is None else hard_groups(run, recipe, grader)
    chosen, counts = training_rows(student, run.experiment.seed, refinements, solutions, hard)
    asked = {name: count for name, count in dataclasses.asdict(counts).items() if count is not None}
    shards = [run.store.put_shard(recipe, part) for part in batches(with_texts(run, chosen), SHARD_ROWS)]
    return ArtifactContents(shards=shards, summary=asked)


def hard_groups(run: TeachingRun, recipe: Recipe, grader: Grader) -> set[str]:
    """Return the prompts whose candidates vote for a wrong answer."""
    label, problems = f"{recipe.key}: candidates", run.problems()
    votes = Votes()
    for graded in graded_candidates(run, label, grader, problems):
        votes.add(graded)
    refined = run.store.rows(run.key("teacher_refinements"), "prompt_id", "candidate_ids")
    return {row["prompt_id"] for row in refined if votes.are_wrong(row["candidate_ids"])}


def with_texts(run: TeachingRun, chosen: Sequence[Row]) -> Iterator[Row]:
    """Yield the chosen rows with ``candidate_ids``, ``messages`` and ``completion``, from the samples that they name."""
    tables = (table for kind in TAUGHT_BY for table in texts_of(run, kind, chosen))
    for row in sorted_rows(tables, "place"):
        of = chosen[row["place"]]
        named = {name: of[name] for name in ("row_id", "kind", "problem_id", "teacher_sample_id")}
        yield {
            **named,
            "candidate_ids": row["candidate_ids"] or [],
            "messages": row["messages"],
            "completion": row["text"],
        }


def texts_of(run: TeachingRun, kind: str, chosen: Sequence[Row]) -> Iterator[pa.Table]:
    """Yield the texts of the chosen rows of a kind, a shard at a time, each with its ``place`` among the chosen rows."""
    asset, id_column = TAUGHT_BY[kind]
    places = {row["teacher_sample_id"]: place for place, row in enumerate(chosen) if row["kind"] == kind}
    for path in run.store.local_shards(run.key(asset)) if places else ():
        table = decode(path.read_bytes(), [id_column, "candidate_ids", "messages", "text"])
        rows, at = [], []
        for row, name in enumerate(table[id_column].to_pylist()):
            if name in places:
                rows.append(row)
                at.append(places[name])
        if rows:
            taken = table.take(rows)
            shown = taken["candidate_ids"] if kind == "refinement" else pa.nulls(len(rows))
            yield pa.table({"place": at, "candidate_ids": shown, "messages": taken["messages"], "text": taken["text"]})


def training_rows(
    student: Student,
    seed: int,
    refinements: Sequence[Row],
    solutions: Sequence[Row],
    hard: Collection[str] | None = None,
) -> tuple[list[Row], TrainingSetCounts]:
    """Return the training rows of the graded teacher samples, with what was kept and dropped.

    ``hard`` are the prompts of hard groups, where the student asks for a share of them.

    Samples are those of assets/teaching/judged_samples.py. A row: ``row_id``, ``kind``,
    ``problem_id``, ``teacher_sample_id`` and ``alike``; the stored ones (see ``with_texts``) have
    ``candidate_ids`` (those shown, empty for a direct row), ``messages`` (the prompt) and ``completion``.
    """
    short = [row for row in refinements if row["prompt_tokens"] <= student.prompt_tokens]
    kept, from_all_wrong = list[Row](), 0
    for outputs in by_prompt(short):
        rng = random.Random(f"{seed}:{outputs[0]['prompt_id']}")
        chosen = keep_refinements([teaches(row) for row in outputs], student.keep_when_all_correct, rng)
        kept += [training_row("refinement", outputs[index]) for index in chosen]
        from_all_wrong += len(chosen) * (outputs[0]["n_correct"] == 0)
    direct = [training_row("direct", row) for row in in_order(scored(solutions)) if teaches(row)]
    choice = Choice(student, seed, kept, direct, hard)
    rows = mixed_rows(choice.refinements, choice.direct, student.rows, student.most_rows, seed)
    counts = TrainingSetCounts(
        teacher_refinements=len(refinements),
        correct_refinements=sum(row["correct"] for row in refinements),
        over_long_refinements=len(refinements) - len(short),
        kept_refinements=len(kept),
        kept_from_all_wrong_groups=from_all_wrong,
        teacher_solutions=len(solutions),
        correct_solutions=sum(row["correct"] for row in solutions),
        kept_solutions=len(direct),
        refinement_rows=sum(row["kind"] == "refinement" for row in rows),
        direct_rows=sum(row["kind"] == "direct" for row in rows),
        timed_out=sum(row["verdict"] in GAVE_UP for row in (*refinements, *solutions)),
        **choice.left_out,
        hard_rows=None if hard is None else sum(row["kind"] == "refinement" and choice.is_hard(row) for row in rows),
    )
    return rows, counts


def by_prompt(samples: Sequence[Row]) -> list[list[Row]]:
    """Return the samples of each prompt by sample index, the prompts by problem."""
    ordered = sorted(in_order(samples), key=lambda row: (row["problem_id"], row["prompt_id"]))
    return [list(rows) for _, rows in groupby(ordered, lambda row: row["prompt_id"])]


def training_row(kind: str, sample: Row) -> Row:
    return {
        "row_id": f"{kind}/{sample['sample_id']}",
        "kind": kind,
        "problem_id": sample["problem_id"],
        "teacher_sample_id": sample["sample_id"],
        "alike": sample["alike"],
    }
