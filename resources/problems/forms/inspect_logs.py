"""inspect_ai's logs, .eval or .json, read by its own reader: samples, epochs and scores."""

from importlib import import_module
from pathlib import Path
from typing import Any

from gsr_dagster.method.rows import Row
from resources.problems.forms.fields import Reading, Samples, answer, count, finish_reason, plain, text
from resources.problems.recorded_samples import ImportFileError, Recorded

# inspect_ai's own letters of a score.
VERDICTS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}


def read_rows_of_log(path: Path, reading: Reading) -> list[Row]:
    """Return a row a sample. Raises ImportFileError where the log cannot be read, or has no samples."""
    try:
        reader: Any = import_module("inspect_ai.log")
    except ImportError:
        raise ImportFileError(f"{path} is read by inspect_ai's own reader: pip install inspect-ai") from None
    if not path.is_file():
        raise ImportFileError(f"there is no file {path}")
    try:
        log = reader.read_eval_log(str(path.resolve()))
    except Exception as error:  # whatever a file of another kind makes it raise
        raise ImportFileError(f"{path} is no log that inspect_ai reads: {str(error)[:300]}") from None
    if log.status != "success":
        reading.notes[f"logs are of an evaluation that ended with status {log.status}"] += 1
    if not log.samples:
        raise ImportFileError(f"{path} holds no samples: its evaluation was logged without them")
    return [_row(log.eval, sample) for sample in log.samples]


def _row(evaluation: Any, sample: Any) -> Row:
    return {
        "id": sample.id,
        "epoch": sample.epoch,
        "uuid": sample.uuid,  # of two runs that wrote the same it tells the samples apart
        "task": evaluation.task,
        "model": evaluation.model,
        "input": _asked(sample),
        "target": sample.target,
        "texts": [choice.message.text for choice in sample.output.choices],
        "stop_reasons": [choice.stop_reason for choice in sample.output.choices],
        "output_tokens": sample.output.usage.output_tokens if sample.output.usage else None,
        "input_tokens": sample.output.usage.input_tokens if sample.output.usage else None,
        "scores": {name: VERDICTS.get(str(s.value), s.value) for name, s in (sample.scores or {}).items()},
        "metadata": sample.metadata or {},
        "error": sample.error.message if sample.error else None,
    }


def _asked(sample: Any) -> str:
    """Return the input, of a chat what the user says in it, and the choices where there are any."""
    asked = sample.input
    if not isinstance(asked, str):
        asked = "\n\n".join(message.text for message in asked if message.role == "user")
    return "\n".join([asked, *(f"{chr(65 + place)}) {choice}" for place, choice in enumerate(sample.choices or ()))])


def read_sample(row: Row, reading: Reading) -> Samples:
    """Yield what the model wrote for a sample; one that ended with an error is counted, and left out."""
    if row["error"] is not None:
        reading.left_out["samples that ended with an error"] += 1
        return
    target = reading.require(row, "answer", "target")
    if isinstance(target, list):
        if len(target) > 1:
            reading.notes["samples accept several targets: the first is the gold"] += 1
        target = target[0] if target else ""
    if not row["texts"]:
        reading.notes["samples without output are empty texts"] += 1
    scores = row["scores"]
    named = reading.fields.get("label")
    score = reading.get(row, "label") if named else next(iter(scores.values()), None)
    for number, written in enumerate(row["texts"] or [""]):
        one = len(row["texts"]) == 1
        yield Recorded(
            plain(reading.require(row, "problem_id", "id"), "id"),
            text(reading.require(row, "problem", "input"), "input", "problem"),
            answer(target, "target"),
            text(written, f"output number {number + 1}"),
            generated_tokens=count(row["output_tokens"], "output_tokens") if one else None,
            prompt_tokens=count(row["input_tokens"], "input_tokens"),
            finish_reason=finish_reason(row["stop_reasons"][number] if row["texts"] else "stop"),
            label=reading.as_label(score, named is not None) if one else None,
        )
