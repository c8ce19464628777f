"""The transformers engine on a real small model."""

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import pytest

from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import refinement_messages
from resources.engines.base import Request, Sample
from resources.engines.decoding import NucleusSampler
from resources.engines.transformers import TransformersEngine
from tests.resources.engines.asked import small_request as request


@pytest.fixture(scope="module")
def engine(small_model) -> TransformersEngine:
    return TransformersEngine(small_model, None, batch_size=64)


def drawn(engine, requests, **settings) -> dict[tuple[str, int], str]:
    rollout = RolloutSettings(**{"temperature": 1.0, "max_new_tokens": 16, **settings})
    return {(s.request_id, s.index): s.text for finished in engine.sample(requests, rollout) for s in finished}


def samples(engine, requests, **settings) -> list[Sample]:
    rollout = RolloutSettings(**{"temperature": 1.0, "max_new_tokens": 16, **settings})
    return sorted((s for f in engine.sample(requests, rollout) for s in f), key=lambda s: (s.request_id, s.index))


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


def test_confidences_are_those_of_the_models_own_logits_and_change_no_text(engine):
    import torch

    asked = [request(number, samples=2) for number in range(1, 5)]
    plain = samples(engine, asked, repetition_penalty=1.3)
    with_logprobs = samples(engine, asked, repetition_penalty=1.3, logprobs=5)
    assert [s.text for s in with_logprobs] == [s.text for s in plain]
    assert all(s.confidences is None for s in plain)
    for sample in with_logprobs:
        prompt = engine.chat.prompt(next(r.messages for r in asked if r.id == sample.request_id))
        written = engine.tokenize(sample.text)
        with torch.inference_mode():
            logits = engine.model(input_ids=torch.tensor([prompt + written])).logits[0].float()
        of_places = torch.log_softmax(logits, dim=-1)[len(prompt) - 1 :].topk(5).values
        assert sample.confidences is not None
        assert len(sample.confidences) == sample.generated_tokens
        both = min(len(written), sample.generated_tokens)
        expected = (-of_places.mean(-1))[:both].tolist()
        assert list(sample.confidences[:both]) == pytest.approx(expected, rel=0.02)


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


@pytest.mark.parametrize(
    "settings",
    [{"top_k": 2}, {"min_p": 0.3}, {"top_k": 3, "min_p": 0.1, "top_p": 0.7}, {"top_k": 600}, {"min_p": 1e-9}],
)
def test_min_p_top_k_and_top_p_drop_what_vllm_drops(settings):
    import torch

    rollout = RolloutSettings(**{"temperature": 0.7, "top_p": 1.0, "max_new_tokens": 1, **settings})
    logits = torch.randn(1, 2000, generator=torch.Generator().manual_seed(0)) * 2
    # As vLLM's sampler: temperature, min-p, and top-k and top-p on what is left.
    expected = logits / rollout.temperature
    shares = expected.softmax(-1)
    expected[shares < (rollout.min_p or 0) * shares.max()] = float("-inf")
    ranked, order = expected.sort(descending=True)
    ranked[:, rollout.top_k or 2000 :] = float("-inf")
    before = ranked.softmax(-1).cumsum(-1) - ranked.softmax(-1)
    ranked[before >= rollout.top_p] = float("-inf")
    expected = torch.full_like(logits, float("-inf")).scatter(-1, order, ranked).softmax(-1)[0]

    draws = 4000
    sampler = NucleusSampler(rollout, range(draws), 1, "cpu")
    scores = sampler(torch.zeros(draws, 1, dtype=torch.long), logits.expand(draws, -1))
    shares = torch.bincount(scores.argmax(-1), minlength=2000) / draws
    assert not shares[expected == 0].any()
    assert torch.allclose(shares, expected, atol=0.03)


def test_the_repetition_penalty_is_that_of_plain_generate_and_padding_is_no_text(engine):
    import torch

    requests = [request(1, 1), Request("long", refinement_messages("What is 4 + 3?", ["Seven.", "7"]), (0,), (0,))]
    plain = {}
    for one in requests:
        ids = torch.tensor([engine.chat.prompt(one.messages)])
        with torch.inference_mode():
            out = engine.model.generate(ids, max_new_tokens=16, do_sample=False, repetition_penalty=1.7)
        plain[one.id, 0] = engine.detokenize(out[0, ids.shape[1] :].tolist())
    assert drawn(engine, requests, temperature=0, repetition_penalty=1.7) == plain
    assert drawn(engine, requests, temperature=0) != plain


def test_a_stop_string_ends_its_sample_and_no_other(engine):
    requests = [request(number) for number in range(1, 9)]
    whole = samples(engine, requests)
    stopped = samples(engine, requests, stop=["oxed{1", " is"], repetition_penalty=None)
    assert all(s.text == w.text.split(" is")[0] for s, w in zip(stopped, whole, strict=True))
    assert {s.finish_reason for s in stopped} == {"stop"}
    assert all(s.generated_tokens < w.generated_tokens for s, w in zip(stopped, whole, strict=True))
    some = samples(engine, requests, stop=["{1"])
    assert all(s.text == w.text.split("{1")[0] for s, w in zip(some, whole, strict=True))
    assert 0 < sum(s.text != w.text for s, w in zip(some, whole, strict=True)) < len(whole)
    assert all(
        (s.generated_tokens == w.generated_tokens) == (s.text == w.text) for s, w in zip(some, whole, strict=True)
    )


def copied(small_model: Path, folder: Path, **asked: object) -> Path:
    """The small model with other settings in its generation_config.json."""
    shutil.copytree(small_model, folder)
    file = folder / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **asked}))
    return folder


