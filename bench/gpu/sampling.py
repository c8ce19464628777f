"""What `bench.gpu` measures of sampling: this project's engines, and the bare ones on the same requests, without their start."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.gpu.inputs import LONGEST, on_gpu, prompts, sizes

SAMPLES = 8
PORT = 8765


def sampled(engine: Any) -> dict[str, float]:
    """Measure the tokens a second of an engine of this project."""
    from gsr_dagster.experiment.settings import RolloutSettings
    from resources.engines.base import Request

    amount = sizes()
    rollout = RolloutSettings(temperature=1.0, max_new_tokens=amount["tokens"])
    requests = [
        Request(str(n), chat, tuple(range(SAMPLES)), tuple(range(n * SAMPLES, (n + 1) * SAMPLES)))
        for n, chat in enumerate(prompts(amount["prompts"]))
    ]
    list(engine.sample(requests[:1], rollout))  # kernels are made and captured
    started = time.perf_counter()
    tokens = sum(sample.generated_tokens for part in engine.sample(requests, rollout) for sample in part)
    return {"tokens_per_second": tokens / (time.perf_counter() - started)}


def transformers_engine(folder: Path) -> dict[str, float]:
    from resources.engines.transformers import TransformersEngine

    return sampled(TransformersEngine(folder, None, batch_size=sizes()["prompts"] * SAMPLES))


def bare_transformers(folder: Path) -> dict[str, float]:
    """Measure `generate` on the same prompts, all in one batch."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    amount, device = sizes(), "cuda" if on_gpu() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to(device).eval()
    batch = tokenizer.apply_chat_template(
        prompts(amount["prompts"]), add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
    ).to(device)
    settings = {
        "do_sample": True,
        "top_p": 0.95,
        "num_return_sequences": SAMPLES,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.inference_mode():
        model.generate(**batch, **settings, max_new_tokens=4)
        started = time.perf_counter()
        ids = model.generate(**batch, **settings, max_new_tokens=amount["tokens"])
        new = ids[:, batch["input_ids"].shape[1] :]
        tokens = int((new != tokenizer.pad_token_id).sum())
    return {"tokens_per_second": tokens / (time.perf_counter() - started)}


VLLM = {"gpu_memory_utilization": 0.6, "max_model_len": LONGEST}


def vllm_engine(folder: Path) -> dict[str, float]:
    from gsr_dagster.experiment import engines
    from resources.engines.vllm import VLLMEngine

    return sampled(VLLMEngine(folder, None, engines.VLLM(kind="vllm", **VLLM)))


def bare_vllm(folder: Path) -> dict[str, float]:
    """Measure `LLM.generate` on the same prompts."""
    if not on_gpu():
        from resources.engines.vllm import prepare_cpu

        prepare_cpu()
    from vllm import LLM, SamplingParams  # pyright: ignore

    amount = sizes()
    llm = LLM(str(folder), **VLLM, **({} if on_gpu() else {"enforce_eager": True, "enable_chunked_prefill": False}))
    tokenizer = llm.get_tokenizer()
    chats = [
        {
            "prompt_token_ids": tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)[
                "input_ids"
            ]
        }
        for chat in prompts(amount["prompts"])
    ]
    settings = [
        SamplingParams(n=SAMPLES, seed=n, temperature=1.0, top_p=0.95, max_tokens=amount["tokens"])
        for n in range(len(chats))
    ]
    llm.generate(chats[:1], settings[:1], use_tqdm=False)
    started = time.perf_counter()
    outputs = llm.generate(chats, settings, use_tqdm=False)
    tokens = sum(len(completion.token_ids) for output in outputs for completion in output.outputs)
    return {"tokens_per_second": tokens / (time.perf_counter() - started)}


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[str]:
    """Serve the model by `vllm serve`, and yield its address."""
    import requests

    command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(folder), "--port", str(PORT)]
    command += ["--served-model-name", "model", "--max-model-len", str(LONGEST), "--gpu-memory-utilization", "0.6"]
    if not on_gpu():
        command += ["--enforce-eager", "--no-enable-chunked-prefill"]
    address = f"http://127.0.0.1:{PORT}"
    with subprocess.Popen([*command, *arguments], stdout=sys.stderr) as process:
        try:
            while process.poll() is None:
                try:
                    if requests.get(f"{address}/health", timeout=5).ok:
                        break
                except requests.ConnectionError:
                    time.sleep(0.5)
            yield f"{address}/v1"
        finally:
            process.terminate()


def served_engine(folder: Path, model: str = "model", *arguments: str) -> dict[str, float]:
    """Measure the engine `openai`, and the bare client on the same requests of the same server."""
    from gsr_dagster.experiment.engines import OpenAI
    from resources.engines.served.engine import OpenAIEngine

    with served(folder, *arguments) as address:
        settings = OpenAI(kind="openai", base_url=address, model=model, concurrency=64)
        ours = sampled(OpenAIEngine(settings))
        return {**ours, "bare": bare_client(address, model)}


def bare_client(address: str, model: str) -> float:
    """Return the tokens a second of OpenAI's own client, 64 requests at once."""
    from concurrent.futures import ThreadPoolExecutor

    from openai import OpenAI

    amount, client = sizes(), OpenAI(base_url=address, api_key="none")

    def ask(number: int, chat: Any) -> int:
        completion = client.chat.completions.create(
            model=model, messages=chat, n=SAMPLES, seed=number, temperature=1.0, top_p=0.95, max_tokens=amount["tokens"]
        )
        return completion.usage.completion_tokens if completion.usage else 0

    with ThreadPoolExecutor(64) as threads:
        started = time.perf_counter()
        tokens = sum(threads.map(ask, range(amount["prompts"]), prompts(amount["prompts"])))
        return tokens / (time.perf_counter() - started)


def student(folder: Path) -> dict[str, float]:
    """Measure an adapter that `vllm serve` loads beside its base."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    adapter = folder.parent / "adapter"
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype="auto"), config).save_pretrained(adapter)
    return served_engine(folder, "student", "--enable-lora", "--lora-modules", f"student={adapter}")
