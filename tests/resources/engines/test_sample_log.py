"""The sample log, with an engine at its boundary that answers by rule: what is asked for is what is tested."""

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import UNASKED, Sample, surely_within
from resources.engines.sample_log import Prompt, adopt_shards, complete_samples
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe

SETTINGS = RolloutSettings(temperature=1.0, max_new_tokens=8)
RECIPE = Recipe(ArtifactKey("base/candidate_pools", "sums|m"), settings={})


class Echo:
    """Answers with prompt, index and seed, in lists of four; stops like a killed run after ``most`` of them."""

    counts_by = "characters"
    notes = MappingProxyType({})

    def __init__(self, most: int = 10**6, context: int | None = None, notes: dict[str, str] | None = None):
        self.most = most
        self.context = context
        self.notes = notes or {}
        self.drawn: list[tuple[str, int]] = []

    def prompt_tokens(self, messages):
        return sum(len(message["content"]) for message in messages)

    def sample(self, requests, settings):
        flat = [(r, i, s) for r in requests for i, s in zip(r.indices, r.seeds, strict=True)]
        for start in range(0, len(flat), 4):
            if len(self.drawn) >= self.most:
                raise KeyboardInterrupt
            batch = flat[start : start + 4]
            self.drawn += [(r.id, i) for r, i, _ in batch]
            yield [Sample(r.id, i, s, f"{r.id} {i} {s}", "stop", 5, 3) for r, i, s in batch]


@pytest.fixture
def store(tmp_path) -> ArtifactStore:
    return ArtifactStore(root=str(tmp_path))


def prompts(samples: int = 4, problems: int = 10, wording: str = "solve") -> list[Prompt]:
    return [
        Prompt(f"m/p{i}", [{"role": "user", "content": f"{wording} {i}"}], samples, {"problem_id": f"p{i}"})
        for i in range(problems)
    ]


def complete(store, wanted, engine):
    shards = complete_samples(store, RECIPE, wanted, "candidate_id", SETTINGS, lambda: engine)
    store.publish(RECIPE, shards, {}, replaced=store.manifest(RECIPE.key))
    return {row["candidate_id"]: row for row in store.read(RECIPE.key)}


def test_every_sample_is_drawn_once_and_joins_by_its_ids(store):
    rows = complete(store, prompts(), Echo())
    assert sorted(rows) == sorted(f"m/p{i}/{j}" for i in range(10) for j in range(4))
    assert rows["m/p3/2"]["problem_id"] == "p3"


def test_raising_n_draws_only_the_new_samples(store):
    before = complete(store, prompts(samples=4), Echo())
    engine = Echo()
    after = complete(store, prompts(samples=8), engine)
    assert len(engine.drawn) == 40
    assert all(index >= 4 for _, index in engine.drawn)
    assert {name: after[name] for name in before} == before


def test_nothing_is_loaded_where_nothing_is_missing(store):
    complete(store, prompts(), Echo())
    complete_samples(store, RECIPE, prompts(), "candidate_id", SETTINGS, lambda: pytest.fail("loaded a model"))


def test_a_killed_run_goes_on_and_ends_with_the_same_manifest(store, tmp_path, monkeypatch):
    monkeypatch.setattr("resources.engines.sample_log.SHARD_SAMPLES", 8)
    with monkeypatch.context() as killed:
        killed.setattr(
            "resources.engines.sample_log.write_unfinished_shard", lambda *_: None
        )  # it has no time for that
        with pytest.raises(KeyboardInterrupt):
            complete(store, prompts(), Echo(most=20))
    engine = Echo()
    complete(store, prompts(), engine)
    assert len(engine.drawn) == 40 - 16
    whole = ArtifactStore(root=str(tmp_path / "uninterrupted"))
    complete(whole, prompts(), Echo())
    assert store.data_version(RECIPE.key) == whole.data_version(RECIPE.key)


@pytest.mark.parametrize("most", [4, 8, 20, 36])
def test_a_stopped_run_keeps_all_that_was_drawn_and_draws_nothing_twice(store, tmp_path, monkeypatch, most):
    monkeypatch.setattr("resources.engines.sample_log.SHARD_SAMPLES", 16)
    stopped, engine = Echo(most=most), Echo()
    with pytest.raises(KeyboardInterrupt):
        complete(store, prompts(), stopped)
    rows = complete(store, prompts(), engine)
    assert sorted(stopped.drawn + engine.drawn) == [(f"m/p{i}", j) for i in range(10) for j in range(4)]
    assert rows == complete(ArtifactStore(root=str(tmp_path / "uninterrupted")), prompts(), Echo())


