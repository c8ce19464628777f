"""The training process of a student that learns from rewards: TRL's GRPOTrainer with this project's grader.

`python -m resources.training.reinforcement.grpo_training JOB.json`, started by trainer.py as lora_training.py is:
it writes the same history and the same checkpoint, and goes on from saved steps in the same way.
"""

import json
import sys
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.settings import Rollouts as Group
from resources.engines.chat import Chat
from resources.engines.cpu import attention_to_decode_with, keep_freed_memory
from resources.engines.loading import quiet_transformers
from resources.engines.transformers import TokenSampler
from resources.grading.grader import Grader
from resources.training.distance import ROWS, distances
from resources.training.hybrid_trainer import SavedSteps, save_by_the_clock
from resources.training.lora_training import write_history
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
from resources.training.reinforcement.rewards import Rewards
from resources.training.reinforcement.rollouts import KeptRollouts, Rollouts
from resources.training.rows import read_tokens
from resources.training.saves import Saves, step_of
from resources.training.targets import Target

# The columns of a step, by TRL's names of what it logs.
LOGGED = {
    "reward": "reward",
    "groups_without_gradient": "frac_reward_zero_std",
    "generated_tokens": "completions/mean_length",
    "truncated": "completions/clipped_ratio",
    "no_answer": "no_answer",
    "timed_out": "timed_out",
    "entropy": "entropy",
    "kl": "kl",
    "clip_ratio": "clip_ratio/region_mean",
}


def train(job: dict[str, Any]) -> None:
    """Train what a job describes, from its last saved step where there is one."""
    quiet_transformers()
    keep_freed_memory()

    from datasets import disable_progress_bars
    from transformers import GenerationConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    disable_progress_bars()

    class RewardedTrainer(SavedSteps, KeptRollouts, GRPOTrainer):
        def note(self, text: str) -> None:
            note(job, text)

    training = job["training"]
    config = grpo_config(job)
    main_process = config.process_index == 0
    tokenizer, targets, stops = read_tokenizer(job, padding_side="left")
    with config.main_process_first(local=False):  # all machines see the job's folder
        if main_process:
            write_prompts(Path(job["rows"]), Path(job["tokens"]))
    prompts = read_tokens(Path(job["tokens"]))
    model = load_model(job, attn_implementation=attention_to_decode_with())
    its_own = model.generation_config
    model.generation_config = GenerationConfig(eos_token_id=sorted(stops))  # else `generate` would merge with its own
    chat = Chat(tokenizer, job["chat_template_kwargs"], job["thinking_end"], stops)
    rewards = Rewards(Grader(name=job["grader"]), chat, "rewards")
    trainer = RewardedTrainer(
        model=model,
        reward_funcs=rewards,
        args=config,
        train_dataset=prompts.select(order_of_prompts(len(prompts), training, job["seed"])),
        processing_class=tokenizer,
        peft_config=lora_config(job["lora"]),
    )
    trainer.targets, trainer.rewards = targets, rewards
    trainer.sampler, trainer.settings = TokenSampler(model, chat), Group.model_validate(training["rollouts"])
    trainer.rollouts, trainer.saves = Rollouts(Path(job["rollouts"])), Saves(Path(job["saves"]))
    trainer.add_callback(write_history(Path(job["history"]), LOGGED, tokens="num_tokens"))
    trainer.add_callback(save_by_the_clock(trainer, training["save_minutes"], training["num_iterations"]))
    if main_process:
        refuse_a_full_disk(trainer.model, Path(job["checkpoint"]).parent)
    save = save_to_go_on_from(job, trainer)
    if main_process:
        trainer.saves.begin(save)
        trainer.rollouts.begin(step_of(save) if save else 0)
    trainer.accelerator.wait_for_everyone()
    trainer.train(resume_from_checkpoint=save and str(save))
    model.generation_config = its_own
    model = write_trained(job, trainer, tokenizer)
    if not main_process:
        return
    facts = distances(model, last_rollouts(trainer)) if job["lora"] and not trainer.how()["shared_by"] else {}
    Path(job["facts"]).write_text(json.dumps(facts))


