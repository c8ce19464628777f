"""The questions that checks ask about samples, grades and scores.

A check that finds results wrong is an error (samples are missing, a broken chain); one
that finds them poor is a warning. The experiment file's ``checks`` draw the lines. What
a failed check must stop, assets/refusals.py stops.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import dagster as dg

from assets import quality
from assets.evaluation import subject_model
from assets.quality import Share
from assets.refusals import SAMPLE_IDS, missing_samples, wanted_samples
from assets.scoring import scored, unscored_problems
from gsr_dagster.experiment import Experiment
from gsr_dagster.method.intervals import Interval, paired_difference
from resources import weights
from resources.artifacts import ArtifactStore
from resources.manifests import ArtifactKey, Manifest
from resources.rows import Row
from resources.tensors import WeightChange, adapter_change, full_change

GRADED_IDS = {"graded_candidates": "candidate_id", "gap_reports": "refinement_id"}
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


class Artifact:
    """The artifact that is asked about; of samples only what a question needs, a shard at a time."""

    def __init__(self, experiment: Experiment, store: ArtifactStore, key: ArtifactKey):
        self.experiment = experiment
        self.store = store
        self.key = key
        self.lane, _, self.name = key.asset.rpartition("/")
        self.id_column = {**SAMPLE_IDS, **GRADED_IDS}.get(self.name, "")

    @cached_property
    def manifest(self) -> Manifest:
        return self.store.existing(self.key)

    @cached_property
    def rows(self) -> list[Row]:
        return self.store.read(self.key)

    @cached_property
    def wanted(self) -> list[str]:
        """The ids of the samples that the experiment asks for."""
        return wanted_samples(self.experiment, self.store, self.key)

    def samples(self, *columns: str) -> Iterator[Row]:
        """Yield the rows of those: there may be more, since N can be lowered again."""
        wanted = set(self.wanted)
        rows = self.store.rows(self.key, self.id_column, *columns)
        return (row for row in rows if row[self.id_column] in wanted)

    def verdicts(self) -> Iterator[Row]:
        """Yield what the grader said of each graded sample."""
        return self.store.rows(self.key, "problem_id", self.id_column, "verdict")

    @cached_property
    def thinking_end(self) -> str | None:
        """The end marker of the model that sampled."""
        if self.lane:
            return subject_model(self.experiment, self.lane, self.key.partition.split("|")[1]).thinking_end
        student = self.experiment.students[self.key.partition]
        sampler = student.sampler if self.name == "training_candidates" else student.teacher
        return self.experiment.models[sampler].thinking_end

    @cached_property
    def weight_change(self) -> WeightChange:
        student = self.experiment.students[self.key.partition]
        folder = self.store.local_files(self.key)
        if student.lora:
            return adapter_change(folder)
        return full_change(folder, weights.fetch(str(self.experiment.models[student.base].source)))

    def of_student(self, asset: str) -> list[Row]:
        """Return the rows of another asset's artifact of the same partition."""
        return self.store.read(ArtifactKey(asset, self.key.partition))


Question = Callable[[Artifact], dg.AssetCheckResult]


def within(
    artifact: Artifact, line: str, measured: Mapping[str, Share], advice: str | None = None
) -> dg.AssetCheckResult:
    """Return whether the shares stay within a line of the experiment file: under a most_, over a least_."""
    limit: float = getattr(artifact.experiment.checks, line)
    least = line.startswith("least_")
    failed = {
        what: share
        for what, share in measured.items()
        if share.total and (share.value < limit if least else share.value > limit)
    }
    texts = [f"{share} {what}" for what, share in (failed or measured).items()]
    texts += [f"checks.{line} is {limit:.1%}", *([advice] if failed and advice else [])]
    shown: dict[str, Any] = {what: share.value for what, share in measured.items()}
    worst = [name for share in (failed or measured).values() for name in share.worst]
    return dg.AssetCheckResult(
        passed=not failed,
        severity=WARN,
        description="; ".join(texts),
        metadata={**shown, line: limit, **({"such_as": worst} if worst else {})},
    )


def wrong(description: str | None, **metadata: Any) -> dg.AssetCheckResult:
    """Return an error with what is wrong, or a check that passed where nothing is."""
    return dg.AssetCheckResult(passed=not description, severity=ERROR, description=description, metadata=metadata)


# Samples of any kind


def samples_complete(artifact: Artifact) -> dg.AssetCheckResult:
    """Every prompt has the samples that the experiment asks for."""
    missing = missing_samples(artifact.wanted, artifact.store, artifact.key)
    text = f"{len(missing)} of {len(artifact.wanted)} samples are missing: materialize {artifact.key} again"
    counts = {"wanted": len(artifact.wanted), "missing": len(missing)}
    return wrong(text if missing else None, **counts, such_as=missing[: quality.WORST])


