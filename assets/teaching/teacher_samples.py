"""What a student learns from, before it is chosen: candidates, and the teacher's refinements and solutions."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from assets.grading import graded_by_problem, scored
from assets.materializing import ArtifactContents, asset_of, materialize
from assets.problems.contamination_gate import refuse_contaminated
from assets.refusals import refuse_incomplete
from assets.sampling import candidates_chat
from assets.teaching.fingerprints import TeacherRefinements, TeacherSolutions, TrainingCandidates
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.method.groups import groups_for_training
from gsr_dagster.method.prompting.prompts import Message, direct_messages, refinement_turns
from gsr_dagster.method.rows import Row
from resources.engines.base import Engine
from resources.engines.loading import Engines
from resources.engines.sample_log import Prompt
from resources.grading.grader import Grader
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe
from resources.training.trainer import refuse_untrainable


def teacher_sample_assets(experiment: Experiment, shared: dict[str, Any]) -> list[dg.AssetsDefinition]:
    """Return the assets of the candidates and of the teacher's samples."""
    drawing, refining, solving = (
        step(experiment) for step in (TrainingCandidates, TeacherRefinements, TeacherSolutions)
    )
    sampled: dict[str, Any] = {"kinds": {"transformers"}, "pool": experiment.pool, **shared}

    @asset_of(drawing, **sampled)
    def training_candidates(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], engines: Engines
    ) -> dg.MaterializeResult:
        """Samples of the student's base, or of the model it is told to learn from, on the training problems."""
        refuse_contaminated(experiment, store)
        run = TeachingRun(experiment, store, context.partition_key)
        recipe = drawing.recipe(store, run.name)
        return materialize(context, store, recipe, lambda: draw_training_candidates(run, recipe, engines))

    @asset_of(refining, **sampled)
    def teacher_refinements(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], engines: Engines, grader: Grader
    ) -> dg.MaterializeResult:
        """The teacher's refinements of k candidates a group: correct ones first, all-wrong groups kept."""
        run = TeachingRun(experiment, store, context.partition_key)
        recipe = refining.recipe(store, run.name)
        return materialize(context, store, recipe, lambda: draw_teacher_refinements(run, recipe, engines, grader))

    @asset_of(solving, **sampled)
    def teacher_solutions(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore], engines: Engines
    ) -> dg.MaterializeResult:
        """The teacher's direct solutions of the training problems."""
        refuse_contaminated(experiment, store)
        run = TeachingRun(experiment, store, context.partition_key)
        recipe = solving.recipe(store, run.name)
        return materialize(context, store, recipe, lambda: draw_teacher_solutions(run, recipe, engines))

    return [training_candidates, teacher_refinements, teacher_solutions]


def draw_training_candidates(run: TeachingRun, recipe: Recipe, engines: Engines) -> ArtifactContents:
    """Draw candidates of the training problems, the first work for a student that could not be trained in the end."""
    base = run.experiment.models[run.experiment.root(run.student.base)]
    refuse_untrainable(str(base.source), base.chat_template_kwargs)
    model, rollouts = run.student.sampler, run.student.candidates
    load = run.loader(engines, model)
    prompts = direct_prompts(run, model, run.student.samples("training_candidates"), load)
    return run.draw(recipe, prompts, "candidate_id", rollouts, load)


def draw_teacher_solutions(run: TeachingRun, recipe: Recipe, engines: Engines) -> ArtifactContents:
    """Draw the teacher's direct solutions of the training problems."""
    model, rollouts = run.student.solver, run.student.solutions
    load = run.loader(engines, model)
    prompts = direct_prompts(run, model, run.student.samples("teacher_solutions"), load)
    return run.draw(recipe, prompts, "solution_id", rollouts, load)


