"""Drawings that are kept: drawn once for equal things, and never wrong for it."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resources.reporting.figures import drawing_processes, kept_drawings
from resources.reporting.figures.drawing import DPI, Drawing, panels
from resources.reporting.figures.kept_drawings import kept

Plot = Callable[[list[float]], Drawing]


@pytest.fixture
def drawn() -> list[list[float]]:
    return []


@pytest.fixture
def plot(drawn: list[list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plot:
    monkeypatch.setenv("GSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(drawing_processes, "cores", lambda: [0])  # it is drawn here, where it counts

    @kept
    def line(values: list[float]):
        drawn.append(values)
        figure, (axes,) = panels(1, 2.5, 1.5)
        axes.plot(values)
        return figure

    return line


def files(folder: Path) -> list[Path]:
    return sorted((folder / "cache" / "figures").iterdir())


def test_equal_things_are_drawn_once_and_others_anew(plot: Plot, drawn: list[list[float]]):
    first, again, other = plot([1.0, 2.0]).png, plot([1.0, 2.0]).png, plot([2.0, 1.0]).png
    assert first == again != other
    assert drawn == [[1.0, 2.0], [2.0, 1.0]]


def test_a_drawing_is_the_picture_that_savefig_makes(plot: Plot, tmp_path: Path):
    drawing = plot([1.0, 3.0, 2.0])
    figure, (axes,) = panels(1, 2.5, 1.5)
    axes.plot([1.0, 3.0, 2.0])
    figure.savefig(tmp_path / "saved.png", dpi=DPI)
    ours, saved = (np.asarray(Image.open(p).convert("RGB")) for p in (io.BytesIO(drawing.png), tmp_path / "saved.png"))
    assert np.array_equal(ours, saved)
    assert drawing.width == 2.5


def test_changed_code_draws_anew(plot: Plot, drawn: list[list[float]], monkeypatch: pytest.MonkeyPatch):
    _ = plot([1.0]).png
    monkeypatch.setattr(kept_drawings, "_code", lambda: "of another release")
    _ = plot([1.0]).png
    assert len(drawn) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:], lambda b: b""])
def test_a_damaged_drawing_is_said_and_drawn_again(
    plot: Plot, drawn: list[list[float]], tmp_path: Path, damage: Callable[[bytes], bytes], caplog
):
    whole = plot([1.0]).png
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert plot([1.0]).png == whole
    assert "is damaged. It is drawn again" in caplog.text
    assert plot([1.0]).png == whole
    assert len(drawn) == 2


def test_a_cache_that_cannot_be_written_costs_time_alone(plot: Plot, drawn: list[list[float]], tmp_path: Path, caplog):
    (tmp_path / "cache").write_text("no folder")
    assert plot([1.0]).png == plot([1.0]).png
    assert "is drawn again for the next report" in caplog.text
    assert len(drawn) == 2


def test_those_that_nobody_asked_for_longest_go(plot: Plot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_drawings, "MOST_KEPT", 2)
    _ = plot([1.0]).png
    (first,) = files(tmp_path)
    _ = plot([2.0]).png
    (second,) = set(files(tmp_path)) - {first}
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    _ = plot([1.0]).png  # asked for again: it is the newest now
    _ = plot([3.0]).png
    assert first in files(tmp_path)
    assert second not in files(tmp_path)
