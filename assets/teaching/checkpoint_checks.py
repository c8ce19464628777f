"""Checks of a checkpoint: that it learned, and of one by rewards that what it writes did not collapse."""

from collections.abc import Sequence
from math import isfinite

import dagster as dg

from assets import quality
from assets.checking import ERROR, Check, CheckedArtifact, counted, judged, line_in_percent
from assets.evaluation.subjects import weights_of
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.intervals import in_points, unpaired_difference
from resources.training.weight_change import WeightChange, adapter_change, full_change

FEWEST_STEPS = 4  # two at each end


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
    if artifact.experiment.students[artifact.key.partition].by_rewards:
        return judged(True, "0 losses compared, since it was trained by rewards", "none says what was learned", "")
    steps = sorted(artifact.rows, key=lambda row: row["step"])
    begun, ended = _ends(steps)
    part, first, last = len(begun), _mean(begun, "loss"), _mean(ended, "loss")
    return judged(
        last < first,
        f"the mean loss of the first {part} of {counted(len(steps), 'step')} is {first:.4g}, of the last {part} {last:.4g}",
        "the last should be below the first",
        "train longer, or change the learning rate",
        metadata={"first_fifth": first, "last_fifth": last},
    )


def reward_kept(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The mean reward of the last fifth of the steps is not clearly below that of the first: the whole interval must say so."""
    if not (steps := _by_rewards(artifact)):
        return _of_imitation()
    first, last = _ends(steps)
    if len(steps) < FEWEST_STEPS:
        return judged(True, f"{len(steps)} steps are too few to compare", f"{FEWEST_STEPS} at least are wanted", "")
    fell = unpaired_difference([row["reward"] for row in last], [row["reward"] for row in first])
    return judged(
        fell.high >= 0,
        f"the mean reward of the last {len(last)} of {len(steps):,} steps differs from that of the first {len(first)} by "
        f"{in_points(fell)} points",
        "its whole interval must not be below 0",
        "lower the learning rate, or raise beta",
        metadata={"change": fell.estimate, "low": fell.low, "high": fell.high},
    )


def rollouts_end(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few rollouts of the last fifth of the steps are cut off by the token limit: a model that rambles gets there."""
    return _share_of_the_last(artifact, "truncated", "most_truncated", "are cut off by the token limit")


def rollouts_answer(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few rollouts of the last fifth of the steps have no answer: a model that falls silent gets there."""
    return _share_of_the_last(artifact, "no_answer", "most_without_answer", "have no answer")


def rewards_in_time(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """The grader gave up on few rollouts. They are worth nothing, right or wrong."""
    if not (steps := _by_rewards(artifact)):
        return _of_imitation()
    return _share(artifact, steps, "timed_out", "most_timed_out", "made the grader give up")


def groups_teach(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Enough groups have rollouts that are right and others that are wrong: only they have a gradient."""
    if not (steps := _by_rewards(artifact)):
        return _of_imitation()
    line = artifact.experiment.checks.most_without_gradient
    share = _mean(steps, "groups_without_gradient")
    return judged(
        share <= line,
        f"{share:.1%} of the groups have equal rewards, and so no gradient",
        f"at most {line_in_percent(line)} is allowed (checks.most_without_gradient)",
        "take problems that are neither too hard nor too easy, larger groups, or begin with a student that was taught",
        metadata={"groups without gradient": share, "most_without_gradient": line},
    )


def _share_of_the_last(artifact: CheckedArtifact, column: str, line: str, what: str) -> dg.AssetCheckResult:
    if not (steps := _by_rewards(artifact)):
        return _of_imitation()
    return _share(artifact, _ends(steps)[1], column, line, what)


def _share(artifact: CheckedArtifact, steps: Sequence[Row], column: str, line: str, what: str) -> dg.AssetCheckResult:
    limit: float = getattr(artifact.experiment.checks, line)
    share = _mean(steps, column)
    return judged(
        share <= limit,
        f"{share:.1%} of the rollouts of {len(steps):,} steps {what}",
        f"at most {line_in_percent(limit)} is allowed (checks.{line})",
        'look at them, `gsr sql "select * from training_rollouts order by step desc"`, and lower the learning rate or '
        "raise beta",
        metadata={f"rollouts that {what}": share, line: limit},
    )


def _by_rewards(artifact: CheckedArtifact) -> list[Row]:
    """Return the steps of a training by rewards that have rollouts of their own, none of one by imitation."""
    if not artifact.experiment.students[artifact.key.partition].by_rewards:
        return []
    return sorted((row for row in artifact.rows if row["reward"] is not None), key=lambda row: row["step"])


def _of_imitation() -> dg.AssetCheckResult:
    return judged(True, "0 rollouts, since it was trained by imitation", "none is asked for", "")


def _ends(steps: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Return the first and the last fifth of the steps, two at least where there are as many: one alone says little."""
    part = max(len(steps) // 5, min(2, len(steps) // 2), 1)
    return steps[:part], steps[-part:]


def _mean(steps: Sequence[Row], column: str) -> float:
    return sum(row[column] for row in steps) / len(steps)


REWARDS: list[Check] = [reward_kept, rollouts_end, rollouts_answer, rewards_in_time, groups_teach]