ASKED_BY_FOLDERS = [
    {"repetition_penalty": 3.0, "encoder_repetition_penalty": 2.0},
    {"no_repeat_ngram_size": 1, "encoder_no_repeat_ngram_size": 1},
    {"min_new_tokens": 12, "min_length": 900},
    {"suppress_tokens": list(range(60)), "begin_suppress_tokens": list(range(3, 600))},
    {"bad_words_ids": [[number] for number in range(3, 500)]},
    {"sequence_bias": [[[number], -20.0] for number in range(3, 300)]},
    {"guidance_scale": 9.0},
    {"exponential_decay_length_penalty": [1, 3.0]},
    {"forced_bos_token_id": 7, "forced_eos_token_id": 8},
    {"top_k": 1, "min_p": 0.9, "typical_p": 0.1, "epsilon_cutoff": 0.3, "eta_cutoff": 0.3, "top_h": 0.1},
    {"temperature": 0.01, "top_p": 0.01, "do_sample": True},
    {"num_beams": 4, "length_penalty": 3.0, "early_stopping": True},
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0},
    {"num_beams": 2, "constraints": [], "force_words_ids": [[9]]},
    {"num_return_sequences": 3, "do_sample": True},
    {"stop_strings": ["answer", "is"]},
    {"max_length": 5, "max_new_tokens": 1, "max_time": 1e-9},
    {"penalty_alpha": 0.6, "top_k": 4},
    {"dola_layers": "high"},
    {"prompt_lookup_num_tokens": 3},
    {"watermarking_config": {"greenlist_ratio": 0.25, "bias": 9.0}},
    {"use_cache": False, "cache_implementation": "static", "return_dict_in_generate": True, "output_scores": True},
    {"renormalize_logits": True, "remove_invalid_values": True, "token_healing": True, "made_up": 1},
]


@pytest.mark.parametrize("asked", ASKED_BY_FOLDERS, ids=lambda asked: "+".join(asked))
def test_what_a_models_folder_asks_for_changes_no_text(engine, small_model, tmp_path, asked):
    other = TransformersEngine(copied(small_model, tmp_path / "model", **asked), None, batch_size=64)
    requests = [request(number, 2) for number in range(1, 4)]
    assert samples(other, requests) == samples(engine, requests)
    assert samples(other, requests, temperature=0) == samples(engine, requests, temperature=0)


def test_the_stop_tokens_of_the_config_the_generation_config_and_the_tokenizer_count(engine, small_model, tmp_path):
    (whole,) = samples(engine, [request(1, 1)], temperature=0)
    first, second, *_ = engine.tokenize(whole.text)
    by_file = copied(small_model, tmp_path / "a", eos_token_id=[second, 0])
    assert samples(TransformersEngine(by_file, None, 4), [request(1, 1)], temperature=0)[0].generated_tokens == 2
    by_config = copied(small_model, tmp_path / "b")
    config = json.loads((by_config / "config.json").read_text())
    (by_config / "config.json").write_text(json.dumps({**config, "eos_token_id": first}))
    (sample,) = samples(TransformersEngine(by_config, None, 4), [request(1, 1)], temperature=0)
    assert (sample.text, sample.finish_reason, sample.generated_tokens) == ("", "stop", 1)
    assert whole.finish_reason == "stop", "by the tokenizer's"


def thinker(small_model: Path, thinking_end: str) -> TransformersEngine:
    return TransformersEngine(small_model, None, 64, thinking_end=thinking_end)


@pytest.mark.parametrize(
    "marker", ["</think>", "<|user|>", "\n<|user|>\n\n"], ids=["several", "special", "partly special"]
)
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_thinking_that_reaches_its_budget_is_ended_and_answered(engine, small_model, marker, temperature):
    requests = [request(number) for number in range(1, 5)]
    free = samples(engine, requests, temperature=temperature)
    own = thinker(small_model, marker)
    length = len(own.tokenize(marker))
    settings = {"temperature": temperature, "thinking_tokens": 4, "max_new_tokens": 4 + length + 6}
    ended = samples(own, requests, **settings)
    for sample, unbounded in zip(ended, free, strict=True):
        thinking, end, answer = sample.text.partition(marker)
        assert end
        assert unbounded.text.startswith(thinking)
        assert len(own.tokenize(thinking)) == 4
        assert 4 + length < sample.generated_tokens <= 4 + length + 6
        assert sample.finish_reason == "stop" or sample.generated_tokens == 4 + length + 6
        assert len(own.tokenize(answer)) <= 6
    assert samples(own, list(reversed(requests)), **settings) == ended


def test_thinking_that_ended_by_itself_before_its_budget_is_left_alone(small_model):
    own = thinker(small_model, "answer")  # which stands early in most of its texts
    requests = [request(number) for number in range(1, 9)]
    free = samples(own, requests, max_new_tokens=20)
    assert samples(own, requests, max_new_tokens=20, thinking_tokens=6) == free
    bounded = samples(own, requests, max_new_tokens=20, thinking_tokens=1)
    assert all("answer" in sample.text for sample in bounded)
    assert bounded != free


def test_a_model_that_does_not_think_has_no_budget(engine):
    requests = [request(number) for number in range(1, 4)]
    assert samples(engine, requests, thinking_tokens=2) == samples(engine, requests)


def test_an_engine_knows_its_context_and_counts_what_it_reads(engine):
    messages = request(1).messages
    assert engine.context == 1024
    assert engine.counts_by == "the model's tokenizer"
    assert engine.prompt_tokens(messages) == len(
        engine.tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    )
