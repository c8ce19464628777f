"""The samples of an imported folder, graded and scored as the assets do it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assets.evaluation.gap_reports import score_groups
from assets.grading import graded_rows, scorable, unscored_problems
from gsr_dagster.experiment.engines import RecordedSamples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import GapSummary, gap_summary
from resources.grading.grader import Grader
from resources.problems.recorded_samples import read_samples
from resources.problems.sources import load_problems


@dataclass(frozen=True)
class JudgedImport:
    """The graded samples of a model on a benchmark, and what of its problems was left out, by the reason.

    ``solutions`` is of how many problems the gold was a whole solution.
    """

    experiment: Experiment
    benchmark: str
    subject: str
    golds: dict[str, str]
    candidates: list[Row]
    refinements: list[Row]
    left_out: dict[str, int]
    solutions: int

    @property
    def title(self) -> str:
        """The model, and on which benchmark where there are several."""
        several = len(self.experiment.benchmarks) > 1
        return f"{self.subject} on {self.benchmark}" if several else self.subject

    def gold(self, problem_id: str) -> str:
        """Return a problem with its gold, shortened."""
        return f"{problem_id.partition('/')[2][:60]} with the gold {self.golds[problem_id][:60]!r}"


def judged_imports(folder: Path, grader: Grader) -> Iterator[JudgedImport]:
    """Yield the graded samples of each model on each benchmark of an imported folder."""
    experiment = load_experiment(folder / "experiment.yaml")
    for key in experiment.evaluations("base"):
        loaded = load_problems(key.benchmark, experiment.benchmarks[key.benchmark])
        model = experiment.models[key.subject]
        assert isinstance(model.engine, RecordedSamples)
        known = {row["problem_id"] for row in loaded.rows}  # those that are left out are counted
        rows = _rows(model.engine.path, key.benchmark, key.subject)
        candidates, refinements = (
            graded_rows(grader, label, loaded.rows, [row for row in of if row["problem_id"] in known], model)
            for label, of in zip(("candidates", "refinements"), rows, strict=True)
        )
        golds = {row["problem_id"]: row["answer"] for row in loaded.rows}
        left_out, solutions = loaded.left_out, loaded.golds_read_from_solutions
        yield JudgedImport(experiment, key.benchmark, key.subject, golds, candidates, refinements, left_out, solutions)


def score_import(judged: JudgedImport) -> GapSummary:
    """Return the scores of a model on a benchmark. Raises ArtifactError where no gold can be read."""
    experiment = judged.experiment
    pool = CandidatePool.of(judged.subject, scorable(judged.candidates), experiment.k, experiment.seed)
    groups, _ = score_groups(pool, judged.refinements)
    return gap_summary(pool, groups, len(unscored_problems(judged.candidates)))


def _rows(folder: Path, benchmark: str, subject: str) -> tuple[list[Row], list[Row]]:
    """Return candidates and refinements as the assets have them."""
    candidates, refinements = [], []
    for row in read_samples(folder):
        refines = row["prompt_id"] != row["problem_id"]
        prompt_id = f"{subject}/{benchmark}/{row['prompt_id']}"
        sample_id = {"refinement_id" if refines else "candidate_id": f"{prompt_id}/{row['sample_index']}"}
        named = {"problem_id": f"{benchmark}/{row['problem_id']}", "prompt_id": prompt_id, "candidate_ids": []}
        label = {"recorded_label": row["label"]}
        (refinements if refines else candidates).append({**row, **sample_id, **named, **label})
    return candidates, refinements
