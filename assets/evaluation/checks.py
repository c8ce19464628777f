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
    counted,
    judged,
    line_in_points,
    unmeasured,
    within,
)
from assets.grading import per_problem, scored, unscored_problems
from assets.sample_checks import DRAWN, REFINED
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey, LaneName
from gsr_dagster.experiment.partitions import Partitions
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.intervals import Interval, in_points, paired_difference
from resources.grading.worker import GAVE_UP

# Graded rows


def golds_readable(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Every problem's gold can be read. One that cannot leaves its problem unscored."""
    unscored = unscored_problems(artifact.verdicts())
    problems = {row["problem_id"] for row in artifact.verdicts()}
    return judged(
        not unscored,
        f"{len(unscored):,} of {counted(len(problems), 'problem')} are not scored, since their gold cannot be read",
        "every gold should be readable",
        f"mend the answers of {', '.join(unscored[: quality.WORST])} in the source, or leave them out",
        metadata={"unscored_problems": unscored},
    )


def few_without_answer(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few samples end without an answer that can be read."""
    share = quality.with_verdict(artifact.verdicts(), artifact.id_column, "no answer", "unreadable")
    advice = "look at the texts: raise max_new_tokens where they are cut off, or ask in the prompt for a boxed answer"
    return within(artifact, "most_without_answer", "end without an answer that can be read", share, advice=advice)


def few_timed_out(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The grader gave up on few answers, in time or in error. They count as not correct."""
    share = quality.with_verdict(artifact.verdicts(), artifact.id_column, *GAVE_UP)
    return within(
        artifact, "most_timed_out", "have an answer that the grader gave up on", share, advice=GIVEN_UP_ADVICE
    )


# A student against its base


# What a difference comes to: whether the check passes, its severity, the line, and what to do.
Judgement = tuple[bool, dg.AssetCheckSeverity, str, str]


def pass_at_1_held(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The student's pass@1 is not significantly below its base's: an error only where the whole interval is below."""
    line = artifact.experiment.checks.most_pass_at_1_lost
    where = f"significantly below {line_in_points(-line)} (checks.most_pass_at_1_lost)"

    def judge(change: Interval) -> Judgement:
        held = change.high >= -line
        return held, ERROR, f"not {where}" if held else where, "train with fewer steps or a lower learning rate"

    return against_base(artifact, "graded_candidates", lambda row: row["correct"], judge, "pass@1", f"not {where}")


def gap_gained(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The student's Refinement Gap is significantly above its base's; an error where it is significantly below.

    Out of distribution nothing else is asked of it than not to be significantly below.
    """
    line = artifact.experiment.checks.least_gap_gained
    elsewhere = artifact.experiment.benchmarks[EvaluationKey.of(artifact.key).benchmark].out_of_distribution
    where = f"significantly above {line_in_points(line)} (checks.least_gap_gained)"

    def judge(change: Interval) -> Judgement:
        if change.high < 0:
            lost = f"significantly below 0, and not above {line_in_points(line)} (checks.least_gap_gained)"
            return False, ERROR, lost, "look at the checks of its training set and its checkpoint"
        gained = change.low > line
        if elsewhere and not gained:
            return True, WARN, "not significantly below 0, and no more is asked out of distribution", ""
        return gained, WARN, where if gained else f"not {where}", "more problems or groups narrow the interval"

    return against_base(
        artifact, "gap_reports", lambda row: row["refined"] - row["vote"], judge, "Refinement Gap", where
    )


def against_base(
    artifact: CheckedArtifact,
    asset: str,
    value: Callable[[Row], float],
    judge: Callable[[Interval], Judgement],
    what: str,
    wanted: str,
) -> dg.AssetCheckResult:
    """Return a judgement on the difference of a student to its base, paired over the problems of a benchmark.

    ``wanted`` is the line, for where there is no difference to judge.
    """
    experiment, store, student = artifact.experiment, artifact.store, EvaluationKey.of(artifact.key)
    base = experiment.evaluation_of(student.benchmark, experiment.students[student.subject].base)
    pair = f"{student.subject} − {base.subject}"
    if store.manifest(base.artifact(asset)) is None:
        return unmeasured(
            f"{pair} in {what}, 1 of 2 artifacts is missing",
            f"{wanted} is wanted",
            f"materialize {base.artifact(asset)}",
        )
    try:
        after, before = (per_problem(scored(store.read(key.artifact(asset))), value) for key in (student, base))
        change = paired_difference(after, before, experiment.seed)
    except ValueError as error:
        return unmeasured(
            f"{pair} in {what}, {error}".replace(": ", ", "),
            f"{wanted} is wanted",
            f"materialize {base.artifact(asset)} and {student.artifact(asset)} again",
        )
    passed, severity, line, advice = judge(change)
    interval = in_points(change).replace(" [", f" points of {what} [").replace("-", "−")
    compared = f"{pair} over {counted(len(before), 'problem')}, {interval}"
    metadata = {"difference": change.estimate, "low": change.low, "high": change.high, "problems": len(before)}
    return judged(passed, compared, line, advice, severity, metadata)


GRADED: list[Check] = [few_without_answer, few_timed_out]
EVALUATION: dict[str, list[Check]] = {
    "candidate_pools": DRAWN,
    "graded_candidates": [golds_readable, *GRADED],
    "self_refinements": REFINED,
    "gap_reports": GRADED,
}
FURTHER_KS: dict[str, list[Check]] = {"curve_refinements": REFINED}
AGAINST_BASE: list[Check] = [pass_at_1_held, gap_gained]


def evaluation_checks(experiment: Experiment, lane: LaneName, round_number: int = 1) -> list[dg.AssetChecksDefinition]:
    """Return the checks of a lane; a student's gap reports are also held against its base."""
    further = {"gap_reports": AGAINST_BASE} if lane == "student" else {}
    checked = {**EVALUATION, **(FURTHER_KS if experiment.further_ks else {})}
    partitions = Partitions.of(experiment, round_number).lane(lane)
    return [
        asset_checks(experiment, partitions, f"{lane}/{name}", [*checks, *further.get(name, [])], round_number)
        for name, checks in checked.items()
    ]
