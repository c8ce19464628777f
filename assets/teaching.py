"""Teaching: training candidates, the teacher's refinements and solutions of them, and the training set."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from assets.contamination import refuse_contaminated
from assets.evaluation import refinement_prompt, sampling_summary
from assets.materializing import Made, keep
from assets.recipes import Recipes
from assets.refusals import refuse_incomplete
from assets.scoring import by_problem, graded_rows, in_order, scored
from gsr_dagster.experiment import Experiment, Student
from gsr_dagster.method.groups import choose_for_training
from gsr_dagster.method.mixture import keep_refinements, mixed_rows
from gsr_dagster.method.prompts import direct_messages
from gsr_dagster.partitions import Partitions
from gsr_dagster.settings import Rollouts
from resources.artifacts import ArtifactStore
from resources.engines.base import Engine
from resources.engines.loading import Engines
from resources.grader import Grader
from resources.manifests import ArtifactKey, Recipe
from resources.rows import Row
from resources.samples import Prompt, adopt_shards, complete_samples

PROBLEMS = ArtifactKey("training_problems")


def teaching_assets(experiment: Experiment, partitions: Partitions) -> list:
    """Return the assets of the group "teaching"."""
    shared: dict[str, Any] = {"partitions_def": partitions.student, "group_name": "teaching"}

    @dg.asset(deps=["training_problems", "contamination"], kinds={"transformers"}, pool=experiment.pool, **shared)
    def training_candidates(
        context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines
    ) -> dg.MaterializeResult:
        """Samples of the student's base, or of the model it is told to learn from, on the training problems."""
        refuse_contaminated(experiment, store)
        student = experiment.students[context.partition_key]
        recipe = Recipes(experiment, store).training_candidates(context.partition_key)

        def make() -> Made:
            prompts = direct_prompts(experiment, student.sampler, store.read(PROBLEMS), student.candidates)
            load = engines.loader(experiment.models[student.sampler])
            return draw(experiment, store, recipe, prompts, "candidate_id", student.candidates, load)

        return keep(context, store, recipe, make)

    @dg.asset(deps=["training_problems", training_candidates], kinds={"transformers"}, pool=experiment.pool, **shared)
    def teacher_refinements(
        context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines, grader: Grader
    ) -> dg.MaterializeResult:
        """The teacher's refinements of k candidates a problem: correct ones first, all-wrong groups kept."""
        student = experiment.students[context.partition_key]
        recipe = Recipes(experiment, store).teacher_refinements(context.partition_key)

        def make() -> Made:
            refuse_incomplete(experiment, store, ArtifactKey("training_candidates", context.partition_key))
            problems = store.read(PROBLEMS)
            candidates = store.read(ArtifactKey("training_candidates", context.partition_key))
            model = experiment.models[student.sampler]
            graded = graded_rows(grader, str(recipe.key), problems, candidates, model)
            load = engines.loader(experiment.models[student.teacher])
            prompts, counts = teaching_prompts(experiment, student, problems, graded, load)
            made = draw(experiment, store, recipe, prompts, "refinement_id", student.refinements, load)
            made.summary |= counts
            return made

        return keep(context, store, recipe, make)

    @dg.asset(deps=["training_problems", "contamination"], kinds={"transformers"}, pool=experiment.pool, **shared)
    def teacher_solutions(
        context: dg.AssetExecutionContext, store: ArtifactStore, engines: Engines
    ) -> dg.MaterializeResult:
        """The teacher's direct solutions of the training problems."""
        refuse_contaminated(experiment, store)
        student = experiment.students[context.partition_key]
        recipe = Recipes(experiment, store).teacher_solutions(context.partition_key)

        def make() -> Made:
            prompts = direct_prompts(experiment, student.teacher, store.read(PROBLEMS), student.solutions)
            load = engines.loader(experiment.models[student.teacher])
            return draw(experiment, store, recipe, prompts, "solution_id", student.solutions, load)

        return keep(context, store, recipe, make)

    @dg.asset(deps=["training_problems", teacher_refinements, teacher_solutions], kinds={"python"}, **shared)
    def training_sets(context: dg.AssetExecutionContext, store: ArtifactStore, grader: Grader) -> dg.MaterializeResult:
        """The training rows: correct refinements and correct direct solutions, one to one unless told otherwise."""
        student = experiment.students[context.partition_key]
        recipe = Recipes(experiment, store).training_sets(context.partition_key)

        def make() -> Made:
            samples = ("teacher_refinements", "teacher_solutions")
            refuse_incomplete(experiment, store, *(ArtifactKey(name, context.partition_key) for name in samples))
            problems = store.read(PROBLEMS)
            model = experiment.models[student.teacher]
            refinements = asked_for(
                store, ArtifactKey("teacher_refinements", context.partition_key), student.refinements
            )
            solutions = asked_for(store, ArtifactKey("teacher_solutions", context.partition_key), student.solutions)
            graded = graded_rows(grader, f"{recipe.key}: refinements", problems, refinements, model)
            direct = graded_rows(grader, f"{recipe.key}: solutions", problems, solutions, model)
            return training_rows(student, experiment.seed, graded, direct)

        return keep(context, store, recipe, make)

    return [training_candidates, teacher_refinements, teacher_solutions, training_sets]