class FailsOnTheWay(Echo):
    def __init__(self, reason: type[BaseException]):
        super().__init__()
        self.reason = reason

    def sample(self, requests, settings):
        yield next(super().sample(requests, settings))
        raise self.reason


@pytest.mark.parametrize("reason", [KeyboardInterrupt, SystemExit, MemoryError, RuntimeError])
def test_whatever_ends_a_run_what_was_drawn_is_kept(store, reason):
    with pytest.raises(reason):
        complete(store, prompts(), FailsOnTheWay(reason))
    engine = Echo()
    complete(store, prompts(), engine)
    assert len(engine.drawn) == 40 - 4


def test_where_what_was_drawn_cannot_be_kept_the_first_error_is_told(store, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ArtifactStore, "put_shard", full)
    with pytest.raises(KeyboardInterrupt):
        complete(store, prompts(), Echo(most=8))
    assert "8 samples that were drawn are lost: [Errno 28] No space left on device" in caplog.text


def test_only_a_damaged_shard_is_drawn_again(store, monkeypatch, caplog):
    monkeypatch.setattr("resources.engines.sample_log.SHARD_SAMPLES", 8)
    before = complete(store, prompts(), Echo())
    damaged = Path(store.address(RECIPE, store.shard_names(RECIPE)[2]))
    damaged.write_bytes(damaged.read_bytes()[:50])
    engine = Echo()
    assert complete(store, prompts(), engine) == before
    assert len(engine.drawn) == 8
    assert f"{damaged.name} is damaged" in caplog.text


def test_samples_of_a_changed_prompt_are_drawn_again(store, caplog):
    complete(store, prompts(), Echo())
    engine = Echo()
    complete(store, prompts(wording="please solve"), engine)
    assert len(engine.drawn) == 40
    assert "the prompt of m/p0 has changed" in caplog.text


def test_a_partition_of_the_same_fingerprint_is_copied_and_not_drawn_again(store, monkeypatch):
    monkeypatch.setattr("resources.engines.sample_log.SHARD_SAMPLES", 8)
    complete(store, prompts(), Echo())
    other = replace(RECIPE, key=ArtifactKey(RECIPE.key.asset, "sums|twin"))
    adopt_shards(store, other, ["sums|nobody", "sums|m"])
    assert store.shard_names(other) == store.shard_names(RECIPE)
    for name in store.shard_names(other)[1:3]:  # as if a kill had come before they were copied
        store.drop_file(other, name)
    adopt_shards(store, other, ["sums|nobody", "sums|m"])
    assert store.shard_names(other) == store.shard_names(RECIPE)
    adopt_shards(store, replace(other, settings={"temperature": 1}), ["sums|m"])
    assert not store.shard_names(replace(other, settings={"temperature": 1}))


def test_what_two_runs_drew_at_once_counts_once_as_it_was_published(store):
    first = complete(store, prompts(samples=4), Echo())
    other = [{**row, "text": "of another run"} for row in first.values()]
    unpublished = store.put_shard(RECIPE, [*other, {**other[0], "sample_index": 4, "candidate_id": "m/p0/4"}])
    engine = Echo()
    after = complete(store, prompts(samples=5), engine)
    assert len(engine.drawn) == 9
    assert {name: after[name] for name in first} == first
    assert after["m/p0/4"]["text"] == "of another run"
    assert len(store.read(RECIPE.key)) == 50
    assert unpublished.name not in {shard.name for shard in store.existing(RECIPE.key).shards}


# Prompts over the context. A prompt of these tests is "solve 3", 7 characters, or longer where its wording is.


def mixed(long: str = "a long question " * 10, samples: int = 2) -> list[Prompt]:
    short, over = prompts(samples, problems=3), prompts(samples, problems=4, wording=long)[-1:]
    return [*short, *over]


