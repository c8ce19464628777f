"""TRL's SFTTrainer with this project's loss, and with steps that are saved whole and without a pickle.

The loss is λ·L_refine + (1−λ)·L_direct, each the mean negative log-likelihood of its target tokens
(docs/method.md, training data, 5). Every token carries the weight of its row's part, so that the
two may stand in one batch and in one pack.

Saving is Trainer's own, which knows how FSDP and DeepSpeed keep a model, and resuming too: it
goes on with the same rows in the same order. Of what it would pickle, the optimiser, the schedule,
the scaler and the random numbers are written as safetensors and JSON instead, and its arguments
not at all. Only where FSDP or DeepSpeed share the optimiser do their own files stand in a save;
Trainer loads these, and they go when the training has ended.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.training.rows import by_token
from resources.training.saves import Saves
from resources.training.states import load_state, random_state, save_state, set_random_state

if TYPE_CHECKING:
    from transformers import Trainer as AnyTrainer
    from trl.trainer.sft_trainer import SFTTrainer as Base
else:
    AnyTrainer = Base = object

HOW = "how.json"
# A save takes no more than this share of the time, however large the model is.
MOST_OF_THE_TIME = 0.05


class TwoPartLoss(Base):
    """Weighs the tokens of the two parts of the loss."""

    def weigh_tokens(self) -> None:
        """Let every batch carry the weights of its tokens."""
        import torch

        collate: Any = self.data_collator

        def collate_with_weights(rows: list[dict[str, Any]]) -> dict[str, Any]:
            rows = [row if "labels" in row else by_token(row) | {"input_ids": row["input_ids"]} for row in rows]
            weights = [torch.tensor(row.pop("loss_weights")) for row in rows]
            batch = collate(rows)
            if collate.padding_free:
                weights = [torch.cat(weights)]
            padded = torch.zeros(batch["input_ids"].shape)
            for row, weight in zip(padded, weights, strict=True):
                row[: len(weight)] = weight
            return {**batch, "loss_weights": padded}

        self.data_collator = collate_with_weights

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        ours = ("loss_weights", "answer_start", "weight")
        self._signature_columns = list(dict.fromkeys([*self._signature_columns, *ours]))

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss_weights = inputs.pop("loss_weights")
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        tokens = outputs.label_mask.sum() if num_items_in_batch is None else num_items_in_batch
        loss = -(outputs.log_probs * loss_weights[:, 1:]).sum() / tokens
        if num_items_in_batch is not None:  # it counts all processes, whose gradients are averaged
            loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss


class SavedSteps(AnyTrainer):
    """Saves a step as Trainer does, whole or not at all."""

    saves: Saves
    seconds_of_a_save = 0.0

    def how(self) -> dict[str, Any]:
        """Return what a save depends on: how the processes share the optimiser, where they do."""
        shared = "fsdp" if self.is_fsdp_enabled else "deepspeed" if self.is_deepspeed_enabled else ""
        return {"shared_by": shared, "processes": self.accelerator.num_processes if shared else 1}

    def can_go_on_from(self, save: Path) -> bool:
        """Return whether a save is of a training that shared its optimiser as this one does."""
        return (save / HOW).is_file() and json.loads((save / HOW).read_text()) == self.how()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        from safetensors import SafetensorError
        from transformers import Trainer

        started, step = time.monotonic(), self.state.global_step
        place, written = self.args.output_dir, self.saves.being_written(step)
        self.args.output_dir = str(written)
        fault = None
        try:
            Trainer._save_checkpoint(self, model, trial)  # SFTTrainer's would add a model card
        except (OSError, SafetensorError) as error:  # as where the disk is full
            if self.how()["shared_by"]:
                raise  # the other processes wait for what this one would have sent
            fault = error
        finally:
            self.args.output_dir = place
        whole = self._everyone(fault is None)
        if self.args.should_save:
            if whole:
                folder = written / f"checkpoint-{step}"
                (folder / HOW).write_text(json.dumps(self.how()))
                self.saves.finish(step, folder)
            else:
                self.note(f"step {step} could not be saved: {fault or 'another process failed'}")
            shutil.rmtree(written, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.seconds_of_a_save = time.monotonic() - started

    def _everyone(self, well: bool) -> bool:
        """Return whether all went well in every process."""
        import torch

        told = torch.tensor([well], device=self.accelerator.device, dtype=torch.int32)
        return bool(self.accelerator.gather(told).all())  # pyright: ignore[reportAttributeAccessIssue]

    def note(self, text: str) -> None:
        """Tell the run that started this process."""
        raise NotImplementedError

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        model: Any = self.accelerator.unwrap_model(self.model)
        model.save_pretrained(output_dir, state_dict=state_dict)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        optimizer: Any = self.optimizer
        schedule: Any = self.lr_scheduler
        if self.how()["shared_by"]:
            super()._save_optimizer_and_scheduler(output_dir)
        elif self.args.should_save:
            save_state(optimizer.state_dict(), Path(output_dir), "optimizer")
            save_state(schedule.state_dict(), Path(output_dir), "schedule")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        optimizer: Any = self.optimizer
        schedule: Any = self.lr_scheduler
        if self.how()["shared_by"]:
            super()._load_optimizer_and_scheduler(checkpoint)
        elif checkpoint:
            optimizer.load_state_dict(load_state(Path(checkpoint), "optimizer"))
            schedule.load_state_dict(load_state(Path(checkpoint), "schedule"))

    def _save_scaler(self, output_dir: str) -> None:
        scaler = getattr(self.accelerator, "scaler", None)
        if scaler is not None and self.args.should_save:
            save_state(scaler.state_dict(), Path(output_dir), "scaler")

    def _load_scaler(self, checkpoint: str | None) -> None:
        scaler = getattr(self.accelerator, "scaler", None)
        if scaler is not None and checkpoint and (Path(checkpoint) / "scaler.json").exists():
            scaler.load_state_dict(load_state(Path(checkpoint), "scaler"))

    def _save_rng_state(self, output_dir: str) -> None:
        Path(output_dir).mkdir(parents=True, exist_ok=True)  # the first process may not have come to it
        save_state(random_state(), Path(output_dir), f"random-{self.args.process_index}")

    def _load_rng_state(self, checkpoint: str | None) -> None:
        name = f"random-{self.args.process_index}"
        if checkpoint and (Path(checkpoint) / f"{name}.json").exists():
            set_random_state(load_state(Path(checkpoint), name))


def save_by_the_clock(trainer: SavedSteps, minutes: float, every: int = 1) -> Any:
    """Return the callback that has a step saved every so many minutes, 0 for every step; the first process says when.

    Of steps that share their rollouts only the last of ``every`` so many is.
    """
    import torch
    from accelerate.utils import broadcast
    from transformers import TrainerCallback

    class SaveByTheClock(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.last = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if (
                state.global_step >= state.max_steps or state.global_step % every
            ):  # at the end the checkpoint is written
                return
            wait = minutes and max(minutes * 60, trainer.seconds_of_a_save / MOST_OF_THE_TIME)
            due = torch.tensor([time.monotonic() - self.last >= wait], device=args.device, dtype=torch.int32)
            control.should_save = bool(broadcast(due).item())  # pyright: ignore[reportAttributeAccessIssue]

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.last = time.monotonic()

    return SaveByTheClock()
