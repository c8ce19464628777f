"""How a student is fine-tuned: its adapter, and what `training: {…}` of the experiment file takes."""

from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from gsr_dagster.experiment.settings import Count, Section
from gsr_dagster.experiment.training.accelerate_config import accelerate_config, machines_of, processes_of
from gsr_dagster.experiment.training.trainer_settings import TrainerSettings


class Lora(Section):
    """The adapter: rank and alpha of every linear layer."""

    rank: Count = 16
    alpha: Count = 32


class Steps(Section):
    """What every training has, whatever it learns from: its steps, and how they are computed."""

    epochs: float = Field(default=3, gt=0, le=1e6)
    learning_rate: float = Field(default=1e-4, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    batch_size: Count = 128
    rows_at_once: Count = 4
    accelerate: Annotated[Path, AfterValidator(accelerate_config)] | None = None
    processes: Count = 1
    launch: Literal["ray"] | None = None
    save_minutes: float = Field(default=10, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _takes_the_processes_of_its_config(cls, data: Any, info: ValidationInfo) -> Any:
        """Take the number of processes from the config of `accelerate config`, where one is named."""
        if isinstance(data, dict) and isinstance(data.get("accelerate"), str | Path):
            with suppress(ValueError):  # accelerate itself says what is wrong with it
                return {"processes": processes_of(accelerate_config(Path(data["accelerate"]), info)), **data}
        return data

    @field_validator("processes")
    @classmethod
    def _are_those_of_its_config(cls, processes: int, info: ValidationInfo) -> int:
        config = info.data.get("accelerate")
        if config and processes != (known := processes_of(config)):
            raise ValueError(f"its accelerate config has {known}; leave processes out")
        return processes

    @property
    def rows_in_a_process(self) -> int:
        """The rows that one process computes at once: no more than its share of a step."""
        return min(self.rows_at_once, self.batch_size // self.processes or 1)

    @property
    def gpus(self) -> int:
        """How many GPUs of one machine it asks for, one a process, where there are any."""
        return self.processes if self.accelerate is None else ceil(self.processes / machines_of(self.accelerate))


class Training(Steps):
    """Fine-tuning. ``refine_weight`` is the λ of docs/method.md; ``batch_size`` is in rows an optimiser step.

    ``processes`` share each step's rows, ``rows_at_once`` a process: neither changes what
    is learned. ``accelerate`` names a config of ``accelerate config``, which says how many
    processes there are and how they share the model (FSDP, DeepSpeed, several machines).
    ``launch: ray`` starts them on the Ray cluster of the student's base or teacher.

    ``validation_rows`` of the training set are not trained on: their loss stands in the training
    curve, ten times at most.

    All that a training that is killed needs to go on is saved every ``save_minutes``, 0 for
    every step. ``trainer`` goes to TRL's SFTConfig. With ``method: grpo`` a student learns from rewards
    instead: see Reinforcement.
    """

    method: Literal["sft"] = "sft"
    max_length: Count = 24_576
    refine_weight: float = Field(default=0.5, ge=0, le=1)
    validation_rows: Count | None = None
    trainer: TrainerSettings = TrainerSettings()

    @property
    def learned(self) -> dict[str, Any]:
        """What of it shapes what is learned, for the fingerprint. Some settings stand there only where they are set."""
        where_set = {"trainer": self.trainer.learned, "validation_rows": self.validation_rows}
        learned = self.model_dump(exclude={"method", *NOT_LEARNED, *where_set})
        return learned | {name: value for name, value in where_set.items() if value}


# Of its training: how it is computed, not what is learned.
NOT_LEARNED = ("processes", "rows_at_once", "accelerate", "launch", "save_minutes")
