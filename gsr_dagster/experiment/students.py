"""Students of the experiment file: whose candidates they learn from, from which teacher, and how they are trained."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from gsr_dagster.experiment.settings import Count, Rollouts, Section, from_folder
from gsr_dagster.experiment.trainer_settings import TrainerSettings
from gsr_dagster.method.mixture import Kind


class Lora(Section):
    """The adapter: rank and alpha of every linear layer."""

    rank: Count = 16
    alpha: Count = 32


class Training(Section):
    """Fine-tuning. ``refine_weight`` is the λ of docs/method.md; ``batch_size`` is in rows an optimiser step.

    ``processes`` share each step's rows, ``rows_at_once`` a process: neither changes what
    is learned. ``accelerate`` names a config of ``accelerate config``, which says how many
    processes there are and how they share the model (FSDP, DeepSpeed, several machines).
    ``launch: ray`` starts them on the Ray cluster of the student's base or teacher.

    All that a training that is killed needs to go on is saved every ``save_minutes``, 0 for
    every step. ``trainer`` goes to TRL's SFTConfig.
    """

    epochs: float = Field(default=3, gt=0, le=1e6)
    learning_rate: float = Field(default=1e-4, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    batch_size: Count = 128
    rows_at_once: Count = 4
    processes: Count = 1
    accelerate: Annotated[Path, AfterValidator(from_folder)] | None = None
    launch: Literal["ray"] | None = None
    save_minutes: float = Field(default=10, ge=0)
    max_length: Count = 24_576
    refine_weight: float = Field(default=0.5, ge=0, le=1)
    trainer: TrainerSettings = TrainerSettings()

    @model_validator(mode="before")
    @classmethod
    def _processes_of_its_config(cls, data: Any, info: ValidationInfo) -> Any:
        """Take the number of processes from the config of `accelerate config`, where one is named."""
        if not isinstance(data, dict) or not isinstance(data.get("accelerate"), str | Path):
            return data
        processes = processes_of(from_folder(Path(data["accelerate"]), info))
        if data.get("processes", processes) != processes:
            raise ValueError(f"processes: its accelerate config has {processes}; leave processes out")
        return {**data, "processes": processes}

    @property
    def rows_in_a_process(self) -> int:
        """The rows that one process computes at once: no more than its share of a step."""
        return min(self.rows_at_once, self.batch_size // self.processes or 1)

    @property
    def learned(self) -> dict[str, Any]:
        """What of it shapes what is learned, for the fingerprint. A trainer setting stands there where it is set."""
        trainer = self.trainer.learned
        return self.model_dump(exclude={*NOT_LEARNED, "trainer"}) | ({"trainer": trainer} if trainer else {})


# Of its training: how it is computed, not what is learned.
NOT_LEARNED = ("processes", "rows_at_once", "accelerate", "launch", "save_minutes")


def processes_of(path: Path) -> int:
    """Return how many processes a config of `accelerate config` starts in all. Raises ValueError where it is none."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is a part of YAML
    except OSError as error:
        raise ValueError(f"accelerate: {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f"accelerate: {path} is neither YAML nor JSON") from None
    count = config.get("num_processes", 1) if isinstance(config, dict) and "distributed_type" in config else None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"accelerate: {path} is no config of `accelerate config`, with distributed_type and num_processes"
        )
    return count


class Student(Section):
    """A student: its base, whose candidates it learns from, its teacher, and the settings of each step.

    ``rows`` chooses the mixture, ``most_rows`` how many training rows at most: the same
    number makes ablations comparable. ``lora: null`` trains all weights.
    """

    base: str
    teacher: str
    candidates_from: str | None = None
    candidates: Rollouts
    refinements: Rollouts
    solutions: Rollouts
    keep_when_all_correct: Count = 4
    prompt_tokens: Count = 8192
    rows: Kind = "hybrid"
    most_rows: int | None = Field(default=None, ge=2)
    lora: Lora | None = Lora()
    training: Training = Training()

    @property
    def sampler(self) -> str:
        """The model whose candidates the teacher refines: the base unless another is named."""
        return self.candidates_from or self.base
