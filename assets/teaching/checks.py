"""Checks of teaching: the teacher's samples, the training set, the checkpoint."""

from collections import Counter
from dataclasses import dataclass
from math import isfinite

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
from assets.evaluation.subjects import weights_of
from assets.problems.fingerprints import TrainingProblems
from assets.quality import Share
from assets.sample_checks import DRAWN
from assets.teaching.training_sets import TrainingSetCounts
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import TRAINING_PROBLEMS
from gsr_dagster.experiment.partitions import Partitions
from gsr_dagster.method.mixture import Kind, is_mixed
from gsr_dagster.method.prompting.prompts import summarise
from gsr_dagster.method.scoring.intervals import Interval, in_points
from resources.store.lineage import walk
from resources.training.weight_change import WeightChange, adapter_change, full_change

MIXTURES: dict[Kind, str] = {
    "hybrid": "as many of each are wanted",
    "refinement": "none but refinements are wanted",
    "direct": "none but direct solutions are wanted",
}


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
        return judged(True, "rows: direct, 0 refinements", "none is asked of a teacher", "")
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
    tokens = {
        row[name]: quality.student_prompt_tokens(row) + row["generated_tokens"]
        for asset, name in (("teacher_refinements", "refinement_id"), ("teacher_solutions", "solution_id"))
        for row in artifact.of_student(asset, name, "prompt_tokens", "student_prompt_tokens", "generated_tokens")
    }
    longest = artifact.experiment.students[artifact.key.partition].training.max_length
    share = quality.overlong(artifact.columns("row_id", "teacher_sample_id"), tokens, longest)
    what = f"are longer than the {longest:,} tokens that the student reads"
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


def weight_change(artifact: CheckedArtifact) -> WeightChange:
    """Return how a checkpoint changes its base."""
    student = artifact.experiment.students[artifact.key.partition]
    folder = artifact.store.local_files(artifact.key)
    if student.lora:
        return adapter_change(folder)
    return full_change(folder, weights_of(artifact.experiment, artifact.store, student.base))


def differs_from_base(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The student is not its base: a layer of the adapter, or a tensor of all weights, changes it."""
    change = artifact.once(weight_change)
    return judged(
        change.changed > 0,
        f"{counted(change.changed, 'change')} of the base found in {counted(change.tensors, 'tensor')}",
        "at least 1 should be, else the student is its base",
        "raise the learning rate or the steps, and train again",
        ERROR,
        {"tensors": change.tensors, "changed": change.changed},
    )


def training_finite(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Every step's loss and every weight is finite."""
    steps = [row["step"] for row in artifact.rows if not isfinite(row["loss"])]
    change = artifact.once(weight_change)
    tensors = list(change.not_finite)
    return judged(
        not steps and not tensors,
        f"{len(steps):,} of {counted(len(artifact.rows), 'step')} have a loss that is not finite, "
        f"{len(tensors):,} of {counted(change.tensors, 'tensor')} a value",
        "all should be finite",
        "lower the learning rate, and train again",
        ERROR,
        {"steps": steps[: quality.WORST], "tensors": tensors[: quality.WORST]},
    )


def loss_fell(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The mean loss of the last fifth of the steps, two at least, is below that of the first fifth."""
    losses = [row["loss"] for row in sorted(artifact.rows, key=lambda row: row["step"])]
    # A step is the loss of a few rows: one alone says little.
    part = max(len(losses) // 5, min(2, len(losses) // 2), 1)
    first, last = sum(losses[:part]) / part, sum(losses[-part:]) / part
    return judged(
        last < first,
        f"the mean loss of the first {part} of {counted(len(losses), 'step')} is {first:.4g}, of the last {part} {last:.4g}",
        "the last should be below the first",
        "train longer, or change the learning rate",
        metadata={"first_fifth": first, "last_fifth": last},
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
    "lora_checkpoints": [lineage_intact, differs_from_base, training_finite, loss_fell],
}


def teaching_checks(experiment: Experiment, round_number: int) -> list[dg.AssetChecksDefinition]:
    """Return the checks of all that makes the students of a round."""
    partitions = Partitions.of(experiment, round_number).student
    return [asset_checks(experiment, partitions, name, checks, round_number) for name, checks in TEACHING.items()]
