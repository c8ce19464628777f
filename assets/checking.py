"""Asset checks: what a check reads of its artifact, and how its result is said.

A check that finds results wrong is an error (samples are missing, a broken chain); one
that finds them poor is a warning. The experiment file's ``checks`` draw the lines. What
a failed check must stop, assets/refusals.py stops.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import dagster as dg

from assets.quality import Share
from assets.refusals import SAMPLE_IDS, wanted_samples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey, page_key, subject_of
from gsr_dagster.method.rows import Row
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Manifest

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
        self.id_column = {**SAMPLE_IDS, **GRADED_IDS}.get(key.name, "")

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

    def of_student(self, asset: str) -> list[Row]:
        """Return the rows of another asset's artifact of the same partition."""
        return self.store.read(ArtifactKey(asset, self.key.partition))


Check = Callable[[CheckedArtifact], dg.AssetCheckResult]


def within(
    artifact: CheckedArtifact, line: str, measured: Mapping[str, Share], advice: str | None = None
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


def unmeasured(why: str) -> dg.AssetCheckResult:
    """Return a warning that says why there is nothing to judge."""
    return dg.AssetCheckResult(passed=False, severity=WARN, description=f"not measured: {why}")


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

    @dg.multi_asset_check(name=f"{of_round}{asset.replace('/', '_')}_checks", specs=specs, can_subset=True)
    def run_checks(context: dg.AssetCheckExecutionContext, store: ArtifactStore) -> Iterator[dg.AssetCheckResult]:
        artifact = CheckedArtifact(experiment, store, ArtifactKey(asset, context.partition_key))
        selected = {key.name for key in context.selected_asset_check_keys}
        for name, check in named.items():
            if name in selected:
                yield check(artifact)._replace(asset_key=asset_key, check_name=name)

    return run_checks
