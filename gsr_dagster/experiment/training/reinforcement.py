"""How a student is trained by rewards: what `training: {method: grpo, …}` of the experiment file takes."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gsr_dagster.experiment.settings import Count, Rollouts, Section
from gsr_dagster.experiment.training.fine_tuning import NOT_LEARNED, Steps
from gsr_dagster.experiment.training.trainer_settings import GRPOTrainerSettings

LossType = Literal["grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo"]
# Rollout settings that no rollout of TRL's has.
NOT_TAKEN = ("stop", "thinking_tokens", "logprobs")


class VLLMRollouts(Section):
    """Rollouts by vLLM: within the training process (``colocate``), or by ``trl vllm-serve`` at ``base_url``.

    ``gpu_memory_utilization`` is vLLM's share of the GPU where both are on it, and ``tensor_parallel_size`` how
    many of the processes' GPUs hold one copy.
    """

    mode: Literal["colocate", "server"] = "colocate"
    base_url: str | None = None
    gpu_memory_utilization: float = Field(default=0.3, gt=0, lt=1)
    tensor_parallel_size: Count = 1

    @model_validator(mode="after")
    def _has_its_server(self) -> Self:
        if (self.mode == "server") != (self.base_url is not None):
            raise ValueError(
                'mode: server and base_url go together, as in {mode: server, base_url: "http://host:8000"}'
            )
        return self


class Reinforcement(Steps):
    """Training by rewards: TRL's GRPOTrainer, with this project's grader. A right answer is worth 1, any other 0.

    A group is ``rollouts.samples`` rollouts of one prompt, and ``batch_size`` the rollouts an
    optimiser step, over all groups. ``loss_type``, ``beta`` (the weight of the KL divergence from
    what it starts as), ``epsilon``, ``epsilon_high`` (where the ratio is clipped) and
    ``num_iterations`` (the steps that learn from the same rollouts) are TRL's own.

    Rollouts are sampled by transformers, or by ``vllm`` where it is named.
    ``trainer`` goes to TRL's GRPOConfig. All else is as in Training.
    """

    method: Literal["grpo"]
    rollouts: Rollouts
    epochs: float = Field(default=1, gt=0, le=1e6)
    learning_rate: float = Field(default=1e-6, gt=0)
    loss_type: LossType = "dapo"
    beta: float = Field(default=0, ge=0)
    epsilon: float = Field(default=0.2, gt=0, lt=1)
    epsilon_high: float | None = Field(default=None, gt=0)
    num_iterations: Count = 1
    vllm: VLLMRollouts | None = None
    trainer: GRPOTrainerSettings = GRPOTrainerSettings()

    @model_validator(mode="after")
    def _can_learn_from_its_groups(self) -> Self:
        group = self.rollouts
        if group.samples < 2:
            raise ValueError("rollouts.samples: a group of one has no advantage: write 2 or more")
        if group.temperature == 0:
            raise ValueError("rollouts.temperature: at 0 all rollouts of a group are alike: write 1.0, say")
        if unknown := [name for name in NOT_TAKEN if getattr(group, name)]:
            raise ValueError(f"rollouts: {', '.join(unknown)} is not taken in training: leave it out")
        if self.batch_size % group.samples:
            raise ValueError(
                f"batch_size: {self.batch_size} rollouts a step are no whole groups of {group.samples}: "
                f"write a multiple of {group.samples}"
            )
        return self

    @property
    def learned(self) -> dict[str, Any]:
        """What of it shapes what is learned, for the fingerprint."""
        learned = self.model_dump(exclude={*NOT_LEARNED, "vllm", "trainer"})
        engine = {"vllm": True} if self.vllm else {}
        return {**learned, **engine, **({"trainer": self.trainer.learned} if self.trainer.learned else {})}