def draw(
    experiment: Experiment,
    store: ArtifactStore,
    recipe: Recipe,
    prompts: Sequence[Prompt],
    id_column: str,
    rollouts: Rollouts,
    load: Callable[[], Engine],
) -> Made:
    """Complete a recipe's samples and count them. Students with one teacher's settings share what was drawn."""
    adopt_shards(store, recipe, experiment.students)
    shards = complete_samples(store, recipe, prompts, id_column, rollouts, load)
    return Made(shards=shards, summary=sampling_summary(store, recipe.key, recipe.fingerprint, shards))


def asked_for(store: ArtifactStore, key: ArtifactKey, rollouts: Rollouts) -> list[Row]:
    """Return the samples that a student asks for: it may share more with another."""
    return [row for row in store.rows(key) if row["sample_index"] < rollouts.samples]


def direct_prompts(experiment: Experiment, model: str, problems: Sequence[Row], rollouts: Rollouts) -> list[Prompt]:
    """Return the direct prompts of the training problems; their rows carry the chat."""
    assert experiment.training_problems is not None, "refused by the experiment file's checks"
    examples = [(e.problem, e.solution) for e in experiment.training_problems.worked_examples]
    prompts = []
    for row in problems:
        messages = direct_messages(row["problem"], examples)
        columns = {"problem_id": row["problem_id"], "messages": json.dumps(messages)}
        prompts.append(Prompt(f"{model}/{row['problem_id']}", messages, rollouts.samples, columns))
    return prompts


def teaching_prompts(
    experiment: Experiment,
    student: Student,
    problems: Sequence[Row],
    graded: Sequence[Row],
    load_engine: Callable[[], Engine],
) -> tuple[list[Prompt], dict[str, int]]:
    """Return one refinement prompt a problem, and counts of all-wrong groups and shortened candidates."""
    texts = {row["problem_id"]: row["problem"] for row in problems}
    engine = load_engine()
    prompts, shortened, all_wrong = [], 0, 0
    for problem_id, samples in by_problem(scored(graded)).items():
        rows = samples[: student.candidates.samples]
        rng = random.Random(f"{experiment.seed}:{problem_id}")
        chosen = [rows[i] for i in choose_for_training([row["correct"] for row in rows], experiment.k, rng)]
        messages, cut = refinement_prompt(experiment, engine, texts[problem_id], chosen)
        n_correct = sum(row["correct"] for row in chosen)
        shortened += cut
        all_wrong += n_correct == 0
        columns = {
            "problem_id": problem_id,
            "messages": json.dumps(messages),
            "candidate_ids": [row["candidate_id"] for row in chosen],
            "n_correct": n_correct,
        }
        prompts.append(Prompt(f"{student.teacher}/{problem_id}/g0", messages, student.refinements.samples, columns))
    return prompts, {"groups": len(prompts), "all_wrong_groups": all_wrong, "shortened_candidates": shortened}


def training_rows(student: Student, seed: int, refinements: Sequence[Row], solutions: Sequence[Row]) -> Made:
    """Return the training rows of the graded teacher samples, with what was kept and dropped.

    A row: ``row_id``, ``kind``, ``problem_id``, ``teacher_sample_id``, ``candidate_ids``
    (those shown, empty for a direct row), ``messages`` (the prompt) and ``completion``.
    """
    short = [row for row in refinements if row["prompt_tokens"] <= student.prompt_tokens]
    kept, from_all_wrong = list[Row](), 0
    for outputs in by_problem(short).values():  # one prompt each
        rng = random.Random(f"{seed}:{outputs[0]['prompt_id']}")
        chosen = keep_refinements([usable(row) for row in outputs], student.keep_when_all_correct, rng)
        kept += [training_row("refinement", outputs[index], "refinement_id") for index in chosen]
        from_all_wrong += len(chosen) * (outputs[0]["n_correct"] == 0)
    direct = [training_row("direct", row, "solution_id") for row in in_order(scored(solutions)) if usable(row)]
    rows = mixed_rows(kept, direct, student.rows, student.most_rows, seed)
    return Made(
        rows,
        summary={
            "teacher_refinements": len(refinements),
            "correct_refinements": sum(row["correct"] for row in refinements),
            "over_long_refinements": len(refinements) - len(short),
            "kept_refinements": len(kept),
            "kept_from_all_wrong_groups": from_all_wrong,
            "teacher_solutions": len(solutions),
            "correct_solutions": sum(row["correct"] for row in solutions),
            "kept_solutions": len(direct),
            "refinement_rows": sum(row["kind"] == "refinement" for row in rows),
            "direct_rows": sum(row["kind"] == "direct" for row in rows),
            "timed_out": sum(row["verdict"] == "timed out" for row in (*refinements, *solutions)),
        },
    )


def usable(row: Row) -> bool:
    """Return whether a teacher sample can teach: a right answer, and an end of its own, not the token limit's."""
    return row["correct"] and row["finish_reason"] == "stop"


def training_row(kind: str, sample: Row, id_column: str) -> Row:
    return {
        "row_id": f"{kind}/{sample[id_column]}",
        "kind": kind,
        "problem_id": sample["problem_id"],
        "teacher_sample_id": sample[id_column],
        "candidate_ids": sample.get("candidate_ids", []),
        "messages": sample["messages"],
        "completion": sample["text"],
    }
