"""Asset checks: what a check reads of its artifact, and how its result is said.

A check that finds results wrong is an error (samples are missing, a broken chain); one
that finds them poor is a warning. The experiment file's ``checks`` draw the lines. What
a failed check must stop, assets/refusals.py stops.

Every result is made by ``judged``, so that every text has one form, passed or failed:

    10 of 96 samples (10.4%) are cut off by the token limit: at most 10% is allowed (checks.most_truncated); raise ...
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import dagster as dg

from assets.quality import Share
from assets.refusals import SAMPLE_IDS, wanted_samples
from gsr_dagster.experiment.aggregations.base import Aggregation
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import JUDGE_SAMPLES, ArtifactKey, page_key, subject_of
from gsr_dagster.method.rows import Row
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Manifest
from resources.store.ordering import rows_by_problem

GRADED_IDS = {"graded_candidates": "candidate_id", "gap_reports": "refinement_id"}
Measured = TypeVar("Measured")
GIVEN_UP_ADVICE = "look at those answers: most are very long; `gsr regrade` grades them again"
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


class CheckedArtifact:
    """The artifact that is checked; of samples only what a check needs, a shard at a time."""

    def __init__(self, experiment: Experiment, store: ArtifactStore, key: ArtifactKey):
        self.experiment = experiment
        self.store = store
        self.key = key
        self._measured: dict[Callable, Any] = {}
        self.id_column = "sample_id" if self.aggregation else {**SAMPLE_IDS, **GRADED_IDS}.get(key.name, "")

    @property
    def aggregation(self) -> Aggregation | None:
        """The named aggregation whose answers these are, None for any other artifact."""
        name = self.key.asset.partition("/aggregation/")[2]
        return self.experiment.aggregations[name] if name else None

    @property
    def asks(self) -> bool:
        """Whether these are answers to questions that only their maker knows: an aggregation's, or a judge's."""
        return self.aggregation is not None or self.key.name == JUDGE_SAMPLES

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
        """Yield the rows of those: there may be more, since N can be lowered again.

        Of what an aggregation or a judge was asked, all rows are yielded.
        """
        rows = self.store.rows(self.key, self.id_column, *columns)
        if self.asks:
            return rows
        wanted = set(self.wanted)
        return (row for row in rows if row[self.id_column] in wanted)

    def verdicts(self) -> Iterator[Row]:
        """Yield what the grader said of each graded sample."""
        return self.store.rows(self.key, "problem_id", self.id_column, "verdict")

    @cached_property
    def thinking_end(self) -> str | None:
        """The end marker of the model that sampled."""
        if self.aggregation and self.aggregation.refiner:
            return self.experiment.models[self.aggregation.refiner].thinking_end
        if self.experiment.judge and self.asks and not self.aggregation:
            return self.experiment.models[self.experiment.judge.model].thinking_end
        if self.key.lane:
            return self.experiment.thinking_end(subject_of(self.key.partition))
        student = self.experiment.students[self.key.partition]
        samplers = {"training_candidates": student.sampler, "teacher_solutions": student.solver}
        return self.experiment.thinking_end(samplers.get(self.key.name, student.refiner))

    def once(self, measure: "Callable[[CheckedArtifact], Measured]") -> Measured:
        """Return what a function measures of this artifact, measured once for all its checks."""
        if measure not in self._measured:
            self._measured[measure] = measure(self)
        return self._measured[measure]

    def columns(self, *names: str) -> Iterator[Row]:
        """Yield some columns of the rows, a shard at a time."""
        return self.store.rows(self.key, *names)

    def of_student(self, asset: str, *columns: str) -> Iterator[Row]:
        """Yield some columns of the rows of another asset's artifact of the same partition."""
        return self.store.rows(ArtifactKey(asset, self.key.partition), *columns)

    def by_problem(self, asset: str, *columns: str) -> Iterator[tuple[str, list[Row]]]:
        """Yield each problem's rows of such an artifact, in the order of the problems' ids."""
        shards = self.store.local_shards(ArtifactKey(asset, self.key.partition))
        return rows_by_problem(shards, *columns, within=())


