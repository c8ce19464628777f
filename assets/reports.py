"""Reports: how the gap of base models scales, and every student beside its base."""

import dataclasses
from collections.abc import Sequence

import dagster as dg

from assets.aggregation_table import AggregationsShown
from assets.comparison import ablations, comparison_rows, student_facts
from assets.materializing import Made, keep
from assets.recipes import Recipes
from assets.scoring import GapScores
from gsr_dagster.experiment import Experiment
from gsr_dagster.method.correlation import spearman
from resources.artifacts import ArtifactStore
from resources.manifests import ArtifactKey
from resources.objects import scratch_folder
from resources.plots import markdown_image
from resources.report_page import Report, render_report
from resources.rows import Row

LANES = ("base", "student")
SCALING = ArtifactKey("refinement_gap_scaling")


def report_assets(experiment: Experiment) -> list:
    """Return the assets of the group "reports"."""

    @dg.asset(deps=_reported(experiment, "base"), group_name="reports", kinds={"matplotlib"})
    def refinement_gap_scaling(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult:
        """The Refinement Gap of every base model against its parameters, its pass@1 and the group size."""
        recipe = Recipes(experiment, store).refinement_gap_scaling()

        def make() -> Made:
            report = Report(
                experiment,
                gaps=gap_rows(experiment, store, "base"),
                curves=curve_rows(experiment, store, "base"),
            )
            summary = {"correlations": correlations(experiment, report.gaps)}
            report.correlations = summary["correlations"]
            return Made(report.gaps, summary=summary, metadata=_images(report.scaling_figures()))

        return keep(context, store, recipe, make)

    @dg.asset(
        deps=[
            refinement_gap_scaling,
            "lora_checkpoints",
            *(dg.AssetKey([lane, "graded_candidates"]) for lane in LANES),
            *(key for lane in LANES for key in _reported(experiment, lane)),
            *(dg.AssetKey([lane, "aggregations"]) for lane in LANES if experiment.aggregations),
        ],
        group_name="reports",
        kinds={"matplotlib"},
    )
    def student_comparison(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult:
        """Every student beside its base, paired on the same problems; and report.html with all of it."""
        recipe = Recipes(experiment, store).student_comparison()

        def make() -> Made:
            report = Report(
                experiment,
                gaps=by_benchmark(experiment, [r for lane in LANES for r in gap_rows(experiment, store, lane)]),
                curves=[r for lane in LANES for r in curve_rows(experiment, store, lane)],
                correlations=store.existing(SCALING).summary["correlations"],
                comparison=comparison_rows(experiment, store),
                facts=student_facts(experiment, store),
                ablations=ablations(experiment),
                aggregations=aggregation_rows(experiment, store),
            )
            with scratch_folder() as scratch:
                (scratch / "report.html").write_text(render_report(report), encoding="utf-8")
                files = store.put_files(recipe, scratch)
            metadata = {"report": store.address(recipe, files[0].name), **_images(report.figures())}
            return Made(report.comparison, files=files, metadata=metadata)

        return keep(context, store, recipe, make)

    return [refinement_gap_scaling, student_comparison]


def _reported(experiment: Experiment, lane: str) -> list[dg.AssetKey]:
    names = ["gap_reports", "gap_curves"] if experiment.further_ks else ["gap_reports"]
    return [dg.AssetKey([lane, name]) for name in names]


def _images(figures: dict) -> dict[str, dg.MetadataValue]:
    return {name: dg.MetadataValue.md(markdown_image(figure)) for name, figure in figures.items()}


def gap_rows(experiment: Experiment, store: ArtifactStore, lane: str) -> list[Row]:
    """Return the summary of every gap report of a lane, with its benchmark, subject, family and parameters."""
    return [
        {
            "benchmark": benchmark,
            "subject": subject,
            "lane": lane,
            "family": experiment.family(subject),
            "parameters": experiment.models[model].parameters,
            **store.summary(ArtifactKey(f"{lane}/gap_reports", f"{benchmark}|{subject}"), GapScores),
        }
        for benchmark in experiment.benchmarks
        for subject, model in _subjects(experiment, lane).items()
    ]


def by_benchmark(experiment: Experiment, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of each benchmark together, in the order of the experiment file."""
    order = list(experiment.benchmarks)
    return sorted(rows, key=lambda row: order.index(row["benchmark"]))


def curve_rows(experiment: Experiment, store: ArtifactStore, lane: str) -> list[Row]:
    """Return a row for every benchmark, subject and further group size; none where no size is named."""
    if not experiment.further_ks:
        return []
    return [
        {"benchmark": benchmark, "subject": subject, **row}
        for benchmark in experiment.benchmarks
        for subject in _subjects(experiment, lane)
        for row in store.read(ArtifactKey(f"{lane}/gap_curves", f"{benchmark}|{subject}"))
    ]


def correlations(experiment: Experiment, gaps: Sequence[Row]) -> dict[str, dict[str, dict | None]]:
    """Return, by benchmark, Spearman's rho of the models' gaps with their parameters and with their pass@1."""
    found = {}
    for benchmark in experiment.benchmarks:
        rows = [row for row in gaps if row["benchmark"] == benchmark]
        gap = [row["refinement_gap"] for row in rows]
        of_benchmark = {
            against: spearman([row[against] for row in rows], gap, experiment.seed)
            for against in ("parameters", "pass_at_1")
        }
        found[benchmark] = {name: value and dataclasses.asdict(value) for name, value in of_benchmark.items()}
    return found


def aggregation_rows(experiment: Experiment, store: ArtifactStore) -> list[Row]:
    """Return the summary of every table of aggregations; none where the experiment names none."""
    if not experiment.aggregations:
        return []
    return [
        {
            "benchmark": benchmark,
            "subject": subject,
            **store.summary(ArtifactKey(f"{lane}/aggregations", f"{benchmark}|{subject}"), AggregationsShown),
        }
        for benchmark in experiment.benchmarks
        for lane in LANES
        for subject in _subjects(experiment, lane)
    ]


def _subjects(experiment: Experiment, lane: str) -> dict[str, str]:
    """Return the subjects of a lane with the model that each one is, or is trained from."""
    if lane == "base":
        return {name: name for name in experiment.models}
    return {name: student.base for name, student in experiment.students.items()}
