"""The rollouts of a training, kept while it goes on: a file a step and process, beside its saved steps.

    <saves>/rollouts/step-<number>-of-<process>.parquet

A killed training goes on from its last saved step: the rollouts of later ones go, and are drawn again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.rows import Row, batches
from resources.engines.base import sample_seed
from resources.engines.transformers import TokenSampler
from resources.store.files import write_atomically
from resources.store.tables import encode
from resources.training.reinforcement.rewards import Rewards
from resources.training.targets import Targets

if TYPE_CHECKING:
    from trl.trainer.grpo_trainer import GRPOTrainer as Base
else:
    Base = object

NAME = re.compile(r"step-(\d+)-of-(\d+)\.parquet")


class Rollouts:
    """The rollouts of one training, in a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def begin(self, step: int) -> None:
        """Remove the rollouts of all steps from this one on, which are drawn again, and what was half-written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            found = NAME.fullmatch(path.name)
            if found is None or int(found[1]) >= step:
                path.unlink()

    def keep(self, step: int, process: int, rows: Sequence[Row]) -> None:
        """Write the rollouts of a step, whole or not at all."""
        from resources.store.columns import table_of

        content = encode(table_of("training_rollouts", rows))
        write_atomically(self.folder / f"step-{step:06}-of-{process}.parquet", content)

    def shards(self, rows_at_once: int) -> Iterator[list[Row]]:
        """Yield all rollouts by step, so many rows at once."""
        import pyarrow.parquet as pq

        paths = sorted(path for path in self.folder.glob("step-*") if NAME.fullmatch(path.name))
        return batches((row for path in paths for row in pq.read_table(path).to_pylist()), rows_at_once)


class KeptRollouts(Base):
    """Draws rollouts as the transformers engine draws samples, with the tokens that every engine prompts with, and keeps them.

    Each has a seed of its own, by its step and its place in it, so that a training that goes on from a
    saved step draws what it would have drawn. vLLM does not read them, and where processes
    share the model (FSDP, DeepSpeed) all must take the same steps, so there TRL's own way samples.
    """

    targets: Targets
    rewards: Rewards
    rollouts: Rollouts
    sampler: TokenSampler
    settings: RolloutSettings

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        import json

        return [self.targets.prompt(json.loads(prompt)) for prompt in prompts], None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        if self.use_vllm or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        import torch
        from trl.models.utils import unwrap_model_for_generation

        step, first = self.state.global_step, self.accelerator.process_index * len(prompt_ids)
        seeds = [sample_seed(str(self.args.seed), str(step), first + place) for place in range(len(prompt_ids))]
        places = {tuple(prompt): place for place, prompt in enumerate(dict.fromkeys(map(tuple, prompt_ids)))}
        rows = [places[tuple(prompt)] for prompt in prompt_ids]
        with unwrap_model_for_generation(self.model_wrapped, self.accelerator) as model, torch.no_grad():
            model.eval()
            drawn = self.sampler.draw([list(prompt) for prompt in places], rows, seeds, self.settings)
            model.train()
        return [tokens[: self.sampler.chat.finished(tokens, ())[1]] for tokens, _ in drawn], None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        step, process = self.state.global_step, self.accelerator.process_index
        advantages = output["advantages"].tolist()
        rows = [
            {
                "rollout_id": f"{step + 1}/{process}/{place}",
                "step": step + 1,
                **{name: row[name] for name in ("row_id", "kind", "problem_id")},
                "messages": row["prompt"],
                **graded,
                "advantage": advantage,
            }
            for place, (row, graded, advantage) in enumerate(zip(inputs, self.rewards.graded, advantages, strict=True))
        ]
        self.rollouts.keep(step, process, rows)
        return output
