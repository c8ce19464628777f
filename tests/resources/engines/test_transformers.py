"""The transformers engine on a real small model."""

import math
from collections import Counter

import pytest

from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompts import direct_messages, refinement_messages
from resources.engines.base import Request, sample_seed
from resources.engines.decoding import NucleusSampler
from resources.engines.transformers import TransformersEngine


@pytest.fixture(scope="module")
def engine(small_model) -> TransformersEngine:
    return TransformersEngine(small_model, None, batch_size=64)


def request(number: int, samples: int = 4) -> Request:
    problem = f"State the final answer to the following arithmetic problem: {number} + 3 ="
    seeds = tuple(sample_seed("fingerprint", str(number), index) for index in range(samples))
    return Request(str(number), direct_messages(problem), tuple(range(samples)), seeds)


def drawn(engine, requests, **settings) -> dict[tuple[str, int], str]:
    rollout = RolloutSettings(**{"temperature": 1.0, "max_new_tokens": 16, **settings})
    return {(s.request_id, s.index): s.text for finished in engine.sample(requests, rollout) for s in finished}


def test_a_sample_is_decided_by_its_seed_and_not_by_what_stands_beside_it(engine):
    requests = [request(number) for number in range(1, 9)]
    together = drawn(engine, requests)
    assert drawn(engine, list(reversed(requests))) == together
    alone: dict[tuple[str, int], str] = {}
    for one in requests:
        alone |= drawn(engine, [one])
    agree = sum(alone[key] == together[key] for key in together)
    # Another batch shape rounds differently, so a draw at the edge of a token may fall on the other side.
    assert agree >= 0.9 * len(together)
    assert len(set(together.values())) > 4


def test_the_shared_prefill_gives_what_plain_generate_gives(engine):
    import torch

    prompts = [request(number).messages for number in range(1, 7)]
    prompts.append(refinement_messages("What is 4 + 3?", ["The answer is \\boxed{7}.", "The answer is \\boxed{9}."]))
    requests = [Request(str(i), messages, (0, 1), (i, i + 1)) for i, messages in enumerate(prompts)]
    ours = drawn(engine, requests, temperature=0)
    for i, messages in enumerate(prompts):
        ids = engine.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        with torch.inference_mode():
            plain = engine.model.generate(**ids, max_new_tokens=16, do_sample=False)
        text = engine.detokenize(plain[0, ids["input_ids"].shape[1] :].tolist())
        assert ours[str(i), 0] == ours[str(i), 1] == text


def test_a_sample_that_the_limit_cuts_off_says_so_and_tokens_are_counted(engine):
    settings = RolloutSettings(temperature=1.0, max_new_tokens=3)
    samples = [s for finished in engine.sample([request(2)], settings) for s in finished]
    assert {s.finish_reason for s in samples} == {"length"}
    assert {s.generated_tokens for s in samples} == {3}
    settings = RolloutSettings(temperature=1.0, max_new_tokens=32)
    samples = [s for finished in engine.sample([request(2)], settings) for s in finished]
    assert {s.finish_reason for s in samples} == {"stop"}
    assert all(s.prompt_tokens == engine.prompt_tokens(request(2).messages) for s in samples)


def test_a_request_larger_than_a_batch_is_split_and_comes_back_whole(engine):
    samples = drawn(engine, [request(3, samples=150)])
    assert sorted(index for _, index in samples) == list(range(150))


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.6)])
def test_the_sampler_draws_from_the_nucleus_of_the_distribution(temperature, top_p):
    import torch

    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    draws = 4000
    settings = RolloutSettings(temperature=temperature, top_p=top_p, max_new_tokens=1)
    sampler = NucleusSampler(settings, range(draws), 1, "cpu")
    scores = sampler(torch.zeros(draws, 1, dtype=torch.long), logits.expand(draws, -1))
    counts = Counter(scores.argmax(-1).tolist())

    weights = [math.exp(value / temperature) for value in logits.tolist()]
    shares = [weight / sum(weights) for weight in weights]
    nucleus = [share if sum(shares[:rank]) < top_p else 0 for rank, share in enumerate(shares)]
    for token, share in enumerate(nucleus):
        assert counts[token] / draws == pytest.approx(share / sum(nucleus), abs=0.03)
