"""A picture that fits in a line of metadata: the Dagster page hides Markdown of 1,000 characters and more.

small_intervals([("lines, smollm2-gsr", Interval(0.088, 0.052, 0.128))])
"""

import base64
from collections.abc import Sequence
from html import escape

from gsr_dagster.method.scoring.intervals import Interval
from resources.reporting.numbers import points

MOST_UNASKED = 900  # characters; what has 1,000 or more hides behind a button
LONGEST_LABEL = 21
# In pixels; the page shows some 430 of them beside its list of keys.
ROW, LEFT, WIDTH, VALUE = 20, 165, 185, 365
FRAME = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="405" height="{height}" font-size="12" fill="#333">{inside}</svg>'
)


def small_intervals(rows: Sequence[tuple[str, Interval]]) -> str:
    """Return Markdown with a picture of differences, a line each with its interval, about a line at zero.

    Differences are fractions, shown in points. Rows that would make it too long are left out and counted.
    """
    for count in range(len(rows), 0, -1):
        picture = base64.b64encode(_svg(rows[:count], len(rows) - count).encode()).decode()
        markdown = f"![intervals](data:image/svg+xml;base64,{picture})"
        if len(markdown) <= MOST_UNASKED:
            return markdown
    return ""


def _svg(rows: Sequence[tuple[str, Interval]], left_out: int) -> str:
    intervals = [interval for _, interval in rows]
    low = min(0.0, *(interval.low for interval in intervals))
    high = max(0.0, *(interval.high for interval in intervals))

    def x(value: float) -> int:
        return round(LEFT + WIDTH * (value - low) / ((high - low) or 1))

    path, texts = "", ""
    for number, (label, interval) in enumerate(rows):
        y = ROW * number + ROW // 2
        path += f"M{x(interval.low)} {y}H{x(interval.high)}M{x(interval.estimate)} {y - 4}v8"
        shown = label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
        texts += f'<text y="{y + 4}">{escape(shown)}<tspan x="{VALUE}">{points(interval.estimate)}</tspan></text>'
    height = ROW * (len(rows) + bool(left_out))
    if left_out:
        texts += f'<text y="{height - 6}">and {left_out} more</text>'
    zero = f'<path stroke="#999" d="M{x(0)} 0V{height}"/>'
    return FRAME.format(height=height, inside=f'{zero}<path stroke="#06c" stroke-width="2" d="{path}"/>{texts}')
