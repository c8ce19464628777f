"""report.html: one page that stands alone, with the scores, their intervals and the plots.

report.html.j2 lays it out, report.css.j2 is its style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.method.scoring.correlation import Correlation
from gsr_dagster.method.scoring.intervals import Interval
from gsr_dagster.method.scoring.judged_scores import DECIDERS
from resources.reporting.figures.drawing import Drawing
from resources.reporting.figures.frontier_plots import frontier_plot
from resources.reporting.figures.gap_plots import by_correct_plot, gap_parts_plot, gap_plot
from resources.reporting.figures.pool_plots import pool_plot
from resources.reporting.figures.scaling_plots import (
    difference_plot,
    gap_against_parameters,
    gap_against_pass_at_1,
    scores_against_k,
)
from resources.reporting.figures.training_plots import training_curve
from resources.reporting.frontier import Frontier, frontiers
from resources.reporting.numbers import (
    ANSWERS,
    between,
    correlation_text,
    money,
    percent,
    points,
    vote_and_refinement,
)
from resources.reporting.pools import named_notes, needs_words, pool_points
from resources.reporting.report_rows import (
    ReportedAggregations,
    ReportedCurvePoint,
    ReportedGap,
    ReportedJudgements,
    ReportedStudent,
    StudentFacts,
)

TEMPLATES = Path(__file__).parent
SCORES = {
    "pass_at_1": "pass@1",
    "maj_at_k": "maj@{k}",
    "self_ref_at_k": "selfRef@{k}",
    "pass_at_k": "pass@{k}",
}
LABELS = {**SCORES, "refinement_gap": "gap"}
# The scores in which a student is held against its base.
COMPARED = ("pass_at_1", "maj_at_k", "self_ref_at_k")
# And in which students of one model are held against each other, beside their distinct answers.
SIDE_BY_SIDE_TOO = ("refinement_gap", "pass_at_k")
# What gap_diagnostics counts, as the report names it.
DIAGNOSTICS = {
    "copies": "copies a candidate",
    "keeps_an_answer": "answer of a candidate",
    "follows_majority": "follows the vote",
    "follows_majority_right": "… where it is right",
    "follows_majority_wrong": "… where it is wrong",
    "truncated": "cut off",
    "unclosed_thinking": "thinking never ends",
}


@dataclass
class Report:
    """What the report tells. ``correlations`` are by benchmark; ``ablations`` are students that differ in mixture alone."""

    experiment: Experiment
    gaps: Sequence[ReportedGap]
    curves: Sequence[ReportedCurvePoint] = ()
    correlations: Mapping[str, Mapping[str, Correlation | None]] = field(default_factory=dict)
    comparison: Sequence[ReportedStudent] = ()
    side_by_side: Sequence[ReportedStudent] = ()
    facts: Sequence[StudentFacts] = ()
    ablations: Sequence[Sequence[str]] = ()
    aggregations: Sequence[ReportedAggregations] = ()
    judgements: Sequence[ReportedJudgements] = ()

    @property
    def refined(self) -> list[ReportedGap]:
        """The rows that have a gap: of recorded samples that nobody refined there is none."""
        return [row for row in self.gaps if row.refined]

    @property
    def labelled(self) -> list[ReportedGap]:
        """The rows of recorded samples that came with labels."""
        return [row for row in self.gaps if row.labels]

    def refined_on(self, benchmark: str) -> list[ReportedGap]:
        return [row for row in self.refined if row.benchmark == benchmark]

    def scaling_figures(self) -> dict[str, Drawing]:
        """Return the figures of the gap by name; those that hold models against each other where there are two."""
        figures = {"gaps": gap_plot(self.refined)} if self.refined else {}
        base_gaps = [row for row in self.refined if row.lane == "base"]
        if len({row.subject for row in base_gaps}) > 1:
            if len({row.subject for row in base_gaps if row.parameters}) > 1:
                figures["gap_against_parameters"] = gap_against_parameters(base_gaps, self.correlations)
            figures["gap_against_pass_at_1"] = gap_against_pass_at_1(base_gaps, self.correlations)
        benchmarks = [benchmark for benchmark in self.experiment.benchmarks if self.refined_on(benchmark)]
        for benchmark in benchmarks if self.curves else ():
            figures[f"scores_against_k_{benchmark}"] = scores_against_k(benchmark, self.refined, self.curves)
        for benchmark in benchmarks:
            strata = {row.subject: row.by_correct for row in self.refined_on(benchmark)}
            figures[f"by_correct_{benchmark}"] = by_correct_plot(strata)
        return figures

    @property
    def _compared(self) -> set[str]:
        return {name for row in self.comparison for name in (row.base, row.student)}

    @property
    def unequal_temperatures(self) -> str:
        """The temperatures of candidates and refinements where they differ and a gap was measured, "" otherwise."""
        direct, refinement = self.experiment.evaluation.direct, self.experiment.evaluation.refinement
        if not self.refined or direct.temperature == refinement.temperature:
            return ""
        return f"{direct.temperature:g} and {refinement.temperature:g}"

    @property
    def of_unknown_size(self) -> str:
        """What of the base models' gaps stands in no curve against parameters, "" where all of it does."""
        base = {row.subject: row.parameters for row in self.refined if row.lane == "base"}
        unknown = [subject for subject, parameters in base.items() if not parameters]
        if not unknown:
            return ""
        fewer = "" if len(base) - len(unknown) > 1 else " With fewer than two known sizes there is no curve."
        return f"The number of parameters of {', '.join(unknown)} is unknown: no curve against it holds them.{fewer}"

    @cached_property
    def figures(self) -> dict[str, Drawing]:
        """Every figure that compares, by name."""
        figures = self.scaling_figures()
        if needs_words(self.gaps):
            figures["pools"] = pool_plot(self.gaps)
        for benchmark in self.experiment.benchmarks:
            if of_benchmark := [row for row in self.frontiers if row.benchmark == benchmark]:
                figures[f"frontier_{benchmark}"] = frontier_plot(of_benchmark)
                if any(method.cost("money") for frontier in of_benchmark for method in frontier.methods):
                    figures[f"frontier_money_{benchmark}"] = frontier_plot(of_benchmark, "money")
        if self.comparison:
            figures["student_minus_base"] = difference_plot(self.comparison)
            if compared := [row for row in self.refined if row.subject in self._compared]:
                figures["gap_parts"] = gap_parts_plot(compared)
        return figures

    @cached_property
    def frontiers(self) -> list[Frontier]:
        """Every way to answer by its cost, of each evaluation that has more than a vote to compare."""
        found = frontiers(self.experiment, self.gaps, self.curves, self.aggregations)
        return [frontier for frontier in found if len(frontier.curves()) > 1]

    @property
    def priced(self) -> bool:
        """Whether the file has the price of some model, so that costs are told in money too."""
        return bool(self.experiment.prices)

    def curve(self, benchmark: str, subject: str) -> dict[int, Interval]:
        """Return the gap of a model or student by group size, the experiment's own k among them; none of what was not refined."""
        main = [row for row in self.refined if (row.benchmark, row.subject) == (benchmark, subject)]
        further = [point for point in self.curves if (point.benchmark, point.subject) == (benchmark, subject)]
        own = {row.k: row.intervals["refinement_gap"] for row in main}
        return {**own, **{point.k: point.refinement_gap for point in further}}

    def mixtures(self, names: Sequence[str]) -> tuple[list[tuple[ReportedStudent, StudentFacts]], bool]:
        """Return students with their facts, benchmark by benchmark, and whether all have as many training rows."""
        facts = {fact.student: fact for fact in self.facts}
        rows = [
            row for benchmark in self.experiment.benchmarks for row in self.comparison if row.benchmark == benchmark
        ]
        chosen = [(row, facts[row.student]) for row in rows if row.student in names]
        return chosen, len({fact.rows for _, fact in chosen}) == 1


def render_report(report: Report) -> str:
    """Return the report as HTML. All text is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {
        "percent": percent,
        "points": points,
        "between": between,
        "vote_and_refinement": vote_and_refinement,
        "pool_points": pool_points,
        "training_curve": training_curve,
        "correlation_text": correlation_text,
        "money": money,
        "answers": ANSWERS,
    }
    template = environment.get_template("report.html.j2")
    return template.render(
        report=report,
        experiment=report.experiment,
        k=report.experiment.k,
        sizes=sorted({report.experiment.k, *report.experiment.further_ks}),
        figures=report.figures,
        pools=report.gaps if needs_words(report.gaps) else (),
        notes=named_notes(report.gaps),
        scores=SCORES,
        deciders=DECIDERS,
        diagnostics=DIAGNOSTICS,
        compared=(*COMPARED, "refinement_gap"),
        side_by_side_too=(*COMPARED, *SIDE_BY_SIDE_TOO),
        labels=LABELS,
    )
