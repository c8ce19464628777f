"""The training process: `python -m resources.training.lora_training JOB.json`, started by trainer.py beside it.

Where an experiment asks for several processes, `accelerate launch` or Ray Train starts as many
of it (launching.py). The trainer is hybrid_trainer.py, its rows are made in targets.py and rows.py.
"""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from resources.engines.cpu import keep_freed_memory
from resources.engines.loading import quiet_transformers
from resources.training.distance import ROWS, distances
from resources.training.hybrid_trainer import SavedSteps, TwoPartLoss, save_by_the_clock
from resources.training.process import (
    RefusedError,
    end_with_stdin,
    leave,
    load_model,
    lora_config,
    note,
    read_tokenizer,
    refuse_a_full_disk,
    save_to_go_on_from,
    write_trained,
)
from resources.training.rows import ROWS_AT_ONCE, Fitting, read_tokens, shortest, weighted, write_tokens
from resources.training.saves import Saves
from resources.training.targets import Target, Targets

# Every so large a part of the steps the validation rows are looked at.
VALIDATIONS = 0.1


def main(job_path: str) -> None:
    """Train the adapter, or all weights, that a job file describes, and write them beside its history."""
    train(json.loads(Path(job_path).read_text()))


def train(job: dict[str, Any]) -> None:
    """Train what a job describes, from its last saved step where there is one."""
    quiet_transformers()
    keep_freed_memory()

    from datasets import disable_progress_bars
    from trl.trainer.sft_trainer import SFTTrainer

    disable_progress_bars()

    class HybridTrainer(SavedSteps, TwoPartLoss, SFTTrainer):
        def note(self, text: str) -> None:
            note(job, text)

    training, adapter = job["training"], job["lora"]
    config = sft_config(job)
    main_process = config.process_index == 0
    tokenizer, targets, _ = read_tokenizer(job)
    fitting = Fitting(training["max_length"])
    with config.main_process_first(local=False):  # all machines see the job's folder
        if main_process:
            write_tokens(Path(job["tokens"]), fitting.of(tokenised_rows(Path(job["rows"]), targets)))
    tokens = read_tokens(Path(job["tokens"]))
    if not len(tokens):
        longest = training["max_length"]
        raise RefusedError(f"no training row has room for its answer in max_length, {longest} tokens: raise it")
    held_out = training.get("validation_rows") or 0
    if held_out >= len(tokens):
        raise RefusedError(f"validation_rows: {held_out} leaves nothing to train on of {len(tokens)} rows: write fewer")
    learned = tokens.select(range(len(tokens) - held_out))
    trainer = HybridTrainer(
        model=load_model(job),
        args=config,
        train_dataset=weighted(learned, training["refine_weight"], training["max_length"] if config.packing else None),
        eval_dataset=weighted(tokens.select(range(len(learned), len(tokens))), training["refine_weight"], None)
        if held_out
        else None,
        processing_class=tokenizer,
        peft_config=lora_config(adapter),
    )
    trainer.weigh_tokens()
    trainer.saves = Saves(Path(job["saves"]))
    trainer.add_callback(write_history(Path(job["history"])))
    trainer.add_callback(save_by_the_clock(trainer, training["save_minutes"]))
    if main_process:
        refuse_a_full_disk(trainer.model, Path(job["checkpoint"]).parent)
    if main_process and os.environ.get("ACCELERATE_USE_FSDP") == "true" and not trainer.is_fsdp_enabled:
        note(
            job, "its accelerate config asks for FSDP, which there is on GPUs only: each process holds the whole model"
        )
    save = save_to_go_on_from(job, trainer)
    if main_process:
        trainer.saves.begin(save)
    trainer.train(resume_from_checkpoint=save and str(save))
    model = write_trained(job, trainer, tokenizer)
    if not main_process:
        return
    facts = {"cut_rows": fitting.cut, "dropped_rows": fitting.dropped}
    if adapter and not trainer.how()["shared_by"]:
        facts |= distances(model, shortest(learned, ROWS))
    Path(job["facts"]).write_text(json.dumps(facts))


def tokenised_rows(path: Path, targets: Targets) -> Iterator[tuple[str, Target]]:
    """Yield the rows of a Parquet file by kind and tokens, with few of them in memory."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE):
        for row in batch.to_pylist():
            yield row["kind"], targets.target(json.loads(row["messages"]), row["completion"])


def sft_config(job: dict[str, Any]) -> Any:
    """Return the SFTConfig of a job: this project's settings, and over them those of the experiment file."""
    import torch
    from trl.trainer.sft_config import SFTConfig

    training, on_gpu = job["training"], torch.cuda.is_available()
    processes, at_once = training["processes"], training["rows_at_once"]
    ours = {
        "lr_scheduler_type": "cosine",
        "ddp_backend": "gloo" if processes > 1 and not on_gpu else None,
        "bf16": on_gpu and not training["trainer"].get("fp16"),
        "gradient_checkpointing": on_gpu,
        "dataloader_pin_memory": on_gpu,
        "report_to": "none",
    }
    settings = {name: value for name, value in training["trainer"].items() if name != "model_init_kwargs"}
    return SFTConfig(
        **ours | settings,
        output_dir=str(Path(job["history"]).parent / "trainer"),
        num_train_epochs=training["epochs"],
        learning_rate=training["learning_rate"],
        warmup_steps=training["warmup"],
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=max(training["batch_size"] // (at_once * processes), 1),
        max_length=training["max_length"],
        dataset_kwargs={"skip_prepare_dataset": True},
        seed=job["seed"],
        data_seed=job["seed"],
        use_cpu=not on_gpu,
        logging_steps=1,
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding",
        disable_tqdm=True,
        save_strategy="no",  # save_by_the_clock says when
        eval_strategy="steps" if training.get("validation_rows") else "no",
        eval_steps=VALIDATIONS,
        per_device_eval_batch_size=at_once,
        prediction_loss_only=True,
    )


def write_history(
    path: Path, further: Mapping[str, str] = MappingProxyType({}), tokens: str = "num_input_tokens_seen"
) -> Any:
    """Return the callback that writes each step's loss to the history file, and stops at one that is not finite.

    ``further`` columns are read from the trainer's logs by its names, and ``tokens`` is its name of those seen.
    """
    from transformers import TrainerCallback

    def row(logs: dict[str, Any], state: Any) -> str:
        step = {"step": logs.get("step", state.global_step)}
        if "eval_loss" in logs:
            return json.dumps({**step, "validation_loss": logs["eval_loss"]}) + "\n"
        named = {name: logs[name] for name in ("loss", "learning_rate", "epoch")}
        counted = {"grad_norm": logs.get("grad_norm"), "tokens": logs.get(tokens)}
        counted |= {column: logs.get(name) for column, name in further.items()}
        return json.dumps({**named, **counted, **step, "steps": state.max_steps}) + "\n"

    def is_told(logs: dict[str, Any]) -> bool:
        return "loss" in logs or "eval_loss" in logs

    class WriteHistory(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:  # the steps before the one that it goes on from
                with path.open("a") as file:
                    file.writelines(row(logs, state) for logs in state.log_history if is_told(logs))

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if not logs or not is_told(logs) or not state.is_world_process_zero:
                return
            if not math.isfinite(logs.get("loss", 0)):
                raise FloatingPointError(f"the loss at step {state.global_step} is {logs['loss']}")
            with path.open("a") as file:
                file.write(row(logs, state))

    return WriteHistory()


if __name__ == "__main__":
    end_with_stdin()
    try:
        main(sys.argv[1])
    except RefusedError as refused:
        sys.exit(str(refused))
    leave()
