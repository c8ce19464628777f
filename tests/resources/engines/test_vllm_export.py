"""An exported adapter in vLLM as anybody would load it there: its answers are those of this project's engine."""

import importlib.util

import pytest

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import lora_room
from tests.exported import trained_and_exported
from tests.resources.engines.asked import requests

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make test-vllm"),
]
GREEDY = RolloutSettings(temperature=0, max_new_tokens=12)


def test_vllm_answers_with_an_exported_adapter_as_the_embedded_engine_does(small_model, tmp_path, monkeypatch):
    """In float32, in which neither the live adapter nor the merged one is rounded."""
    import torch

    from resources.engines.transformers import TransformersEngine
    from resources.engines.vllm import prepare_cpu

    trained, exported = trained_and_exported(monkeypatch, tmp_path, small_model, f"path:{small_model}")
    monkeypatch.setattr("resources.engines.cpu.native_dtype", lambda: torch.float32)
    asked = requests(8, 1)

    def ours(adapter) -> list[str]:
        engine = TransformersEngine(small_model, adapter, batch_size=8)
        texts = {s.request_id: s.text for samples in engine.sample(asked, GREEDY) for s in samples}
        return [texts[request.id] for request in asked]

    taught, untaught = ours(trained), ours(None)
    prepare_cpu()
    from vllm import LLM, SamplingParams  # pyright: ignore
    from vllm.lora.request import LoRARequest  # pyright: ignore

    model = LLM(
        model=str(small_model),
        dtype="float32",
        enable_lora=True,
        max_lora_rank=lora_room(exported),
        max_model_len=1024,
        gpu_memory_utilization=0.3,
        enforce_eager=True,
    )
    answered = model.chat(
        [request.messages for request in asked],
        SamplingParams(temperature=0, max_tokens=GREEDY.max_new_tokens),
        lora_request=LoRARequest("student", 1, str(exported)),
        chat_template=(exported / "chat_template.jinja").read_text(),
        use_tqdm=False,
    )
    model.llm_engine.engine_core.shutdown()
    assert [output.outputs[0].text for output in answered] == taught
    assert taught != untaught
