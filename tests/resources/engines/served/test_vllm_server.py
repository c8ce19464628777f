"""A real `vllm serve` on the CPU with a small model that thinks, with and without a reasoning parser. `make test-vllm`."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsr_dagster.experiment.engines import OpenAI
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import direct_messages
from resources.engines.base import Request, sample_seed
from resources.engines.served.engine import OpenAIEngine
from tests.resources.engines.served.vllm_server import serving
from tests.small_model import train_small_model

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make test-vllm"),
]
END = "</think>"
SETTINGS = RolloutSettings(temperature=0.7, max_new_tokens=40)
GREEDY = RolloutSettings(temperature=0, max_new_tokens=40)
# A folder that asks for what nobody asked for here.
FOLDER_ASKS = {"repetition_penalty": 1.5, "top_k": 1, "temperature": 0.1, "do_sample": True}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("thinking")
    train_small_model(folder, thinks=True)
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **FOLDER_ASKS}))
    return folder


@pytest.fixture(scope="module")
def parsing(model) -> Iterator[str]:
    with serving(model, "small", 512, "--dtype", "float32", "--reasoning-parser", "deepseek_r1") as url:
        yield url


@pytest.fixture(scope="module")
def plain(model) -> Iterator[str]:
    with serving(model, "small", 512, "--dtype", "float32") as url:
        yield url


def requests(count: int, samples: int) -> list[Request]:
    return [
        Request(
            f"r{left}",
            direct_messages(f"State the final answer to the following arithmetic problem: {left} + 4 ="),
            tuple(range(samples)),
            tuple(sample_seed("f", f"r{left}", index) for index in range(samples)),
        )
        for left in range(1, count + 1)
    ]


def drawn(url: str, settings: RolloutSettings, samples: int, **options):
    served = OpenAIEngine(OpenAI(kind="openai", base_url=url, model="small", **options), thinking_end=END)
    found = {(s.request_id, s.index): s for out in served.sample(requests(6, samples), settings) for s in out}
    return served, found


def test_thinking_in_a_field_and_within_the_text_is_stored_alike(parsing, plain, model):
    from resources.engines.transformers import TransformersEngine

    (apart, of_field), (within, of_text) = drawn(parsing, GREEDY, 1), drawn(plain, GREEDY, 1)
    assert (apart.model.reading.thinking_apart, within.model.reading.thinking_apart) == (True, False)
    embedded = TransformersEngine(model, None, batch_size=8)
    theirs = {s.request_id: s for out in embedded.sample(requests(6, 1), GREEDY) for s in out}
    for (name, _), sample in of_text.items():
        thinking, end, answer = sample.text.partition(END)
        assert (end, "\\boxed{" in answer, thinking.startswith("<think>")) == (END, True, True)
        other = of_field[name, 0]
        assert other.text.split() == f"{thinking.removeprefix('<think>')}\n{END}\n\n{answer}".split()
        assert other.generated_tokens == sample.generated_tokens
        assert theirs[name].text.rpartition("</think>")[2].strip().endswith(answer.strip())


def test_several_samples_come_of_one_request_with_the_seeds_of_vllm(parsing):
    served, samples = drawn(parsing, SETTINGS, 6, n=6)
    assert served.model.form.several
    assert len(samples) == 36
    assert len({sample.text for sample in samples.values()}) > 12, "top_k: 1 of the model's folder is off"
    again = drawn(parsing, SETTINGS, 6, n=6)[1]
    assert {key: s.text for key, s in again.items()} == {key: s.text for key, s in samples.items()}


def test_the_server_counts_tokens_and_says_its_context(parsing):
    served, samples = drawn(parsing, GREEDY, 1)
    assert (served.context, served.counts_by) == (512, "the server's tokenizer")
    asked = requests(6, 1)[0]
    assert served.prompt_tokens(asked.messages) == samples["r1", 0].prompt_tokens
    assert served.detokenize(served.tokenize("State the final answer")) == "State the final answer"


def test_a_prompt_over_the_context_is_a_sample_without_an_answer(parsing):
    served = OpenAIEngine(OpenAI(kind="openai", base_url=parsing, model="small"), thinking_end=END)
    long = Request("long", direct_messages("State the final answer " * 400), (0,), (1,))
    got = {s.request_id: s for out in served.sample([long, *requests(2, 1)], GREEDY) for s in out}
    assert {name: s.finish_reason for name, s in got.items()} == {"long": "unasked", "r1": "stop", "r2": "stop"}


@pytest.mark.parametrize("budget", [2])
def test_thinking_is_ended_at_its_budget_and_the_model_answers(parsing, budget):
    settings = RolloutSettings(temperature=0, max_new_tokens=40, thinking_tokens=budget)
    free, forced = drawn(parsing, GREEDY, 1)[1], drawn(parsing, settings, 1)[1]
    for key, sample in forced.items():
        thinking, end, answer = sample.text.partition(END)
        assert end
        assert "\\boxed{" in answer
        assert len(thinking.split()) < len(free[key].text.partition(END)[0].split())
