"""Drawings that are kept: drawn once for equal things, and never wrong for it."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resources.reporting import kept_drawings
from resources.reporting.drawing import DPI, Drawing, panels
from resources.reporting.kept_drawings import kept

Plot = Callable[[list[float]], Drawing]


@pytest.fixture
def drawn() -> list[list[float]]:
    return []


@pytest.fixture
def plot(drawn: list[list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plot:
    monkeypatch.setenv("GSR_CACHE", str(tmp_path / "cache"))

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
    first, again, other = plot([1.0, 2.0]), plot([1.0, 2.0]), plot([2.0, 1.0])
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
    plot([1.0])
    monkeypatch.setattr(kept_drawings, "_code", lambda: "of another release")
    plot([1.0])
    assert len(drawn) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:], lambda b: b""])
def test_a_damaged_drawing_is_said_and_drawn_again(
    plot: Plot, drawn: list[list[float]], tmp_path: Path, damage: Callable[[bytes], bytes], caplog
):
    whole = plot([1.0])
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert plot([1.0]) == whole
    assert "is damaged. It is drawn again" in caplog.text
    assert plot([1.0]) == whole
    assert len(drawn) == 2


def test_a_cache_that_cannot_be_written_costs_time_alone(plot: Plot, drawn: list[list[float]], tmp_path: Path, caplog):
    (tmp_path / "cache").write_text("no folder")
    assert plot([1.0]) == plot([1.0])
    assert "is drawn again for the next report" in caplog.text
    assert len(drawn) == 2


def test_those_that_nobody_asked_for_longest_go(plot: Plot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_drawings, "MOST_KEPT", 2)
    plot([1.0])
    (first,) = files(tmp_path)
    plot([2.0])
    (second,) = set(files(tmp_path)) - {first}
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    plot([1.0])  # asked for again: it is the newest now
    plot([3.0])
    assert first in files(tmp_path)
    assert second not in files(tmp_path)