def grpo_config(job: dict[str, Any]) -> Any:
    """Return the GRPOConfig of a job: this project's settings, and over them those of the experiment file."""
    import torch
    from trl.trainer.grpo_config import GRPOConfig

    training, on_gpu = job["training"], torch.cuda.is_available()
    processes, at_once, group = training["processes"], training["rows_at_once"], training["rollouts"]
    ours = {
        "lr_scheduler_type": "constant_with_warmup",
        "ddp_backend": "gloo" if processes > 1 and not on_gpu else None,
        "bf16": on_gpu and not training["trainer"].get("fp16"),
        "gradient_checkpointing": on_gpu,
        "dataloader_pin_memory": on_gpu,
        "report_to": "none",
    }
    settings = {name: value for name, value in training["trainer"].items() if name != "model_init_kwargs"}
    return GRPOConfig(
        **ours | settings | vllm_settings(job),
        **{name: training[name] for name in ("loss_type", "beta", "epsilon", "epsilon_high", "num_iterations")},
        output_dir=str(Path(job["history"]).parent / "trainer"),
        num_train_epochs=1,  # order_of_prompts has them all
        shuffle_dataset=False,
        learning_rate=training["learning_rate"],
        warmup_steps=training["warmup"],
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=max(training["batch_size"] // (at_once * processes), 1),
        num_generations=group["samples"],
        max_completion_length=group["max_new_tokens"],
        temperature=group["temperature"],
        top_p=group["top_p"],
        top_k=group.get("top_k") or 0,
        min_p=group.get("min_p"),
        repetition_penalty=group.get("repetition_penalty") or 1.0,
        seed=job["seed"],
        data_seed=job["seed"],
        use_cpu=not on_gpu,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        save_strategy="no",  # save_by_the_clock says when
        eval_strategy="no",
    )


def vllm_settings(job: dict[str, Any]) -> dict[str, Any]:
    """Return TRL's settings of rollouts by vLLM, none where transformers samples them."""
    vllm = job["training"]["vllm"]
    if vllm is None:
        return {}
    return {
        "use_vllm": True,
        "vllm_mode": vllm["mode"],
        "vllm_server_base_url": vllm["base_url"],
        "vllm_gpu_memory_utilization": vllm["gpu_memory_utilization"],
        "vllm_tensor_parallel_size": vllm["tensor_parallel_size"],
        "vllm_max_model_length": job["prompt_tokens"] + job["training"]["rollouts"]["max_new_tokens"],
    }


def order_of_prompts(prompts: int, training: dict[str, Any], seed: int) -> list[int]:
    """Return the prompts of all steps by their place: each epoch in an order of its own, all by the seed.

    Steps of ``num_iterations`` share their prompts. Raises RefusedError where there is no prompt.
    """
    import numpy as np

    if not prompts:
        raise RefusedError("there is no prompt to write rollouts to")
    a_step = training["batch_size"] // training["rollouts"]["samples"]
    wanted = max(round(training["epochs"] * prompts / a_step), 1) * a_step
    rng = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < wanted:
        order += rng.permutation(prompts).tolist()
    return order[:wanted]


def write_prompts(rows: Path, path: Path) -> None:
    """Write the rows of a Parquet file as the Arrow file that a data set reads by memory map, their chats as ``prompt``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(rows)
    schema = pa.schema(
        [("prompt" if field.name == "messages" else field.name, field.type) for field in file.schema_arrow]
    )
    with pa.OSFile(str(path), "wb") as written, pa.ipc.new_stream(written, schema) as stream:
        for batch in file.iter_batches():
            stream.write_batch(batch.rename_columns(schema.names))


def last_rollouts(trainer: Any) -> list[Target]:
    """Return a few rollouts of the last step, as tokens, the shortest."""
    import pyarrow.parquet as pq

    path = max(trainer.rollouts.folder.glob("step-*-of-0.parquet"))
    rows = pq.read_table(path, columns=["messages", "text"]).to_pylist()
    shortest = sorted(rows, key=lambda row: len(row["messages"]) + len(row["text"]))[:ROWS]
    return [trainer.targets.target(json.loads(row["messages"]), row["text"]) for row in shortest]


if __name__ == "__main__":
    end_with_stdin()
    try:
        train(json.loads(Path(sys.argv[1]).read_text()))
    except RefusedError as refused:
        sys.exit(str(refused))
    leave()
