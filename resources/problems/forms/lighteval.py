"""lighteval's details, as Parquet: a Doc, its ModelResponse and metrics."""

from gsr_dagster.method.rows import Row
from resources.problems.forms.fields import Reading, Samples, answer, at, count, plain, text
from resources.problems.recorded_samples import Recorded


def read_detail(row: Row, reading: Reading) -> Samples:
    """Yield the samples of a document."""
    document, response = at(row, "doc"), at(row, "model_response")
    golds = document["gold_index"] if isinstance(document["gold_index"], list) else [document["gold_index"]]
    problem = text(reading.require(row, "problem", "doc.query"), "doc.query", "problem")
    named = reading.get(row, "problem_id", "doc.id")
    gold = reading.get(row, "answer")
    metric = row.get("metric") or {}
    label = reading.label(row, f"metric.{next(iter(metric))}" if len(metric) == 1 else None)
    counts = [len(tokens) for tokens in response.get("output_tokens") or []]
    read = len(response.get("input_tokens") or ())
    written = reading.require(row, "response", "model_response.text")
    for number, said in enumerate(written):
        yield Recorded(
            plain(named, "doc.id") if named not in (None, "") else problem,
            problem,
            answer([document["choices"][index] for index in golds] if gold is None else gold, "gold"),
            text(said, f"model_response.text number {number + 1}"),
            generated_tokens=count(counts[number]) if number < len(counts) else None,
            prompt_tokens=read or None,
            label=label if len(written) == 1 else None,  # of several it is one figure for all
        )
