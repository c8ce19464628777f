"""What the reports are made of, collected from the evaluations' artifacts."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LANES, EvaluationKey, LaneName
from gsr_dagster.method.scoring.aggregation_summary import AggregationSummary
from gsr_dagster.method.scoring.correlation import Correlation, spearman
from gsr_dagster.method.scoring.gap_summary import GapSummary
from gsr_dagster.method.scoring.judged_scores import JudgedSummary
from resources.reporting.report_rows import ReportedAggregations, ReportedCurvePoint, ReportedGap, ReportedJudgements
from resources.store.artifacts import ArtifactStore


def reported_gaps(experiment: Experiment, store: ArtifactStore, lane: LaneName) -> list[ReportedGap]:
    """Return every gap report of a lane. Raises ArtifactError where one is missing."""
    return [reported_gap(experiment, store, evaluation) for evaluation in experiment.evaluations(lane)]


def reported_gap(experiment: Experiment, store: ArtifactStore, evaluation: EvaluationKey) -> ReportedGap:
    """Return the gap report of one evaluation. Raises ArtifactError where it is missing."""
    models = experiment.subjects(evaluation.lane)
    return ReportedGap(
        benchmark=evaluation.benchmark,
        subject=evaluation.subject,
        lane=evaluation.lane,
        family=experiment.family(evaluation.subject),
        parameters=experiment.models[models[evaluation.subject]].parameters,
        **vars(store.summary(evaluation.artifact("gap_reports"), GapSummary)),
    )


def by_benchmark(experiment: Experiment, gaps: Sequence[ReportedGap]) -> list[ReportedGap]:
    """Return the gaps of each benchmark together, in the order of the experiment file."""
    order = list(experiment.benchmarks)
    return sorted(gaps, key=lambda gap: order.index(gap.benchmark))


def reported_curves(experiment: Experiment, store: ArtifactStore, lane: LaneName) -> list[ReportedCurvePoint]:
    """Return a point for every evaluation and further group size; none where no size is named."""
    if not experiment.further_ks:
        return []
    rows = [
        {"benchmark": evaluation.benchmark, "subject": evaluation.subject, **row}
        for evaluation in experiment.evaluations(lane)
        for row in store.read(evaluation.artifact("gap_curves"))
    ]
    return TypeAdapter(list[ReportedCurvePoint]).validate_python(rows)


def correlations(experiment: Experiment, gaps: Sequence[ReportedGap]) -> dict[str, dict[str, Correlation | None]]:
    """Return, by benchmark, Spearman's rho of the models' gaps with their parameters and with their pass@1.

    Of recorded models that nobody refined there is no gap: they do not count, nor, against
    parameters, models of unknown size.
    """
    found: dict[str, dict[str, Correlation | None]] = {}
    for benchmark in experiment.benchmarks:
        of_benchmark = [gap for gap in gaps if gap.benchmark == benchmark and gap.refined]
        gains = [gap.refinement_gap or 0.0 for gap in of_benchmark]
        against = {
            "parameters": [gap.parameters for gap in of_benchmark],
            "pass_at_1": [gap.pass_at_1 for gap in of_benchmark],
        }
        found[benchmark] = {}
        for name, values in against.items():
            known = [(x, gain) for x, gain in zip(values, gains, strict=True) if x is not None]
            found[benchmark][name] = spearman([x for x, _ in known], [gain for _, gain in known], experiment.seed)
    return found


def reported_judgements(
    experiment: Experiment, store: ArtifactStore, among: Sequence[EvaluationKey] | None = None
) -> list[ReportedJudgements]:
    """Return what the judge said of every evaluation, or of some; none where the experiment names no judge.

    Raises ArtifactError where one is missing.
    """
    if experiment.judge is None:
        return []
    return [
        ReportedJudgements(
            **vars(store.summary(evaluation.artifact("judge_verdicts"), JudgedSummary)),
            benchmark=evaluation.benchmark,
            subject=evaluation.subject,
        )
        for evaluation in _by_benchmark(experiment, among)
    ]


def reported_aggregations(
    experiment: Experiment, store: ArtifactStore, among: Sequence[EvaluationKey] | None = None
) -> list[ReportedAggregations]:
    """Return the summary of every table of aggregations, or of some; none where the experiment names none.

    Raises ArtifactError where one is missing.
    """
    if not experiment.aggregations:
        return []
    return [
        ReportedAggregations(
            **vars(store.summary(evaluation.artifact("aggregations"), AggregationSummary)),
            benchmark=evaluation.benchmark,
            subject=evaluation.subject,
        )
        for evaluation in _by_benchmark(experiment, among)
    ]


def _by_benchmark(experiment: Experiment, among: Sequence[EvaluationKey] | None) -> list[EvaluationKey]:
    """Return all evaluations, or some, those of a benchmark together."""
    every = [evaluation for lane in LANES for evaluation in experiment.evaluations(lane)]
    order = list(experiment.benchmarks)
    return sorted(every if among is None else among, key=lambda evaluation: order.index(evaluation.benchmark))
