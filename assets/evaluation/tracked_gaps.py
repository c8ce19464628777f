"""A gap report as a tracking server shows it."""

from assets.evaluation.evaluation_run import EvaluationRun
from gsr_dagster.method.scoring.gap_summary import GapSummary
from resources.tracking.tracked_run import TrackedRun

# Scores by their name in a summary, with the name that a tracking server has: k is the experiment's.
SCORES = {
    "pass_at_1": "pass_at_1",
    "pass_at_k": "pass_at_{k}",
    "maj_at_k": "maj_at_{k}",
    "self_ref_at_k": "self_ref_at_{k}",
    "refinement_gap": "gap",
}


def tracked_gap(run: EvaluationRun, summary: GapSummary) -> TrackedRun:
    """Return a gap report for a tracking server: scores in percent and the gap in points, with their 95 % intervals."""
    metrics: dict[str, float] = {"problems": summary.problems, "groups": summary.groups}
    for score, name in SCORES.items():
        if interval := summary.intervals.get(score):
            named = name.format(k=summary.k)
            bounds = {named: interval.estimate, f"{named}_low": interval.low, f"{named}_high": interval.high}
            metrics |= {bound: 100 * value for bound, value in bounds.items()}
    experiment, evaluation = run.experiment, run.experiment.evaluation
    params = {
        "benchmark": run.key.benchmark,
        "model": run.subject,
        "base": experiment.students[run.subject].base if run.key.is_student else None,
        "source": run.model.source,
        "parameters": run.model.parameters,
        "engine": run.model.engine.kind,
        "k": summary.k,
        "samples": run.benchmark.samples,
        "seed": experiment.seed,
        "grader": evaluation.grader,
        "candidate_tokens": evaluation.candidate_tokens,
        "direct": run.rollout("direct").model_dump(mode="json"),
        "refinement": run.rollout("refinement").model_dump(mode="json"),
    }
    return TrackedRun("gap report", params, metrics)