Check = Callable[[CheckedArtifact], dg.AssetCheckResult]


def judged(
    passed: bool,
    compared: str,
    line: str,
    advice: str,
    severity: dg.AssetCheckSeverity = WARN,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetCheckResult:
    """Return a check's result. Its text says what was compared with what, the line and, where it failed, what to do."""
    text = f"{compared}: {line}"
    return dg.AssetCheckResult(
        passed=passed,
        severity=severity,
        description=text if passed else f"{text}; {advice}",
        metadata=metadata,
    )


def within(artifact: CheckedArtifact, line: str, what: str, *shares: Share, advice: str) -> dg.AssetCheckResult:
    """Return whether the shares stay within a line of the experiment file: under a most_, over a least_.

    ``what`` is said of each share: "are cut off by the token limit".
    """
    limit: float = getattr(artifact.experiment.checks, line)
    least = line.startswith("least_")
    failed = [s for s in shares if s.total and (s.value < limit if least else s.value > limit)]
    said = failed or shares
    worst = [name for share in said for name in share.worst]
    bound = f"at least {line_in_percent(limit)} is wanted" if least else f"at most {line_in_percent(limit)} is allowed"
    return judged(
        not failed,
        ", ".join(f"{share} {what}" for share in said),
        f"{bound} (checks.{line})",
        advice,
        metadata={
            **{f"{share.of} that {what}": share.value for share in shares},
            line: limit,
            **({"such_as": worst} if worst else {}),
        },
    )


def line_in_percent(fraction: float) -> str:
    """Return a line of the experiment file in percent, as precise as it was written.

    >>> line_in_percent(0.0005), line_in_percent(0.1)
    ('0.05%', '10%')
    """
    return f"{100 * fraction:.6g}%"


def unmeasured(why: str, line: str, advice: str, metadata: Mapping[str, Any] | None = None) -> dg.AssetCheckResult:
    """Return a warning that says why there is nothing to hold against the line."""
    return judged(False, f"not measured, {why}", line, advice, metadata=metadata)


def line_in_points(fraction: float) -> str:
    """Return a line of the experiment file in points, with its sign.

    >>> line_in_points(0.0), line_in_points(-0.025)
    ('0', '−2.5')
    """
    return f"{100 * fraction:+.4g}".replace("-", "−") if fraction else "0"


def counted(number: int, name: str) -> str:
    """Return a number with the name of what it counts.

    >>> counted(1, "problem"), counted(20, "problem")
    ('1 problem', '20 problems')
    """
    return f"{number:,} {name}" + ("" if number == 1 else "s")


def asset_checks(
    experiment: Experiment,
    partitions: dg.PartitionsDefinition,
    asset: str,
    checks: Sequence[Check],
    round_number: int = 1,
) -> dg.AssetChecksDefinition:
    """Return the checks of an asset, one a function, whose name and docstring are the check's."""
    asset_key = page_key(experiment.name, asset, round_number)
    of_round = f"round_{round_number}_" if round_number > 1 else ""
    named = {check.__name__: check for check in checks}
    specs = [
        dg.AssetCheckSpec(name, asset=asset_key, description=check.__doc__, partitions_def=partitions)
        for name, check in named.items()
    ]

    @dg.multi_asset_check(name=f"{of_round}{re.sub('[^A-Za-z0-9_]', '_', asset)}_checks", specs=specs, can_subset=True)
    def run_checks(
        context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[ArtifactStore]
    ) -> Iterator[dg.AssetCheckResult]:
        artifact = CheckedArtifact(experiment, store, ArtifactKey(asset, context.partition_key))
        selected = {key.name for key in context.selected_asset_check_keys}
        for name, check in named.items():
            if name in selected:
                yield check(artifact)._replace(asset_key=asset_key, check_name=name)

    return run_checks
