"""Numbers as reports and tables write them: fractions as percent, differences in points."""

from gsr_dagster.method.scoring.correlation import Correlation
from gsr_dagster.method.scoring.intervals import Interval


def percent(value: float) -> str:
    """Return a fraction in percent."""
    return f"{100 * value:.1f}"


def points(value: float) -> str:
    """Return a difference of fractions in points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def between(interval: Interval) -> str:
    """Return an interval of fractions in points, from its ``low`` and ``high``."""
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]".replace("-", "−")


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