def draw_teacher_refinements(run: TeachingRun, recipe: Recipe, engines: Engines, grader: Grader) -> ArtifactContents:
    """Draw the teacher's refinements of graded candidates. Raises ArtifactError where candidates are missing."""
    refuse_incomplete(run.experiment, run.store, run.key("training_candidates"))
    load = run.loader(engines, run.student.refiner)
    if not run.student.samples("teacher_refinements"):
        return run.draw(recipe, [], "refinement_id", run.student.refinements, load)
    problems = run.problems()
    graded = graded_candidates(run, str(recipe.key), grader, problems)
    prompts, counts = refinement_prompts(run, problems, graded, load())
    return run.draw(recipe, prompts, "refinement_id", run.student.refinements, load, **counts)


def graded_candidates(run: TeachingRun, label: str, grader: Grader, problems: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield the graded candidates of each training problem, by sample index."""
    columns = ("candidate_id", "text")
    total = sum(shard.rows for shard in run.store.existing(run.key("training_candidates")).shards)
    sampler = run.experiment.subject_model(run.student.sampler)
    samples = run.by_problem("training_candidates", *columns)
    return graded_by_problem(grader, label, problems, samples, total, sampler)


def direct_prompts(
    run: TeachingRun, model: str, samples: int, load: Callable[[], Engine], problems: Sequence[Row] | None = None
) -> list[Prompt]:
    """Return the direct prompts of the training problems, or of these; their rows carry the chat that the student sees."""
    if not samples:
        return []
    shown, of_student = run.problem_set.examples(model in run.experiment.students), run.problem_set.examples(True)
    ask = run.experiment.prompts.ask_direct
    prompts = []
    for row in run.problems() if problems is None else problems:
        messages = direct_messages(row["problem"], shown, ask)
        plain = direct_messages(row["problem"], of_student, ask)
        columns = {"problem_id": row["problem_id"], **student_tokens(plain, messages, load)}
        prompts.append(Prompt(f"{model}/{row['problem_id']}", messages, samples, columns, taught=plain))
    return prompts


def refinement_prompts(
    run: TeachingRun, problems: Sequence[Row], graded: Iterable[list[Row]], engine: Engine
) -> tuple[list[Prompt], dict[str, int]]:
    """Return a refinement prompt for each group of a problem, and counts of all-wrong groups and shortened candidates.

    ``graded`` are the candidates of each problem.
    """
    experiment, student = run.experiment, run.student
    texts = {row["problem_id"]: row["problem"] for row in problems}
    worked = run.problem_set.refinements(student.by_rewards or student.refiner in experiment.students)
    before = refinement_turns(worked, experiment.prompts.ask_refinement)
    prompts, shortened, all_wrong = [], 0, 0
    for rows in filter(None, map(scored, graded)):
        problem_id = rows[0]["problem_id"]
        rng = random.Random(f"{experiment.seed}:{problem_id}")
        groups = groups_for_training([row["correct"] for row in rows], experiment.k, student.groups, rng)
        for number, indices in enumerate(groups):
            chosen = [rows[index] for index in indices]
            summaries = [row["summary"] for row in chosen]
            messages, cut = candidates_chat(
                experiment, engine, student.refinements, texts[problem_id], summaries, before=before
            )
            n_correct = sum(row["correct"] for row in chosen)
            shortened += cut
            all_wrong += n_correct == 0
            plain = messages[len(before) :]
            columns = {
                "problem_id": problem_id,
                **student_tokens(plain, messages, lambda: engine),
                "candidate_ids": [row["candidate_id"] for row in chosen],
                "n_correct": n_correct,
            }
            name = f"{student.refiner}/{problem_id}/g{number}"
            prompts.append(Prompt(name, messages, student.refinements.samples, columns, taught=plain))
    return prompts, {"groups": len(prompts), "all_wrong_groups": all_wrong, "shortened_candidates": shortened}


def student_tokens(plain: list[Message], asked: list[Message], load: Callable[[], Engine]) -> dict[str, int]:
    """Return the column of the tokens of the chat that a row is trained with, where the teacher was shown more."""
    return {} if plain == asked else {"student_prompt_tokens": load().prompt_tokens(plain)}