def test_a_prompt_over_the_context_is_a_sample_without_a_text_and_fails_nothing(store, caplog):
    engine = Echo(context=100)
    rows = complete(store, mixed(), engine)
    assert all(not name.startswith("m/p3") for name, _ in engine.drawn)
    left = [row for row in rows.values() if row["finish_reason"] == UNASKED]
    assert [row["candidate_id"] for row in left] == ["m/p3/0", "m/p3/1"]
    assert {(row["text"], row["generated_tokens"], row["prompt_tokens"]) for row in left} == {("", 0, 162)}
    assert "1 of 4 prompts are not asked: they leave no room in the context of 100 tokens" in caplog.text
    assert "m/p3 with 162" in caplog.text


@given(length=st.integers(1, 60), context=st.integers(1, 60))
def test_what_is_asked_is_what_leaves_room_for_a_token(tmp_path_factory, length, context):
    store, engine = ArtifactStore(root=str(tmp_path_factory.mktemp("s"))), Echo(context=context)
    rows = complete(store, [Prompt("m/p", [{"role": "user", "content": "x" * length}], 1)], engine)
    assert (rows["m/p/0"]["finish_reason"] == UNASKED) == (length >= context)
    assert len(engine.drawn) == (length < context)


def test_a_prompt_that_surely_fits_is_not_counted(store):
    engine = Echo(context=2048)
    engine.prompt_tokens = lambda messages: pytest.fail("counted")
    complete(store, prompts(), engine)
    assert surely_within([{"role": "user", "content": "x" * 1000}], 2048)
    assert not surely_within([{"role": "user", "content": "é" * 1000}], 2048)


def test_where_no_prompt_can_be_asked_the_model_is_not(store):
    engine = Echo(context=3)
    assert {row["finish_reason"] for row in complete(store, prompts(), engine).values()} == {UNASKED}
    assert not engine.drawn


def test_a_longer_context_asks_again_and_leaves_the_others(store):
    before = complete(store, mixed(), Echo(context=100))
    same = Echo(context=100)
    assert complete(store, mixed(), same) == before
    assert not same.drawn
    longer = Echo(context=1000)
    after = complete(store, mixed(), longer)
    assert longer.drawn == [("m/p3", 0), ("m/p3", 1)]
    assert {row["finish_reason"] for row in after.values()} == {"stop"}
    assert {n: row for n, row in after.items() if "p3" not in n} == {n: r for n, r in before.items() if "p3" not in n}
    assert len(store.read(RECIPE.key)) == len(before)
    complete_samples(store, RECIPE, mixed(), "candidate_id", SETTINGS, lambda: pytest.fail("loaded a model"))


def test_a_shorter_prompt_asks_again(store):
    complete(store, mixed(), Echo(context=100))
    engine = Echo(context=100)
    rows = complete(store, mixed(long="short"), engine)
    assert {row["finish_reason"] for row in rows.values()} == {"stop"}


def test_a_kill_while_asking_again_costs_nothing_that_was_drawn(store, monkeypatch):
    monkeypatch.setattr("resources.engines.sample_log.SHARD_SAMPLES", 4)
    complete(store, mixed(samples=8), Echo(context=100))
    with pytest.raises(KeyboardInterrupt):
        complete(store, mixed(samples=8), Echo(context=1000, most=4))
    engine = Echo(context=1000)
    rows = complete(store, mixed(samples=8), engine)
    assert len(engine.drawn) == 4
    assert {row["finish_reason"] for row in rows.values()} == {"stop"}
    assert len(store.read(RECIPE.key)) == 32


def test_a_killed_run_with_prompts_over_the_context_ends_with_the_same_manifest(store, tmp_path, monkeypatch):
    monkeypatch.setattr("resources.engines.sample_log.SHARD_SAMPLES", 8)
    engines = [Echo(context=100, most=most, notes={"thinking": "none"}) for most in (12, 10**6)]
    with pytest.raises(KeyboardInterrupt):
        complete(store, mixed(samples=8), engines[0])
    complete(store, mixed(samples=8), engines[1])
    whole = ArtifactStore(root=str(tmp_path / "uninterrupted"))
    complete(whole, mixed(samples=8), Echo(context=100, notes={"thinking": "none"}))
    assert store.data_version(RECIPE.key) == whole.data_version(RECIPE.key)


def test_samples_say_what_they_were_drawn_with(store):
    rows = complete(store, prompts(samples=1, problems=1), Echo(context=4096, notes={"thinking": "in a field"}))
    (row,) = rows.values()
    assert json.loads(row["drawn_with"]) == {
        "counted_by": "characters",
        "context": 4096,
        "notes": {"thinking": "in a field"},
    }
