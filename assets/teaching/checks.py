"""Checks of teaching: the teacher's samples, the training set, the checkpoint."""

from collections import Counter
from dataclasses import dataclass

import dagster as dg

from assets import quality
from assets.checking import (
    ERROR,
    GIVEN_UP_ADVICE,
    Check,
    CheckedArtifact,
    asset_checks,
    counted,
    judged,
    line_in_percent,
    line_in_points,
    unmeasured,
    within,
)
from assets.problems.fingerprints import TrainingProblems
from assets.quality import Share
from assets.sample_checks import DRAWN
from assets.teaching.checkpoint_checks import REWARDS, differs_from_base, loss_fell, training_finite
from assets.teaching.chosen_rows import TrainingSetCounts
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import OF_TEACHERS, TRAINING_PROBLEMS
from gsr_dagster.experiment.partitions import Partitions
from gsr_dagster.experiment.training.reinforcement import Reinforcement
from gsr_dagster.method.mixture import Kind, is_mixed
from gsr_dagster.method.prompting.prompts import summarise
from gsr_dagster.method.scoring.intervals import Interval, in_points
from resources.store.lineage import walk

MIXTURES: dict[Kind, str] = {
    "hybrid": "as many of each are wanted",
    "refinement": "none but refinements are wanted",
    "direct": "none but direct solutions are wanted",
}


# Of a student that learns from rewards.
OF_REWARDS = judged(True, "0 texts to imitate, in a set of prompts", "none is asked of a teacher", "")


@dataclass(frozen=True)
class MeasuredGap:
    """What is read here of a gap report's summary."""

    refinement_gap: float
    intervals: dict[str, Interval]


