"""lm-eval's samples_*.jsonl, written with --log_samples: a document with its responses, once a filter."""

import json
from collections.abc import Iterable

from gsr_dagster.experiment.problems.golds import after_hashes, boxed
from gsr_dagster.method.rows import Row
from resources.problems.forms.fields import NoFieldError, Reading, Samples, answer, at, plain, text
from resources.problems.recorded_samples import Recorded

# What lm-eval's tasks call a problem: gsm8k, hendrycks_math and minerva_math, aime, and others.
PROBLEM = ("problem", "question", "query", "prompt", "input")


def read_document(row: Row, reading: Reading) -> Samples:
    """Yield the samples of a document."""
    problem_id = plain(reading.require(row, "problem_id", "doc_id"), "doc_id")
    problem = text(_problem(row, reading), reading.name("problem"), "problem")
    target = reading.require(row, "answer", "target")
    gold = published_gold(target) if isinstance(target, str) else answer(target, "target")
    responses = [
        written
        for response in reading.require(row, "response", "resps")
        for written in (response if isinstance(response, list) else [response])
    ]
    label = _label(row, reading) if len(responses) == 1 else None
    for number, written in enumerate(responses):
        if isinstance(written, list):
            raise ValueError("resps hold log-likelihoods: only tasks of output_type generate_until have samples")
        yield Recorded(problem_id, problem, gold, text(written, f"resps number {number + 1}"), label=label)


def logged_once(rows: Iterable[Row], reading: Reading) -> Iterable[Row]:
    """Yield each document once: lm-eval logs it again under every filter, with the same responses.

    It was right if it was under any filter or metric.
    """
    documents: dict[str, Row] = {}
    for row in rows:
        if "doc_id" not in row or "resps" not in row:
            yield row  # what it lacks is said where it is read
            continue
        logged = json.dumps([row["doc_id"], row.get("doc"), row["resps"]], sort_keys=True)
        first = documents.setdefault(logged, row)
        if first is not row:
            reading.left_out["rows of lm-eval with the samples of another filter or metric"] += 1
            first["_scores"] = [*first.get("_scores", []), *_scores(row)]
    yield from documents.values()


def published_gold(target: str) -> str:
    r"""Return the gold of a target as lm-eval's tasks publish it: gsm8k's is a whole solution, minerva_math's may be.

    >>> published_gold("She has 3 + 4 = 7.\n#### 7"), published_gold(r"It is $\boxed{32}$."), published_gold("42")
    ('7', '32', '42')
    """
    if "####" in target:
        return after_hashes(target)
    return boxed(target) if "\\boxed" in target else target


def _problem(row: Row, reading: Reading) -> object:
    """Return the problem's text: where --field says, in the document or the row, or under a name that tasks use."""
    document = at(row, "doc")
    if (path := reading.fields.get("problem")) is not None:
        reading.found.add("problem")
        try:
            return at(document, path)
        except NoFieldError:
            return at(row, path)
    names = {name.lower(): name for name in reversed(list(document))}
    for name in PROBLEM:
        if name in names:
            return document[names[name]]
    has = ", ".join(map(str, document))[:100]
    raise ValueError(f"doc has {has}, and none of {', '.join(PROBLEM)}: name its text, as in --field problem=doc.NAME")


def _label(row: Row, reading: Reading) -> float | None:
    if "label" in reading.fields:
        return reading.label(row)
    scores = [*_scores(row), *row.get("_scores", [])]
    return max(scores, default=None)


def _scores(row: Row) -> list[float]:
    """Return what lm-eval says of a document: its metrics that are 0 or 1."""
    return [float(row[name]) for name in row.get("metrics") or () if row.get(name) in (0, 1)]