def few_truncated(artifact: Artifact) -> dg.AssetCheckResult:
    """Few samples are cut off by the token limit."""
    share = quality.truncated(artifact.samples("finish_reason"), artifact.id_column)
    return within(artifact, "most_truncated", {"cut off by the token limit": share}, "raise max_new_tokens")


def thinking_closed(artifact: Artifact) -> dg.AssetCheckResult:
    """The thinking of few samples never ends: what follows it is the candidate. A model that does not think passes."""
    share = quality.unclosed(artifact.samples("text"), artifact.id_column, artifact.thinking_end)
    return within(artifact, "most_unclosed", {"with thinking that never ends": share}, "raise max_new_tokens")


def few_repeated(artifact: Artifact) -> dg.AssetCheckResult:
    """Few samples have the text of an earlier one of their prompt. At temperature 0 all do, and that is allowed."""
    share = quality.repeated(artifact.samples("prompt_id", "text"))
    result = within(artifact, "most_repeated", {"with the text of an earlier one": share}, "raise the temperature")
    greedy = artifact.manifest.settings["rollout"]["temperature"] == 0
    return result._replace(passed=True, description="greedy decoding repeats itself") if greedy else result


# Graded rows


def golds_readable(artifact: Artifact) -> dg.AssetCheckResult:
    """Every problem's gold can be read. One that cannot leaves its problem unscored."""
    unscored = unscored_problems(artifact.verdicts())
    text = f"{len(unscored)} problems are not scored: their gold cannot be read" if unscored else None
    return wrong(text, unscored_problems=unscored)._replace(severity=WARN)


def few_without_answer(artifact: Artifact) -> dg.AssetCheckResult:
    """Few samples end without an answer."""
    share = quality.with_verdict(artifact.verdicts(), artifact.id_column, "no answer")
    return within(artifact, "most_without_answer", {"without an answer": share})


def few_timed_out(artifact: Artifact) -> dg.AssetCheckResult:
    """The grader gave up on few answers. They count as not correct."""
    share = quality.with_verdict(artifact.verdicts(), artifact.id_column, "timed out")
    return within(artifact, "most_timed_out", {"that timed out in the grader": share})


# A student against its base


def pass_at_1_held(artifact: Artifact) -> dg.AssetCheckResult:
    """The student's pass@1 is not significantly below its base's: an error only where the whole interval is below."""
    line = artifact.experiment.checks.most_pass_at_1_lost
    return against_base(
        artifact,
        "graded_candidates",
        lambda row: row["correct"],
        lambda change: (change.high >= -line, ERROR),
        f"pass@1; checks.most_pass_at_1_lost is {line:.1%}",
    )


def gap_gained(artifact: Artifact) -> dg.AssetCheckResult:
    """The student's Refinement Gap is significantly above its base's; an error where it is significantly below."""
    line = artifact.experiment.checks.least_gap_gained
    return against_base(
        artifact,
        "gap_reports",
        lambda row: row["refined"] - row["vote"],
        lambda change: (change.low > line, ERROR if change.high < 0 else WARN),
        f"Refinement Gap; checks.least_gap_gained is {line:.1%}",
    )


def against_base(
    artifact: Artifact,
    asset: str,
    value: Callable[[Row], float],
    judge: Callable[[Interval], tuple[bool, dg.AssetCheckSeverity]],
    what: str,
) -> dg.AssetCheckResult:
    """Return a judgement on the difference of a student to its base, paired over the problems of a benchmark."""
    benchmark, student = artifact.key.partition.split("|")
    base = ArtifactKey(f"base/{asset}", f"{benchmark}|{artifact.experiment.students[student].base}")
    if artifact.store.manifest(base) is None:
        text = f"not measured: {base} is missing, materialize it"
        return dg.AssetCheckResult(passed=False, severity=WARN, description=text)
    try:
        after, before = (
            _per_problem(artifact.store.read(key), value)
            for key in (ArtifactKey(f"student/{asset}", artifact.key.partition), base)
        )
        change = paired_difference(after, before, artifact.experiment.seed)
    except ValueError as error:
        return dg.AssetCheckResult(passed=False, severity=WARN, description=f"not measured: {error}")
    passed, severity = judge(change)
    text = f"{points(vars(change))} points of {what}"
    metadata = {"difference": change.estimate, "low": change.low, "high": change.high, "problems": len(before)}
    return dg.AssetCheckResult(passed=passed, severity=severity, description=text, metadata=metadata)


def _per_problem(rows: Sequence[Row], value: Callable[[Row], float]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for row in scored(rows):
        values.setdefault(row["problem_id"], []).append(float(value(row)))
    return values


def points(interval: Mapping[str, float]) -> str:
    """Return an interval of fractions in points."""
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(interval[name] * 100 for name in ("estimate", "low", "high")))
