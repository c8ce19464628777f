"""Reports: the gap of every base model, and every student beside its base."""

import dataclasses
import tempfile
from pathlib import Path

import dagster as dg

from assets.materializing import Made, keep
from assets.recipes import Recipes
from assets.scoring import scored
from gsr_dagster.experiment import Experiment
from gsr_dagster.method.intervals import Interval, paired_difference
from resources.artifacts import ArtifactKey, ArtifactStore, Row
from resources.plots import gap_plot, markdown_image
from resources.report_page import render_report


def report_assets(experiment: Experiment) -> list:
    """Return the assets of the group "reports"."""
    names = ("graded_candidates", "gap_reports", *(["aggregations"] if experiment.aggregations else []))
    reported = [(lane, name) for lane in ("base", "student") for name in names]

    @dg.asset(deps=[["base", "gap_reports"]], group_name="reports", kinds={"matplotlib"})
    def refinement_gap_scaling(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult:
        """The Refinement Gap of every base model on every benchmark, beside its number of parameters."""
        recipe = Recipes(experiment, store).refinement_gap_scaling()

        def make() -> Made:
            rows = gap_rows(experiment, store, "base")
            return Made(rows, metadata={"gaps": dg.MetadataValue.md(markdown_image(gap_plot(rows)))})

        return keep(context, store, recipe, make)

    @dg.asset(
        deps=[refinement_gap_scaling, "lora_checkpoints", *(_lane(lane, name) for lane, name in reported)],
        group_name="reports",
        kinds={"matplotlib"},
    )
    def student_comparison(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult:
        """Every student beside its base, paired on the same problems; and report.html with all of it."""
        recipe = Recipes(experiment, store).student_comparison()

        def make() -> Made:
            rows = comparison_rows(experiment, store)
            gaps = gap_rows(experiment, store, "base") + gap_rows(experiment, store, "student")
            tables = aggregation_rows(experiment, store)
            with tempfile.TemporaryDirectory() as scratch:
                page = render_report(experiment, gaps, rows, training_facts(experiment, store), tables)
                Path(scratch, "report.html").write_text(page, encoding="utf-8")
                files = store.put_files(recipe, Path(scratch))
            report = store.address(recipe, "report.html")
            metadata = {"gaps": dg.MetadataValue.md(markdown_image(gap_plot(gaps))), "report": report}
            return Made(rows, files=files, metadata=metadata)

        return keep(context, store, recipe, make)

    return [refinement_gap_scaling, student_comparison]


def _lane(lane: str, name: str) -> dg.AssetKey:
    return dg.AssetKey([lane, name])


def gap_rows(experiment: Experiment, store: ArtifactStore, lane: str) -> list[Row]:
    """Return the summary of every gap report of a lane, with its benchmark, subject and parameters."""
    subjects = experiment.models if lane == "base" else experiment.students
    rows = []
    for benchmark in experiment.benchmarks:
        for subject in subjects:
            manifest = store.existing(ArtifactKey(f"{lane}/gap_reports", f"{benchmark}|{subject}"))
            model = subject if lane == "base" else experiment.students[subject].base
            rows.append(
                {
                    "benchmark": benchmark,
                    "subject": subject,
                    "lane": lane,
                    "parameters": experiment.models[model].parameters,
                    **manifest.summary,
                }
            )
    return rows


def aggregation_rows(experiment: Experiment, store: ArtifactStore) -> list[Row]:
    """Return the summary of every table of aggregations; none where the experiment names none."""
    if not experiment.aggregations:
        return []
    subjects = [("base", name) for name in experiment.models] + [("student", name) for name in experiment.students]
    return [
        {
            "benchmark": benchmark,
            "subject": subject,
            **store.existing(ArtifactKey(f"{lane}/aggregations", f"{benchmark}|{subject}")).summary,
        }
        for benchmark in experiment.benchmarks
        for lane, subject in subjects
    ]


def comparison_rows(experiment: Experiment, store: ArtifactStore) -> list[Row]:
    """Return the differences of each student to its base, paired over problems, as fractions with intervals."""
    rows = []
    for benchmark in experiment.benchmarks:
        for name, student in experiment.students.items():
            trained, base = f"{benchmark}|{name}", f"{benchmark}|{student.base}"
            differences = {
                "pass_at_1": ("graded_candidates", "correct"),
                "maj_at_k": ("gap_reports", "vote"),
                "self_ref_at_k": ("gap_reports", "refined"),
            }
            intervals: dict[str, Interval] = {
                score: paired_difference(
                    _per_problem(store, f"student/{asset}", trained, column),
                    _per_problem(store, f"base/{asset}", base, column),
                    experiment.seed,
                )
                for score, (asset, column) in differences.items()
            }
            row = {"benchmark": benchmark, "student": name, "base": student.base}
            rows.append(row | {score: dataclasses.asdict(value) for score, value in intervals.items()})
    return rows


def training_facts(experiment: Experiment, store: ArtifactStore) -> list[Row]:
    """Return for every student its roles, its training set's counts and its training curve."""
    facts = []
    for name, student in experiment.students.items():
        rows = store.existing(ArtifactKey("training_sets", name))
        checkpoint = ArtifactKey("lora_checkpoints", name)
        facts.append(
            {
                "student": name,
                "base": student.base,
                "teacher": student.teacher,
                "rows": rows.rows,
                **rows.summary,
                "history": store.read(checkpoint),
            }
        )
    return facts


def _per_problem(store: ArtifactStore, asset: str, partition: str, column: str) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    rows = store.read(ArtifactKey(asset, partition))
    for row in scored(rows) if asset.endswith("graded_candidates") else rows:
        values.setdefault(row["problem_id"], []).append(float(row[column]))
    return values
