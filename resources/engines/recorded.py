"""Answers someone sampled before: the base lane without a model. `gsr import` writes the folder."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompts import Message
from resources.engines.base import EngineError, Request, Sample
from resources.problems.recorded_samples import read_samples

COUNTED = ("text", "finish_reason", "prompt_tokens", "generated_tokens")


class RecordedEngine:
    """Yields recorded samples by SUBJECT/BENCHMARK/PROMPT and index, as they come in the file. Nothing is drawn."""

    context: int | None = None
    counts_by: str = "what was recorded"
    notes: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, folder: Path):
        self.folder = folder

    def prompt_tokens(self, messages: list[Message]) -> int:
        """Return 0: what a recorded prompt was is not known."""
        return 0

    def tokenize(self, text: str) -> list[int]:
        """Return no token: recorded refinements saw their candidates whole."""
        return []

    def detokenize(self, tokens: list[int]) -> str:
        return ""

    def close(self) -> None:
        pass

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        wanted = {r.id.split("/", 2)[2]: (r.id, dict(zip(r.indices, r.seeds, strict=True))) for r in requests}
        for prompt_id, rows in groupby(read_samples(self.folder), lambda row: row["prompt_id"]):
            request_id, seeds = wanted.get(prompt_id, ("", {}))
            found = []
            for row in rows:
                if (seed := seeds.pop(row["sample_index"], None)) is not None:
                    counted = {name: row[name] for name in COUNTED}
                    found.append(Sample(request_id, row["sample_index"], seed, **counted))
            if found:
                yield found
        missing = [f"{prompt_id} ({index})" for prompt_id, (_, seeds) in wanted.items() for index in seeds]
        if missing:
            raise EngineError(
                f"{len(missing)} samples are not recorded in {self.folder.name}, first {missing[0]}. "
                "Import them too, or leave these problems out of the benchmark"
            )
