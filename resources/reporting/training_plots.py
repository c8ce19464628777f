"""Figures of a student's training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gsr_dagster.method.rows import Row
from resources.reporting.drawing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def training_curve(history: Sequence[Row]) -> Figure:
    """Return loss and learning rate by optimiser step. ``history`` rows: step, loss, learning_rate."""
    figure, axes = new_figure(6, 3)
    history = sorted(history, key=lambda row: row["step"])
    steps = [row["step"] for row in history]
    axes.plot(steps, [row["loss"] for row in history], color="#2b5876", marker="o", markersize=3, label="loss")
    axes.set(xlabel="optimiser step", ylabel="loss (nats per target token)")
    rate = axes.twinx()
    rate.plot(steps, [row["learning_rate"] for row in history], color="#b5651d", linestyle="--", label="learning rate")
    rate.set_ylabel("learning rate (dashed)")
    rate.spines["top"].set_visible(False)
    rate.set_ylim(bottom=0)
    return figure
