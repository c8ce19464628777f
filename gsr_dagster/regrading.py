"""`gsr regrade`: stored samples under another grader, or another version, without sampling and without a change."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from assets.evaluation import subject_model
from assets.scoring import GapScores, gap_summary, graded_rows, score_groups
from gsr_dagster.experiment import Experiment, GraderName
from resources.artifacts import ArtifactStore
from resources.grader import Grader
from resources.manifests import ArtifactKey
from resources.rows import Row


@dataclass(frozen=True)
class Change:
    """One answer whose verdict is another now."""

    sample_id: str
    gold: str
    answer: str | None
    before: str
    after: str


@dataclass(frozen=True)
class Regraded:
    """A gap report under both graders: the changed verdicts, and both summaries."""

    benchmark: str
    subject: str
    samples: int
    changes: list[Change]
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def sign_changed(self) -> bool:
        """Whether the gap is positive under one grader and not under the other, or negative."""
        before, after = self.before["refinement_gap"], self.after["refinement_gap"]
        return (before > 0) != (after > 0) or (before < 0) != (after < 0)


def regrade(experiment: Experiment, store: ArtifactStore, grader: GraderName) -> Iterator[Regraded]:
    """Yield every gap report of the experiment that is there, graded again by the named grader of today."""
    subjects = [("base", name) for name in experiment.models] + [("student", name) for name in experiment.students]
    for benchmark in experiment.benchmarks:
        for lane, subject in subjects:
            partition = f"{benchmark}|{subject}"
            if store.manifest(ArtifactKey(f"{lane}/gap_reports", partition)) is None:
                continue
            before = store.summary(ArtifactKey(f"{lane}/gap_reports", partition), GapScores)
            problems = store.read(ArtifactKey("benchmark_problems", benchmark))
            settings = subject_model(experiment, lane, subject)
            old_graded = store.read(ArtifactKey(f"{lane}/graded_candidates", partition))
            old_refined = store.read(ArtifactKey(f"{lane}/gap_reports", partition))
            judge = Grader(name=grader)
            label = f"{benchmark} {subject}"
            pool = {row["candidate_id"]: row for row in store.read(ArtifactKey(f"{lane}/candidate_pools", partition))}
            candidates = [pool[row["candidate_id"]] for row in old_graded]
            graded = graded_rows(judge, label, problems, candidates, settings)
            refinements = store.read(ArtifactKey(f"{lane}/self_refinements", partition))
            refined = graded_rows(judge, label, problems, refinements, settings)
            groups, rows = score_groups(experiment, subject, graded, refined)
            golds = {row["problem_id"]: row["answer"] for row in problems}
            changes = [
                *_changes(golds, "candidate_id", old_graded, graded),
                *_changes(golds, "refinement_id", old_refined, rows),
            ]
            after = gap_summary(experiment, graded, groups)
            yield Regraded(benchmark, subject, len(graded) + len(rows), changes, before, after)


def _changes(golds: dict[str, str], id_column: str, before: list[Row], after: list[Row]) -> Iterator[Change]:
    verdicts = {row[id_column]: row["verdict"] for row in before}
    for row in after:
        sample_id = row[id_column]
        old = verdicts.get(sample_id, "not scored")
        if old != row["verdict"]:
            yield Change(sample_id, golds[row["problem_id"]], row["answer"], old, row["verdict"])
