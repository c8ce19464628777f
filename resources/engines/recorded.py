"""Samples someone drew before, in a model's stead: `gsr import` or `gsr record` writes the folder."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.policies.confidence import in_nats
from gsr_dagster.method.prompting.prompts import Message
from gsr_dagster.method.rows import Row
from resources.engines.base import EngineError, Request, Sample, chat_sha256
from resources.problems.recorded_samples import DRAWN, read_recording, read_samples

# What a file may say of the chats that its samples answer.
CHATS = ("prompt_sha256", "student_chat")


class RecordedEngine:
    """Yields recorded samples by SUBJECT/BENCHMARK/PROMPT and index, as they come in the file. Nothing is drawn.

    Where the file says which chat a sample answers, samples of another chat are refused. The chat that
    the student was shown, without the worked examples of who wrote the sample, is as good.
    """

    context: int | None = None
    notes: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def counts_by(self) -> str:
        return self._counted

    @cached_property
    def _counted(self) -> str:
        words = read_recording(self.folder).words
        return "what was recorded" + (f"; the words of {words} samples without a number of tokens" if words else "")

    def prompt_tokens(self, messages: list[Message]) -> int:
        """Return the tokens of a chat as they were recorded; 0 where they were not."""
        return self._tokens.get(chat_sha256(messages), 0)

    @cached_property
    def _tokens(self) -> dict[str, int]:
        rows = (row for row in read_samples(self.folder) if "student_chat" in row)
        return {row["student_chat"]: row["student_prompt_tokens"] for row in rows}

    def tokenize(self, text: str) -> list[int]:
        """Return no token: recorded refinements saw their candidates whole."""
        return []

    def detokenize(self, tokens: list[int]) -> str:
        return ""

    def close(self) -> None:
        pass

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        wanted = {r.id.split("/", 2)[2]: (r, dict(zip(r.indices, r.seeds, strict=True))) for r in requests}
        for prompt_id, rows in groupby(read_samples(self.folder, wanted), lambda row: row["prompt_id"]):
            request, seeds = wanted[prompt_id]
            rows = list(rows)
            # Long to compute, and nothing without what it is compared with.
            asked = chat_sha256(request.messages) if any(row.get(name) for row in rows for name in CHATS) else ""
            found, chats = [], list[set[str]]()
            for row in rows:
                if (seed := seeds.pop(row["sample_index"], None)) is not None:
                    chats.append({row[name] for name in CHATS if row.get(name)})
                    sure = row.get("confidences") if settings.logprobs else None
                    confidences = None if sure is None else tuple(in_nats(sure))
                    drawn = {**_drawn(row, asked), "confidences": confidences, "recorded_label": row.get("label")}
                    found.append(Sample(request.id, row["sample_index"], seed, **drawn))
            self._refuse_another_chat(prompt_id, chats, asked)
            if found:
                yield found
        missing = [f"{prompt_id} ({index})" for prompt_id, (_, seeds) in wanted.items() for index in seeds]
        if missing:
            raise EngineError(
                f"{len(missing)} samples are not recorded in {self.folder.name}, first {missing[0]}. "
                "Record or import them too, or take fewer problems or samples"
            )

    def _refuse_another_chat(self, prompt_id: str, recorded: Sequence[set[str]], asked: str) -> None:
        if any(chats and asked not in chats for chats in recorded):
            raise EngineError(
                f"{prompt_id} was recorded in {self.folder.name} for another prompt than the experiment has: the "
                "problem, the worked examples, the candidates that were shown, k and the seed must be those of the recording"
            )


def _drawn(row: Row, asked: str) -> dict[str, Any]:
    """Return what was drawn; the prompt is the student's where that was asked with, without worked examples."""
    drawn = {name: row[name] for name in DRAWN}
    if row.get("student_chat") == asked:
        drawn["prompt_tokens"] = row["student_prompt_tokens"]
    return drawn
