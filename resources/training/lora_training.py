"""The training process: `python -m resources.training.lora_training JOB.json`, started by trainer.py beside it.

Where an experiment asks for several processes, `accelerate launch` starts as many of it.

L = λ·L_refine + (1−λ)·L_direct, each the mean negative log-likelihood of its target
tokens (docs/method.md, training data, 5). Every row carries its part's weight, so the two
may stand in one batch.
"""

import json
import math
import os
import shutil
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from resources.engines.cpu import keep_freed_memory, native_dtype
from resources.engines.loading import quiet_transformers

IGNORED = -100


def part_weights(target_tokens: dict[str, int], refine_weight: float) -> dict[str, float]:
    """Return the loss weight of a target token of each kind of row.

    With these the mean over all tokens of a training set is λ·L_refine + (1−λ)·L_direct,
    or the loss of the one part that there is.
    ``target_tokens`` counts them by kind, "refinement" and "direct".
    """
    total = sum(target_tokens.values())
    share = {"refinement": refine_weight, "direct": 1 - refine_weight}
    present = sum(share[kind] for kind, count in target_tokens.items() if count)
    return {kind: share[kind] / present * total / count for kind, count in target_tokens.items() if count}


def main(job_path: str) -> None:
    """Train the adapter, or all weights, that a job file describes, and write them beside its history."""
    job = json.loads(Path(job_path).read_text())
    quiet_transformers()
    keep_freed_memory()

    import torch
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    disable_progress_bars()

    class HybridTrainer(SFTTrainer):
        """SFTTrainer with the two parts of the loss weighed apart."""

        def __init__(self, kinds: list[str], refine_weight: float, **arguments: Any):
            super().__init__(**arguments)
            self.train_dataset: Any
            targets = [sum(t != IGNORED for t in labels) for labels in self.train_dataset["labels"]]
            counts: Counter[str] = Counter()
            for kind, count in zip(kinds, targets, strict=True):
                counts[kind] += count
            weights = part_weights(counts, refine_weight)
            self.train_dataset = self.train_dataset.add_column("loss_weight", [weights[kind] for kind in kinds])
            collate = self.data_collator

            def collate_with_weights(rows: list[dict[str, Any]]) -> dict[str, Any]:
                loss_weight = torch.tensor([row.pop("loss_weight") for row in rows])
                return {**collate(rows), "loss_weight": loss_weight}

            self.data_collator = collate_with_weights

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            if "loss_weight" not in self._signature_columns:
                self._signature_columns = [*self._signature_columns, "loss_weight"]

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            loss_weight = inputs.pop("loss_weight")
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            tokens = outputs.label_mask.sum() if num_items_in_batch is None else num_items_in_batch
            loss = -(outputs.log_probs * loss_weight[:, None]).sum() / tokens
            if num_items_in_batch is not None:  # it counts all processes, whose gradients are averaged
                loss = loss * self.accelerator.num_processes
            return (loss, outputs) if return_outputs else loss

    class WriteHistory(TrainerCallback):
        """Appends each step's loss to the history file; stops at one that is not finite."""

        def on_log(self, args, state, control, logs=None, **kwargs):
            if not logs or "loss" not in logs or not state.is_world_process_zero:
                return
            if not math.isfinite(logs["loss"]):
                raise FloatingPointError(f"the loss at step {state.global_step} is {logs['loss']}")
            row = {name: logs[name] for name in ("loss", "learning_rate", "epoch")}
            row |= {"step": state.global_step, "steps": state.max_steps}
            with Path(job["history"]).open("a") as file:
                file.write(json.dumps(row) + "\n")

    training, adapter = job["training"], job["lora"]
    rows = [
        {"prompt": json.loads(row["messages"]), "completion": [{"role": "assistant", "content": row["completion"]}]}
        for row in job["rows"]
    ]
    on_gpu = torch.cuda.is_available()
    processes, at_once = training["processes"], training["rows_at_once"]
    config = SFTConfig(
        output_dir=str(Path(job_path).parent / "trainer"),
        num_train_epochs=training["epochs"],
        learning_rate=training["learning_rate"],
        warmup_steps=training["warmup"],
        lr_scheduler_type="cosine",
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=max(training["batch_size"] // (at_once * processes), 1),
        max_length=training["max_length"],
        seed=job["seed"],
        data_seed=job["seed"],
        use_cpu=not on_gpu,
        ddp_backend="gloo" if processes > 1 and not on_gpu else None,
        bf16=on_gpu,
        gradient_checkpointing=on_gpu,
        dataloader_pin_memory=on_gpu,
        logging_steps=1,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
    )
    tokenizer = AutoTokenizer.from_pretrained(job["weights"], trust_remote_code=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Small updates of whole weights vanish in bfloat16; an adapter is float32 anyway.
    dtype = native_dtype() if adapter else torch.float32
    trainer = HybridTrainer(
        kinds=[row["kind"] for row in job["rows"]],
        refine_weight=training["refine_weight"],
        model=AutoModelForCausalLM.from_pretrained(
            job["weights"], dtype=dtype, use_safetensors=True, trust_remote_code=False
        ),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter
        and LoraConfig(
            r=adapter["rank"],
            lora_alpha=adapter["alpha"],
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
        callbacks=[WriteHistory()],
    )
    refuse_a_full_disk(trainer.model, Path(job["checkpoint"]).parent)
    trainer.train()
    if trainer.accelerator.is_main_process:
        save(trainer.accelerator.unwrap_model(trainer.model), tokenizer, job["source"], Path(job["checkpoint"]))


def refuse_a_full_disk(model: Any, folder: Path) -> None:
    """End this process, before hours of training, where its folder has no room for what will be saved."""
    needed = sum(weight.nbytes for weight in model.parameters() if weight.requires_grad)
    free = shutil.disk_usage(folder).free
    if free < needed:
        sys.exit(
            f"the checkpoint needs {needed / 1e6:,.1f} MB and {folder} has {free / 1e6:,.1f} MB: make room, or let "
            "TMPDIR name a larger disk, and run again; what is finished stays"
        )


def save(model: Any, tokenizer: Any, source: str, folder: Path) -> None:
    """Write the trained weights as safetensors, with nothing in them that tells of this machine.

    Trainer.save_model would add a pickle of its arguments, and peft a model card and
    the path of the weights.
    """
    for config in getattr(model, "peft_config", {}).values():
        config.base_model_name_or_path = source
        config.target_modules = sorted(config.target_modules)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)


def end_with_stdin() -> None:
    """End this process once its standard input ends: the run that started it is gone, and the GPU is wanted again."""

    def follow() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


if __name__ == "__main__":
    end_with_stdin()
    main(sys.argv[1])
