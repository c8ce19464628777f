"""Numbers as reports and tables write them: fractions as percent, differences in points."""

from math import floor, log10

from gsr_dagster.method.scoring.agreement import Agreement
from gsr_dagster.method.scoring.correlation import Correlation
from gsr_dagster.method.scoring.gap_summary import Scores
from gsr_dagster.method.scoring.intervals import Interval

NOTHING = "–"
# Money is of so many answers: that of one has too many zeros.
ANSWERS = 1000


def percent(value: float | None) -> str:
    """Return a fraction in percent, a dash where there is none."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """Return a difference of fractions in points, with its sign; a dash where there is none."""
    return NOTHING if value is None else f"{100 * value:+.1f}".replace("-", "−")


def vote_and_refinement(scores: Scores) -> tuple[str, str]:
    """Return maj@k and selfRef@k in percent, as a line prints them beside their gap.

    All three are rounded, and may then be off by 0.1. So that a reader's own subtraction
    gives the printed gap, the score that lies nearer to the next digit is rounded there.

    >>> vote_and_refinement(Scores(1, 1, 0, 0, 0.2165, 0.1814, -0.0351, {}))  # 21.65, 18.14 and -3.51
    ('21.6', '18.1')
    """
    if scores.maj_at_k is None or scores.self_ref_at_k is None or scores.refinement_gap is None:
        return percent(scores.maj_at_k), percent(scores.self_ref_at_k)
    tenths = 1000 * scores.maj_at_k, 1000 * scores.self_ref_at_k
    # As percent and points round them.
    gap = round(10 * float(f"{100 * scores.refinement_gap:.1f}"))
    vote, refined = (round(10 * float(f"{value / 10:.1f}")) for value in tenths)
    short = gap - (refined - vote)
    if short and short * (tenths[1] - refined) >= short * (vote - tenths[0]):
        refined += short
    elif short:
        vote -= short
    return f"{vote / 10:.1f}", f"{refined / 10:.1f}"


def money(value: float) -> str:
    """Return an amount with two decimals, below 1 with two digits.

    >>> money(1234.5), money(0.5), money(0.00123), money(0)
    ('1,234.50', '0.50', '0.0012', '0.00')
    """
    decimals = 2 if value >= 1 or value <= 0 else 1 - floor(log10(value))
    return f"{value:,.{max(decimals, 2)}f}"


def between(interval: Interval) -> str:
    """Return an interval of fractions in points, from its ``low`` and ``high``."""
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]".replace("-", "−")


def agreement_text(agreement: Agreement) -> str:
    """Return how many of the answers that both decide grader and judge decide alike, and Cohen's kappa.

    >>> agreement_text(Agreement(Interval(0.9, 0.8, 1.0, 0.05), 0.75, 5, 1, 0, 4))
    '90.0 [80.0, 100.0] of 10, κ 0.75'
    """
    kappa = NOTHING if agreement.kappa is None else f"{agreement.kappa:.2f}".replace("-", "−")
    share = f"{percent(agreement.share.estimate)} {between(agreement.share)}"
    return f"{share} of {agreement.answers:,}, κ {kappa}"


def correlation_text(correlation: Correlation | None) -> str:
    """Return Spearman's rho with its interval and the number of models, or why there is none."""
    if correlation is None:
        return "no Spearman ρ: one side does not vary"
    text, models = f"Spearman ρ = {correlation.rho:+.2f}", f"{correlation.points} models"
    if correlation.low is None or correlation.high is None:
        return f"{text}, {models}: too few for an interval".replace("-", "−")
    return f"{text} [{correlation.low:+.2f}, {correlation.high:+.2f}], {models}".replace("-", "−")


def parameters_text(parameters: float) -> str:
    """Return a number of parameters as model names write it: 135M, 1.5B."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if parameters >= size:
            return f"{parameters / size:.3g}{unit}"
    return f"{parameters:.3g}"