def teacher_gap_leads(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The teacher's Refinement Gap is above that of the student's base, in the mean over the benchmarks.

    A teacher that gains by refining is the paper's reason to choose it.
    """
    experiment, store = artifact.experiment, artifact.store
    student = experiment.students[artifact.key.partition]
    line = experiment.checks.least_gap_lead
    if not student.samples("teacher_refinements"):
        return judged(True, "0 refinements of a teacher", "none is asked for", "")
    models = experiment.models
    unevaluated = [name for name in (student.refiner, student.base) if name in models and not models[name].evaluate]
    if unevaluated:
        return judged(True, f"{unevaluated[0]} is not evaluated (evaluate: false)", "no gap is asked of it", "")
    reports = [
        experiment.evaluation_of(benchmark, model)
        for benchmark in experiment.benchmarks
        for model in dict.fromkeys((student.refiner, student.base))
    ]
    gaps = {
        report: store.summary(report.artifact("gap_reports"), MeasuredGap)
        for report in reports
        if store.manifest(report.artifact("gap_reports"))
    }
    metadata = {
        f"{report.subject} on {report.benchmark}": in_points(gap.intervals["refinement_gap"])
        for report, gap in gaps.items()
    }
    where = f"above {line_in_points(line)} (checks.least_gap_lead)"
    pair = f"{student.refiner} − {student.base}"
    missing = [f"{report.partition} of {report.lane}/gap_reports" for report in reports if report not in gaps]
    if student.refiner == student.base:
        return judged(
            False,
            f"{pair}, +0.0 points of Refinement Gap, since the teacher is the student's own base",
            f"not {where}",
            "name another teacher, or go on with only the base's own correct answers to learn from",
            metadata={**metadata, "lead": 0.0},
        )
    if missing:
        return unmeasured(
            f"{pair} in Refinement Gap, {len(missing)} of {counted(len(reports), 'gap report')} "
            f"{'is' if len(missing) == 1 else 'are'} missing",
            f"{where} is wanted",
            f"materialize {', '.join(missing)}",
            metadata,
        )
    lead = sum(
        gap.refinement_gap * (1 if report.subject == student.refiner else -1) for report, gap in gaps.items()
    ) / len(experiment.benchmarks)
    ahead = f"{100 * lead:+.1f}".replace("-", "−")
    return judged(
        lead > line,
        f"{pair} over {counted(len(experiment.benchmarks), 'benchmark')}, {ahead} points of Refinement Gap in the mean",
        where if lead > line else f"not {where}",
        "choose a teacher that gains more by refining, or measure with more problems",
        metadata={**metadata, "lead": lead},
    )


def teacher_yields(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Enough of the teacher's refinements and of its solutions are right."""
    if artifact.experiment.students[artifact.key.partition].by_rewards:
        return OF_REWARDS
    counts = artifact.store.summary(artifact.key, TrainingSetCounts)
    refinements = Share(counts.correct_refinements, counts.teacher_refinements, of="refinements of the teacher")
    solutions = Share(counts.correct_solutions, counts.teacher_solutions, of="solutions of the teacher")
    advice = "take easier training problems, a stronger teacher or more of its samples"
    return within(artifact, "least_teacher_yield", "are right", refinements, solutions, advice=advice)


def teacher_graded_in_time(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The grader gave up on few of the teacher's answers. They are not learned from."""
    counts = artifact.store.summary(artifact.key, TrainingSetCounts)
    if counts.timed_out is None:
        return unmeasured(
            f"{counted(artifact.manifest.rows, 'row')} were chosen before time-outs were counted",
            f"at most {line_in_percent(artifact.experiment.checks.most_timed_out)} is allowed (checks.most_timed_out)",
            f"materialize {artifact.key} again",
        )
    share = Share(counts.timed_out, counts.teacher_refinements + counts.teacher_solutions, of="answers of the teacher")
    return within(artifact, "most_timed_out", "made the grader give up", share, advice=GIVEN_UP_ADVICE)


def all_wrong_kept(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Enough groups without a correct candidate have a row in the training set: only they teach to solve alone."""
    if artifact.experiment.students[artifact.key.partition].by_rewards:
        return OF_REWARDS
    groups = artifact.of_student("teacher_refinements", "prompt_id", "n_correct")
    share = quality.all_wrong_kept(groups, artifact.columns("kind", "teacher_sample_id"))
    advice = "give the teacher more refinements a group, or take a stronger one"
    return within(artifact, "least_all_wrong_kept", "have a row in the training set", share, advice=advice)


def mixed_as_wanted(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The training set holds as many refinements as direct solutions, or one kind alone where that is wanted."""
    kinds = [row["kind"] for row in artifact.columns("kind")]
    wanted = artifact.experiment.students[artifact.key.partition].rows
    counts = Counter(kinds)
    return judged(
        is_mixed(kinds, wanted),
        f"{counted(counts['refinement'], 'refinement')} and {counted(counts['direct'], 'direct solution')}",
        f"{MIXTURES[wanted]} (rows: {wanted})",
        f"materialize {artifact.key} again",
        ERROR,
        {"refinement": counts["refinement"], "direct": counts["direct"]},
    )


def few_overlong(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few training rows are longer than the student's max_length: what is over it, the answer, would not be learned."""
    training = artifact.experiment.students[artifact.key.partition].training
    if isinstance(training, Reinforcement):
        return OF_REWARDS
    tokens = {
        row[name]: quality.student_prompt_tokens(row) + row["generated_tokens"]
        for asset, name in (("teacher_refinements", "refinement_id"), ("teacher_solutions", "solution_id"))
        for row in artifact.of_student(asset, name, "prompt_tokens", "student_prompt_tokens", "generated_tokens")
    }
    share = quality.overlong(artifact.columns("row_id", "teacher_sample_id"), tokens, training.max_length)
    what = f"are longer than the {training.max_length:,} tokens that the student reads"
    result = within(artifact, "most_overlong", what, share, advice="raise training.max_length")
    dropped = artifact.store.summary(artifact.key, TrainingSetCounts).over_long_refinements
    return result._replace(metadata={**(result.metadata or {}), "left_out_with_their_prompt": dropped})


def no_gold_in_prompts(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """A training prompt holds its instruction, its problem and the candidates shown, and no more: no gold has a place."""
    experiment, store = artifact.experiment, artifact.store
    student = experiment.students[artifact.key.partition]
    problem_set = TrainingProblems(experiment).problem_set
    thinking_end = experiment.thinking_end(student.sampler)
    problems = {row["problem_id"]: row for row in store.read(TRAINING_PROBLEMS)}
    examples = problem_set.examples(of_student=True)
    candidates = artifact.by_problem("training_candidates", "candidate_id", "text")
    shown = dict[str, str | None]()
    found, reached = [], ""
    for problem_id, rows in artifact.by_problem("training_sets", "row_id", "kind", "messages", "candidate_ids"):
        while reached < problem_id and (following := next(candidates, None)):
            reached, samples = following
            shown = {row["candidate_id"]: summarise(row["text"], thinking_end) for row in samples}
        own = shown if reached == problem_id else {}
        found += quality.surplus_texts(rows, problems, examples, own, experiment.prompts)
    found.sort(key=lambda surplus: not surplus.holds_gold)
    with_gold = sum(surplus.holds_gold for surplus in found)
    return judged(
        not found,
        f"{len(found):,} of {counted(artifact.manifest.rows, 'prompt')} hold text beside their instruction, problem and "
        f"candidates, {with_gold:,} of these the gold",
        "none may",
        f"look at such_as, and materialize {artifact.key} again",
        ERROR,
        {
            "rows": artifact.manifest.rows,
            "with_gold": with_gold,
            "such_as": {surplus.row_id: surplus.text[:200] for surplus in found[: quality.WORST]},
        },
    )


def lineage_intact(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The checkpoint's training set, teacher samples, candidates and problems are still those it was made from."""
    student, links = artifact.key.partition, list(walk(artifact.store, artifact.key.asset, artifact.key.partition))
    broken = [link.text for link in links if not link.holds]
    first = broken[0] if broken else ""
    return judged(
        not broken,
        f"{len(broken):,} of {len(links):,} links between today's artifacts and those it was made from are broken",
        "none may be",
        f"materialize the teaching of {student} again; `gsr lineage {student}` shows the chain, the first is {first}",
        ERROR,
        {"broken": broken[: quality.WORST]},
    )


TEACHING: dict[str, list[Check]] = {
    "training_candidates": DRAWN,
    "teacher_refinements": [*DRAWN, teacher_gap_leads],
    "teacher_solutions": DRAWN,
    "training_sets": [
        mixed_as_wanted,
        no_gold_in_prompts,
        teacher_yields,
        all_wrong_kept,
        few_overlong,
        teacher_graded_in_time,
    ],
    "lora_checkpoints": [lineage_intact, differs_from_base, training_finite, loss_fell, *REWARDS],
}


def teaching_checks(experiment: Experiment, round_number: int) -> list[dg.AssetChecksDefinition]:
    """Return the checks of all that makes the students of a round."""
    partitions = Partitions.of(experiment, round_number).student
    taught = experiment.has_teachers(round_number)
    return [
        asset_checks(experiment, partitions, name, checks, round_number)
        for name, checks in TEACHING.items()
        if taught or name not in OF_TEACHERS
    ]
