"""Training sets of students that learn from rewards: prompts to which they write their rollouts, and no text to imitate."""

import dataclasses
import json
from collections.abc import Iterable, Iterator

from assets.grading import scored
from assets.materializing import ArtifactContents
from assets.refusals import refuse_incomplete
from assets.teaching.chosen_rows import SHARD_ROWS, Choice, TrainingSetCounts, Votes
from assets.teaching.teacher_samples import direct_prompts, graded_candidates, refinement_prompts
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.method.mixture import mixed_rows
from gsr_dagster.method.rows import Row, batches
from resources.engines.loading import Engines
from resources.engines.sample_log import Prompt
from resources.grading.grader import Grader
from resources.store.manifests import Recipe


def choose_prompts(run: TeachingRun, recipe: Recipe, engines: Engines, grader: Grader) -> ArtifactContents:
    """Return the prompts of a student that learns from rewards. Raises ArtifactError where candidates are missing.

    They are the refinement prompts that a teacher would have been asked, and the direct ones, of the
    problems whose gold can be read, in the mixture that the student asks for.
    """
    student, seed = run.student, run.experiment.seed
    load = run.loader(engines, student.base)
    unscored = set(run.problem_set_summary.get("unreadable_golds", ()))
    problems = [row for row in run.problems() if row["problem_id"] not in unscored]
    direct, refined, votes = list[Row](), list[Row](), Votes()
    if student.rows != "direct":
        refuse_incomplete(run.experiment, run.store, run.key("training_candidates"))
        graded = _voting(graded_candidates(run, f"{recipe.key}: candidates", grader, run.problems()), votes)
        prompts, _ = refinement_prompts(run, problems, graded, load())
        refined = [prompt_row("refinement", prompt) for prompt in prompts]
    if student.rows != "refinement":
        direct = [prompt_row("direct", prompt) for prompt in direct_prompts(run, student.base, 1, load, problems)]
    short = [row for row in refined if load().prompt_tokens(json.loads(row["messages"])) <= student.prompt_tokens]
    hard = (
        None if student.hard_share is None else {row["group"] for row in short if votes.are_wrong(row["candidate_ids"])}
    )
    choice = Choice(student, seed, short, direct, hard)
    rows = mixed_rows(choice.refinements, choice.direct, student.rows, student.most_rows, seed)
    refinements = [row for row in rows if row["kind"] == "refinement"]
    counts = TrainingSetCounts(
        teacher_refinements=0,
        correct_refinements=0,
        over_long_refinements=len(refined) - len(short),
        kept_refinements=len(short),
        kept_from_all_wrong_groups=sum(row["n_correct"] == 0 for row in short),
        teacher_solutions=0,
        correct_solutions=0,
        kept_solutions=len(direct),
        refinement_rows=len(refinements),
        direct_rows=len(rows) - len(refinements),
        timed_out=0,
        **choice.left_out,
        hard_rows=None if hard is None else sum(map(choice.is_hard, refinements)),
    )
    stored = [{name: value for name, value in row.items() if name not in CHOSEN_BY} for row in rows]
    shards = [run.store.put_shard(recipe, part) for part in batches(stored, SHARD_ROWS)]
    asked = {name: count for name, count in dataclasses.asdict(counts).items() if count is not None}
    return ArtifactContents(shards=shards, summary=asked)


# What a row is chosen by, and not stored with.
CHOSEN_BY = ("group", "alike")


def prompt_row(kind: str, prompt: Prompt) -> Row:
    """Return the row of a prompt. A student is asked with the chat that it will be asked with once it is trained."""
    return {
        "row_id": f"{kind}/{prompt.id}",
        "kind": kind,
        "problem_id": prompt.columns["problem_id"],
        "teacher_sample_id": "",
        "candidate_ids": prompt.columns.get("candidate_ids", []),
        "messages": json.dumps(prompt.taught or prompt.messages),
        "completion": "",
        "n_correct": prompt.columns.get("n_correct"),
        "group": prompt.id,
        "alike": None,
    }


def _voting(graded: Iterable[list[Row]], votes: Votes) -> Iterator[list[Row]]:
    """Yield graded candidates, and keep the class and the verdict of each for the vote."""
    for rows in graded:
        votes.add(scored(rows))
        yield rows
