"""Answers someone sampled before: the base lane without a model. `gsr import` writes the folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from gsr_dagster.settings import RolloutSettings
from resources.engines.base import EngineError, Request, Sample
from resources.recorded import read_samples


class RecordedEngine:
    """Yields recorded samples by SUBJECT/BENCHMARK/PROMPT and index. Nothing is drawn."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.samples = read_samples(folder)

    def tokenize(self, text: str) -> list[int]:
        """Return no token: recorded refinements saw their candidates whole."""
        return []

    def detokenize(self, tokens: list[int]) -> str:
        return ""

    def close(self) -> None:
        self.samples = {}

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        missing = []
        for request in requests:
            _, _, prompt_id = request.id.split("/", 2)
            found = []
            for index, seed in zip(request.indices, request.seeds, strict=True):
                row = self.samples.get((prompt_id, index))
                if row is None:
                    missing.append(f"{prompt_id} ({index})")
                    continue
                counted = {name: row[name] for name in ("text", "finish_reason", "prompt_tokens", "generated_tokens")}
                found.append(Sample(request.id, index, seed, **counted))
            if found:
                yield found
        if missing:
            raise EngineError(
                f"{len(missing)} samples are not recorded in {self.folder.name}, first {missing[0]}. "
                "Import them, or ask for fewer: a refinement is recorded with the candidates it was shown"
            )
