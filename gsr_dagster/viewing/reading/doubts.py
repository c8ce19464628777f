"""Verdicts that a reader doubts: one JSON line each, in a file beside the artifacts and never in them.

    {"sample_id": "m/sums/3/0", "problem_id": "sums/3", "gold": "1/2", "answer": "0.5", "verdict": "incorrect", ...}

The last line of a sample counts; one whose ``note`` is null takes the doubt back.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.home import home

LONGEST_NOTE = 1000


@dataclass(frozen=True)
class Doubt:
    """A verdict that is thought to be wrong, with all that a test of the grader needs."""

    lane: str
    benchmark: str
    subject: str
    sample_id: str
    problem_id: str
    domain: str
    gold: str
    answer: str | None
    verdict: str
    note: str | None


def doubts_file(experiment: Experiment) -> Path:
    return home() / "doubts" / f"{experiment.name}.jsonl"


def doubts(experiment: Experiment) -> dict[str, Doubt]:
    """Return the doubts that stand, by sample. A line that was cut off as it was written is left out."""
    file, found = doubts_file(experiment), dict[str, Doubt]()
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            doubt = Doubt(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found[doubt.sample_id] = doubt
    return {name: doubt for name, doubt in found.items() if doubt.note is not None}


def in_words(doubted: int) -> str:
    """Return how many verdicts are doubted.

    >>> in_words(1)
    '1 verdict is doubted'
    """
    return f"{doubted} verdict{' is' if doubted == 1 else 's are'} doubted"


def doubt(experiment: Experiment, doubted: Doubt) -> None:
    """Add a doubt, or take it back. Lines of two viewers at once stay whole."""
    file = doubts_file(experiment)
    file.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(doubted), ensure_ascii=False) + "\n"
    to = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(to, line.encode())
    finally:
        os.close(to)


def as_lines(experiment: Experiment) -> str:
    """Return the doubts that stand as JSON lines: pairs for a test of the grader."""
    return "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in doubts(experiment).values())
