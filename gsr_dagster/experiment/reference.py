"""The reference of the experiment file, written from its models: `python -m gsr_dagster.experiment.reference`.

`make docs` keeps docs/experiment-reference.md so, and a test holds it to it.
"""

import inspect
import json
import re
from collections.abc import Sequence
from typing import Any

from gsr_dagster.experiment.aggregations import aggregation_kinds
from gsr_dagster.experiment.engines import VLLM, OpenAI, Price, Ray, RecordedSamples, Transformers
from gsr_dagster.experiment.experiment import Evaluation, Experiment, Model
from gsr_dagster.experiment.problems.problem_sets import Benchmark, ProblemSet, WorkedExample, WorkedRefinement
from gsr_dagster.experiment.prompts import Prompts
from gsr_dagster.experiment.settings import MOST, Checks, Judge, Rollouts, RolloutSettings, Section
from gsr_dagster.experiment.students import Student, Teachers
from gsr_dagster.experiment.tracking import MLflow, WandB
from gsr_dagster.experiment.training.fine_tuning import Lora, Training
from gsr_dagster.experiment.training.reinforcement import Reinforcement, VLLMRollouts
from gsr_dagster.experiment.training.trainer_settings import GRPOTrainerSettings, TrainerSettings

SECTIONS: dict[str, Sequence[type[Section]]] = {
    "The file": [Experiment],
    "Problems": [Benchmark, ProblemSet, WorkedExample, WorkedRefinement],
    "Models and their engines": [Model, Transformers, VLLM, Ray, OpenAI, Price, RecordedSamples],
    "Evaluation and sampling": [Evaluation, Prompts, RolloutSettings, Judge],
    "Aggregations": aggregation_kinds(),
    "Students": [Student, Teachers, Rollouts, Lora, Training, TrainerSettings],
    "Students by reinforcement": [Reinforcement, VLLMRollouts, GRPOTrainerSettings],
    "Lines of the checks": [Checks],
    "Tracking": [MLflow, WandB],
}
HEAD = """\
# Experiment file: reference

Every key of the file, written from the models that check it (`make docs`). [Experiment file](experiment-file.md)
shows a whole one. Unknown keys are refused. A key without a default must be given.
"""


def reference() -> str:
    """Return the reference as Markdown."""
    parts = [HEAD]
    for title, sections in SECTIONS.items():
        parts.append(f"## {title}\n")
        parts += [_section(section) for section in sections]
    return "\n".join(parts)


def _section(section: type[Section]) -> str:
    """Return a section's heading, what its docstring says, and a row a key."""
    properties = section.model_json_schema()["properties"]
    required = section.model_json_schema().get("required", [])
    about = re.sub(r"``([^`]*)``", r"`\1`", inspect.getdoc(section) or "")
    rows = [
        f"| `{name}` | {_kind(schema)} | {'' if name in required else _default(schema)} |"
        for name, schema in properties.items()
    ]
    return "\n".join([f"### {section.__name__}\n\n{about}\n", "| key | value | default |", "|---|---|---|", *rows, ""])


def _kind(schema: dict[str, Any]) -> str:
    """Return what a value may be, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_kind(one) for one in schema[several])
    match schema.get("type"):
        case "array":
            return f"list of {_kind(schema.get('items', {}))}"
        case "object":
            inner = schema.get("additionalProperties")
            return f"by name: {_kind(inner if isinstance(inner, dict) else {})}"
        case "integer":
            return f"whole number{_bounds(schema)}"
        case "number":
            return f"number{_bounds(schema)}"
        case "boolean":
            return "true or false"
        case "null":
            return "null"
        case "string":
            return "path" if schema.get("format") == "path" else "text"
    return "anything"


def _bounds(schema: dict[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    # Beyond a billion a bound only keeps out what is meant as a joke.
    found = [f"{word} {schema[b]:,}" for b, word in words.items() if b in schema and schema[b] != MOST]
    return f", {' '.join(found)}" if found else ""


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    if default in ({}, []):
        return "none"
    return "its own defaults" if isinstance(default, dict) and "kind" not in default else f"`{json.dumps(default)}`"


if __name__ == "__main__":
    print(reference(), end="")
