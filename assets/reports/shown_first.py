"""What the page shows of a report without a click: a table of the students, or of the models, and their gaps as a picture."""

from collections.abc import Sequence

import dagster as dg

from gsr_dagster.method.scoring.intervals import in_points
from resources.reporting.numbers import NOTHING, percent
from resources.reporting.report_rows import SIDE_BY_SIDE, ReportedGap, ReportedStudent
from resources.reporting.small_picture import MOST_UNASKED, small_intervals


def shown_students(comparison: Sequence[ReportedStudent]) -> dict[str, dg.MetadataValue]:
    """Return every student's gap and pass@1 minus its base's, as a table in points, and the gaps as a picture."""
    comparison = [row for row in comparison if row.relation != SIDE_BY_SIDE]
    gaps = [(f"{row.benchmark}, {row.student}", row.refinement_gap) for row in comparison]
    rows = [
        f"| {row.benchmark}, {row.student} | {in_points(row.refinement_gap)} | {in_points(row.pass_at_1)} |"
        for row in comparison
    ]
    return {
        "students": dg.MetadataValue.md(_table("| benchmark, student | gap − base | pass@1 − base |", rows)),
        "gap_minus_base": dg.MetadataValue.md(small_intervals(gaps)),
    }


def shown_models(reported: Sequence[ReportedGap]) -> dict[str, dg.MetadataValue]:
    """Return every model's gap in points and pass@1 in percent, as a table, and the gaps as a picture."""
    gaps = [(f"{row.benchmark}, {row.subject}", row.intervals.get("refinement_gap")) for row in reported]
    rows = [
        f"| {label} | {in_points(gap) if gap else NOTHING} | {percent(row.pass_at_1)} |"
        for (label, gap), row in zip(gaps, reported, strict=True)
    ]
    shown: dict[str, dg.MetadataValue] = {
        "models": dg.MetadataValue.md(_table("| benchmark, model | gap | pass@1 |", rows))
    }
    if refined := [(label, gap) for label, gap in gaps if gap]:
        shown["gap_of_models"] = dg.MetadataValue.md(small_intervals(refined))
    return shown


def _table(header: str, rows: Sequence[str]) -> str:
    """Return rows as Markdown, no longer than the page shows unasked."""
    lines = [header, "|---|---|---|"]
    for number, row in enumerate(rows):
        rest = f"\n{len(rows) - number} more in report.html"
        if len("\n".join([*lines, row, rest])) > MOST_UNASKED:
            return "\n".join([*lines, rest])
        lines.append(row)
    return "\n".join(lines)
