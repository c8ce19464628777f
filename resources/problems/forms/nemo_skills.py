"""NeMo-Skills' output*.jsonl: a generation a line, one file a random seed."""

from gsr_dagster.method.rows import Row
from resources.problems.forms.fields import Reading, Samples, answer, count, finish_reason, plain, text
from resources.problems.recorded_samples import Recorded

# Its graders' verdicts, the judge's last.
LABEL_FIELDS = ("symbolic_correct", "is_correct")


def read_generation(row: Row, reading: Reading) -> Samples:
    """Yield the one sample of a line."""
    problem = text(reading.require(row, "problem"), reading.name("problem"), "problem")
    problem_id = reading.get(row, "problem_id", "id")
    yield Recorded(
        problem if problem_id in (None, "") else plain(problem_id, "id"),
        problem,
        answer(reading.require(row, "answer", "expected_answer"), "expected_answer"),
        text(reading.require(row, "response", "generation"), "generation", "response"),
        generated_tokens=count(reading.get(row, "generated_tokens", "num_generated_tokens"), "num_generated_tokens"),
        prompt_tokens=count(reading.get(row, "prompt_tokens", "num_input_tokens"), "num_input_tokens"),
        finish_reason=finish_reason(reading.get(row, "finish_reason", "finish_reason")),
        label=reading.label(row, next((name for name in LABEL_FIELDS if name in row), None)),
    )
