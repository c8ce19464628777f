"""Figures of a student's training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gsr_dagster.method.rows import Row
from resources.reporting.figures.drawing import panels
from resources.reporting.figures.kept_drawings import kept

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@kept
def training_curve(history: Sequence[Row]) -> Figure:
    """Return loss, learning rate and, below, the gradient's norm and the tokens learned from, by optimiser step.

    ``history`` rows: step, loss, learning_rate, grad_norm, validation_loss and tokens; checkpoints
    from before have none of the last three. Of a training by rewards see ``reward_curves``.
    """
    if any(row.get("reward") is not None for row in history):
        return reward_curves(history)
    normed = [row for row in history if row.get("grad_norm") is not None]
    figure, (axes, *further) = panels(2 if normed else 1, 6, 3 if not normed else 2.5, columns=1)
    history = sorted(history, key=lambda row: row["step"])
    steps = [row["step"] for row in history]
    axes.plot(steps, [row["loss"] for row in history], color="#2b5876", marker="o", markersize=3, label="loss")
    validated = [row for row in history if row.get("validation_loss") is not None]
    if validated:
        places, losses = ([row[name] for row in validated] for name in ("step", "validation_loss"))
        axes.plot(places, losses, color="#7a3b8f", marker="D", linestyle=":", label="validation loss")
        axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel="optimiser step", ylabel="loss (nats a token)")
    _dashed_on_the_right(axes, history, "learning_rate", "learning rate (dashed)")
    for below in further:
        normed.sort(key=lambda row: row["step"])
        below.plot([row["step"] for row in normed], [row["grad_norm"] for row in normed], color="#2b5876")
        below.set(xlabel="optimiser step", ylabel="norm of the gradient", yscale="log")
        counted = [row for row in normed if row.get("tokens") is not None]
        if counted:
            _dashed_on_the_right(below, counted, "tokens", "tokens so far (dashed)")
    return figure


# What a training by rewards shows, a panel each: on the left, and dashed on the right.
PANELS = (
    (("reward", "mean reward"), ("groups_without_gradient", "groups without a gradient (dashed)")),
    (("generated_tokens", "mean tokens"), ("truncated", "share cut off (dashed)")),
    (("entropy", "entropy (nats a token)"), ("kl", "KL to the start (dashed)")),
    (("grad_norm", "norm of the gradient"), ("clip_ratio", "share of clipped tokens (dashed)")),
)


def reward_curves(history: Sequence[Row]) -> Figure:
    """Return what a training by rewards logs, by optimiser step: its rewards, lengths, entropy and gradient.

    ``history`` rows: step and the columns of ``PANELS``; what was not logged, as the KL divergence where beta is 0, is
    left out.
    """
    history = sorted(history, key=lambda row: row["step"])
    figure, every = panels(len(PANELS), 6, 2.2, columns=1)
    for axes, ((left, left_label), (right, right_label)) in zip(every, PANELS, strict=True):
        told = [row for row in history if row.get(left) is not None]
        axes.plot([row["step"] for row in told], [row[left] for row in told], color="#2b5876")
        axes.set(xlabel="optimiser step", ylabel=left_label)
        if also := [row for row in history if row.get(right) is not None]:
            _dashed_on_the_right(axes, also, right, right_label)
    return figure


def _dashed_on_the_right(axes: Axes, history: Sequence[Row], column: str, label: str) -> None:
    right = axes.twinx()
    right.plot([row["step"] for row in history], [row[column] for row in history], color="#b5651d", linestyle="--")
    right.set_ylabel(label)
    right.spines["top"].set_visible(False)
    right.set_ylim(bottom=0)
