"""Checks of an evaluation: its samples, its grades, and a student against its base."""

from collections.abc import Callable

import dagster as dg

from assets import quality
from assets.checking import (
    ERROR,
    GIVEN_UP_ADVICE,
    WARN,
    Check,
    CheckedArtifact,
    asset_checks,
    unmeasured,
    within,
    wrong,
)
from assets.grading import per_problem, scored, unscored_problems
from assets.sample_checks import DRAWN, few_truncated, few_unasked, samples_complete, thinking_closed
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey, LaneName
from gsr_dagster.experiment.partitions import Partitions
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.intervals import Interval, in_points, paired_difference
from resources.grading.grader import GAVE_UP

# Graded rows


def golds_readable(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Every problem's gold can be read. One that cannot leaves its problem unscored."""
    unscored = unscored_problems(artifact.verdicts())
    text = (
        f"{len(unscored)} problems are not scored: their gold cannot be read, where every gold should be; "
        f"mend the answers of {', '.join(unscored[: quality.WORST])} in the source, or leave them out"
    )
    return wrong(text if unscored else None, unscored_problems=unscored)._replace(severity=WARN)


def few_without_answer(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few samples end without an answer that can be read."""
    share = quality.with_verdict(artifact.verdicts(), artifact.id_column, "no answer", "unreadable")
    advice = "look at the texts: raise max_new_tokens where they are cut off, or ask in the prompt for a boxed answer"
    return within(artifact, "most_without_answer", {"without an answer that can be read": share}, advice)


def few_timed_out(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The grader gave up on few answers, in time or in error. They count as not correct."""
    share = quality.with_verdict(artifact.verdicts(), artifact.id_column, *GAVE_UP)
    return within(artifact, "most_timed_out", {"that the grader gave up on": share}, GIVEN_UP_ADVICE)


# A student against its base


def pass_at_1_held(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The student's pass@1 is not significantly below its base's: an error only where the whole interval is below."""
    line = artifact.experiment.checks.most_pass_at_1_lost
    where = f"{_points(-line)} (checks.most_pass_at_1_lost)"

    def judge(change: Interval) -> tuple[bool, dg.AssetCheckSeverity, str]:
        if change.high >= -line:
            return True, ERROR, f"not significantly below {where}"
        return False, ERROR, f"significantly below {where}; train with fewer steps or a lower learning rate"

    return against_base(artifact, "graded_candidates", lambda row: row["correct"], judge, "pass@1")


def gap_gained(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The student's Refinement Gap is significantly above its base's; an error where it is significantly below."""
    line = artifact.experiment.checks.least_gap_gained
    where = f"{_points(line)} (checks.least_gap_gained)"

    def judge(change: Interval) -> tuple[bool, dg.AssetCheckSeverity, str]:
        if change.low > line:
            return True, WARN, f"significantly above {where}"
        if change.high < 0:
            return False, ERROR, "significantly below 0; look at the checks of its training set and its checkpoint"
        return False, WARN, f"not significantly above {where}; more problems or groups narrow the interval"

    return against_base(artifact, "gap_reports", lambda row: row["refined"] - row["vote"], judge, "Refinement Gap")


def against_base(
    artifact: CheckedArtifact,
    asset: str,
    value: Callable[[Row], float],
    judge: Callable[[Interval], tuple[bool, dg.AssetCheckSeverity, str]],
    what: str,
) -> dg.AssetCheckResult:
    """Return a judgement on the difference of a student to its base, paired over the problems of a benchmark."""
    experiment, store, student = artifact.experiment, artifact.store, EvaluationKey.of(artifact.key)
    base = experiment.evaluation_of(student.benchmark, experiment.students[student.subject].base)
    if store.manifest(base.artifact(asset)) is None:
        return unmeasured(f"{base.artifact(asset)} is missing, materialize it")
    try:
        after, before = (per_problem(scored(store.read(key.artifact(asset))), value) for key in (student, base))
        change = paired_difference(after, before, experiment.seed)
    except ValueError as error:
        return unmeasured(f"{error}; materialize {base.artifact(asset)} and {student.artifact(asset)} again")
    passed, severity, verdict = judge(change)
    interval = in_points(change).replace(" [", f" points of {what} [").replace("-", "−")
    text = f"{student.subject} − {base.subject} over {len(before)} problems, {interval}: {verdict}"
    metadata = {"difference": change.estimate, "low": change.low, "high": change.high, "problems": len(before)}
    return dg.AssetCheckResult(passed=passed, severity=severity, description=text, metadata=metadata)


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}".replace("-", "−") if fraction else "0"


GRADED: list[Check] = [few_without_answer, few_timed_out]
EVALUATION: dict[str, list[Check]] = {
    "candidate_pools": DRAWN,
    "graded_candidates": [golds_readable, *GRADED],
    "self_refinements": [samples_complete, few_unasked, few_truncated, thinking_closed],
    "gap_reports": GRADED,
}
AGAINST_BASE: list[Check] = [pass_at_1_held, gap_gained]


def evaluation_checks(experiment: Experiment, lane: LaneName, round_number: int = 1) -> list[dg.AssetChecksDefinition]:
    """Return the checks of a lane; a student's gap reports are also held against its base."""
    further = {"gap_reports": AGAINST_BASE} if lane == "student" else {}
    partitions = Partitions.of(experiment, round_number).lane(lane)
    return [
        asset_checks(experiment, partitions, f"{lane}/{name}", [*checks, *further.get(name, [])], round_number)
        for name, checks in EVALUATION.items()
    ]
