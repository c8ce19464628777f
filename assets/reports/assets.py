"""Reports: how the gap of base models scales, and every student beside its base."""

import dataclasses
from typing import Any

import dagster as dg

from assets.materializing import ArtifactContents, asset_of, materialize
from assets.reports.collecting import (
    by_benchmark,
    correlations,
    reported_aggregations,
    reported_curves,
    reported_gaps,
    reported_judgements,
)
from assets.reports.fingerprints import RefinementGapScaling, StudentComparison
from assets.reports.shown_first import shown_models, shown_students
from assets.reports.student_comparison import ablations, compared_students, student_facts
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LANES
from gsr_dagster.method.scoring.correlation import Correlation
from resources.reporting.figures.drawing import Drawing
from resources.reporting.report_page import Report, render_report
from resources.reporting.report_rows import SIDE_BY_SIDE, ReportedStudent, stored_gaps, stored_student
from resources.store.artifacts import ArtifactStore
from resources.store.files import scratch_folder
from resources.store.manifests import Recipe


@dataclasses.dataclass(frozen=True)
class ScalingSummary:
    """Spearman's rho of the gap, by benchmark, with the models' ``parameters`` and with their ``pass_at_1``."""

    correlations: dict[str, dict[str, Correlation | None]]


def report_assets(experiment: Experiment) -> list[dg.AssetsDefinition]:
    """Return the assets of the group "reports"."""
    scaling, comparison = RefinementGapScaling(experiment), StudentComparison(experiment)

    @asset_of(scaling, group_name="reports", kinds={"matplotlib"})
    def refinement_gap_scaling(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore]
    ) -> dg.MaterializeResult:
        """The Refinement Gap of every base model against its parameters, its pass@1 and the group size."""
        made = materialize(context, store, scaling.recipe(store), lambda: report_scaling(experiment, store))
        return _opening_with(shown_models(reported_gaps(experiment, store, "base")), made)

    @asset_of(comparison, group_name="reports", kinds={"matplotlib"})
    def student_comparison(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[ArtifactStore]
    ) -> dg.MaterializeResult:
        """Every student beside its base, paired on the same problems; and report.html with all of it."""
        recipe = comparison.recipe(store)
        made = materialize(context, store, recipe, lambda: report_students(experiment, store, recipe))
        students = ReportedStudent.parse(store.read(recipe.key))
        shown = shown_students(students) if students else shown_models(reported_gaps(experiment, store, "base"))
        return _opening_with(shown, made)

    return [refinement_gap_scaling, student_comparison]


def report_scaling(experiment: Experiment, store: ArtifactStore) -> ArtifactContents:
    """Return the gaps of all base models, with their correlations and figures."""
    gaps = reported_gaps(experiment, store, "base")
    found = correlations(experiment, gaps)
    report = Report(experiment, gaps, curves=reported_curves(experiment, store, "base"), correlations=found)
    summary = dataclasses.asdict(ScalingSummary(found))
    metadata: dict[str, Any] = _images(report.scaling_figures())
    if report.of_unknown_size:
        metadata["of_unknown_size"] = report.of_unknown_size
    return ArtifactContents(stored_gaps(gaps), summary=summary, metadata=metadata)


def report_students(experiment: Experiment, store: ArtifactStore, recipe: Recipe) -> ArtifactContents:
    """Return every student beside its base, and report.html."""
    scaling = store.summary(RefinementGapScaling(experiment).key(), ScalingSummary)
    comparison = compared_students(experiment, store)
    report = Report(
        experiment,
        gaps=by_benchmark(experiment, [gap for lane in LANES for gap in reported_gaps(experiment, store, lane)]),
        curves=[point for lane in LANES for point in reported_curves(experiment, store, lane)],
        correlations=scaling.correlations,
        comparison=[row for row in comparison if row.relation != SIDE_BY_SIDE],
        side_by_side=[row for row in comparison if row.relation == SIDE_BY_SIDE],
        facts=student_facts(experiment, store),
        ablations=ablations(experiment),
        aggregations=reported_aggregations(experiment, store),
        judgements=reported_judgements(experiment, store),
    )
    with scratch_folder() as scratch:
        (scratch / "report.html").write_text(render_report(report), encoding="utf-8")
        files = store.put_files(recipe, scratch)
    metadata = {
        **_images(report.figures),
        # A browser opens no file of another machine from a page: it is copied there.
        "report_file": dg.MetadataValue.path(store.address(recipe, files[0].name)),
    }
    return ArtifactContents([stored_student(row) for row in comparison], files=files, metadata=metadata)


def _opening_with(shown: dict[str, dg.MetadataValue], made: dg.MaterializeResult) -> dg.MaterializeResult:
    """Return a materialization that the page opens with what is shown at once, also where the report was current."""
    return made._replace(metadata={**shown, **(made.metadata or {})})


def _images(figures: dict[str, Drawing]) -> dict[str, dg.MetadataValue]:
    return {name: dg.MetadataValue.md(drawing.markdown) for name, drawing in figures.items()}
