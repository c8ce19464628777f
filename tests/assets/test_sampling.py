"""Samples as an artifact counts them, and chats that show candidates within a model's context."""

import logging
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assets.sampling import candidates_chat, count_samples, draw_samples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.candidate_choice import selection_messages
from gsr_dagster.method.prompting.prompts import refinement_messages
from resources.engines.base import UNASKED, Sample
from resources.engines.sample_log import Prompt
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe

RECIPE = Recipe(ArtifactKey("teacher_solutions", "s"), settings={})
ROLLOUT = {"temperature": 1.0, "max_new_tokens": 50}
EXPERIMENT = {
    "name": "said",
    "benchmarks": {"sums": {"source": "reasoning-gym:chain_sum", "problems": 2, "samples": 4}},
    "families": {"gpt": {"4o": {"engine": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "m"}}}},
    "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 5000},
}


class Says:
    """Answers each prompt with the texts and finish reasons that it is given; a token is a character."""

    counts_by = "characters"
    notes = MappingProxyType({})

    def __init__(self, said: list[tuple[str, str]] = (), context: int | None = None, **notes: str):
        self.said, self.context, self.notes = list(said), context, notes
        self.counted = 0

    def sample(self, requests, settings):
        for request in requests:
            drawn = zip(request.indices, request.seeds, strict=True)
            yield [Sample(request.id, index, seed, *self.said[index], 5, 3) for index, seed in drawn]

    def prompt_tokens(self, messages):
        self.counted += 1
        return sum(len(message["content"]) for message in messages)

    def tokenize(self, text):
        return [ord(character) for character in text]

    def detokenize(self, tokens):
        return "".join(map(chr, tokens))


@pytest.fixture
def store(tmp_path) -> ArtifactStore:
    return ArtifactStore(root=str(tmp_path))


def summary(store: ArtifactStore, *said: tuple[str, str], **notes: str) -> dict:
    prompts = [Prompt("p", [{"role": "user", "content": "1 + 1?"}], len(said))]
    settings = RolloutSettings.model_validate(ROLLOUT)
    return draw_samples(store, RECIPE, prompts, "solution_id", settings, lambda: Says(list(said), **notes)).summary


def test_samples_that_end_as_they_should_are_counted_as_ever(store, caplog):
    said = summary(store, ("a", "stop"), ("b", "length"), ("c", "eos_token"), ("d", "MAX_TOKENS"))
    drawn_with = {"counted_by": "characters"}
    assert said == {"samples": 4, "generated_tokens": 12, "truncated": 2, **drawn_with}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_refusals_empty_answers_and_what_broke_off_are_counted_and_named(store, caplog):
    said = summary(
        store,
        ("a", "stop"),
        ("", "stop"),
        (" \n\u2003", "length"),
        ("I cannot help with that.", "refusal"),
        ("half a", "content_filter"),
        ("half b", "content_filter"),
        ("half c", "abort"),
        ("", UNASKED),
    )
    assert (said["samples"], said["truncated"], said["refusals"]) == (8, 1, 1)
    assert (said["empty_answers"], said["unasked"]) == (2, 1)
    assert said["broken_off"] == {"abort": 1, "content_filter": 2}
    assert "of 8 samples, 1 refusals, 2 empty answers, 1 unasked, 1 broken off (abort), 2 broken" in caplog.text


@given(st.lists(st.sampled_from(["stop", "length", "refusal", "abort", "error", "tool_calls", "unknown"]), min_size=1))
def test_every_sample_has_one_ending(tmp_path_factory, reasons):
    store = ArtifactStore(root=str(tmp_path_factory.mktemp("store")))
    said = summary(store, *(("text", reason) for reason in reasons))
    others = said.get("refusals", 0) + sum(said.get("broken_off", {}).values())
    assert said["truncated"] + others == len(reasons) - reasons.count("stop")


def test_what_counted_the_tokens_is_said_whoever_drew_them(store):
    first = summary(store, ("a", "stop"), thinking="a field of its own")
    assert (first["counted_by"], first["notes"]) == ("characters", {"thinking": "a field of its own"})
    assert summary(store, ("a", "stop"), thinking="not asked") == first, "nothing was drawn"
    both = summary(store, ("a", "stop"), ("b", "stop"), thinking="in the text")
    assert both["notes"] == {"thinking": "a field of its own; in the text"}


def test_samples_of_before_are_counted_too(store):
    old = {"finish_reason": "stop", "generated_tokens": 7, "text": "a"}
    assert count_samples(store, RECIPE, [store.put_shard(RECIPE, [old])]) == {
        "samples": 1,
        "generated_tokens": 7,
        "truncated": 0,
    }


def chat(engine: Says, *summaries: str | None, budget: int = 5000, write=refinement_messages) -> tuple[list, int]:
    evaluation = {**EXPERIMENT["evaluation"], "candidate_tokens": budget}
    experiment = Experiment.model_validate({**EXPERIMENT, "evaluation": evaluation})
    return candidates_chat(experiment, engine, experiment.evaluation.refinement, "What is 1 + 1?", summaries, write)


def test_without_a_known_context_candidates_have_their_budget():
    engine = Says()
    messages, cut = chat(engine, "a" * 3000, "b" * 10)
    assert (cut, messages[0]["content"].count("a" * 2500), engine.counted) == (1, 1, 0)


def test_in_a_long_context_nothing_is_counted_and_nothing_cut():
    engine = Says(context=100_000)
    assert chat(engine, "a" * 2000, "b" * 2000) == chat(Says(), "a" * 2000, "b" * 2000)
    assert engine.counted == 0


@example([262, 262, 262, 266], 1600, refinement_messages)
@given(
    lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=6),
    context=st.integers(1600, 9000),
    write=st.sampled_from([refinement_messages, selection_messages]),
)
def test_candidates_are_shortened_until_the_prompt_leaves_room_for_the_answer(lengths, context, write):
    engine = Says(context=context)
    summaries = ["x" * length or None for length in lengths]
    messages, cut = chat(engine, *summaries, write=write)
    assert engine.prompt_tokens(messages) <= context - ROLLOUT["max_new_tokens"]
    whole, already = chat(Says(), *summaries, write=write)
    if engine.prompt_tokens(whole) <= context - ROLLOUT["max_new_tokens"]:
        assert (messages, cut) == (whole, already)
    else:
        assert cut >= 1


def test_where_the_answer_would_take_the_context_candidates_keep_half_of_it():
    engine = Says(context=3000)
    experiment = Experiment.model_validate(EXPERIMENT)
    rollout = RolloutSettings(temperature=1, max_new_tokens=3000)
    messages, cut = candidates_chat(experiment, engine, rollout, "What is 1 + 1?", ["a" * 2000, "b" * 2000])
    rest = engine.prompt_tokens(refinement_messages("What is 1 + 1?", ["… "] * 2))
    assert cut == 2
    assert rest + (3000 - rest) * 0.4 < engine.prompt_tokens(messages) <= rest + (3000 - rest) / 2


def test_a_problem_over_the_context_leaves_each_candidate_a_token():
    messages, cut = chat(Says(context=100), "a" * 2000, "b" * 2000)
    assert cut == 2
    assert messages[0]["content"].endswith("Candidate Response 1:\n… a\n\nCandidate Response 2:\n… b")
