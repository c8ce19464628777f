"""Reward models made from a config, with real weights that nothing was taught: a batch against a loop, and the log."""

import pytest

from gsr_dagster.experiment.keys import ArtifactKey
from resources.engines.reward_model import RewardModel, Score, complete_scores, one_number
from resources.engines.sample_log import Prompt
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError
from resources.store.manifests import Recipe

RECIPE = Recipe(ArtifactKey("base/aggregation/bon", "sums|m"), settings={})


def chat(number: int) -> list[dict[str, str]]:
    response = f"The answer is \\boxed{{{number}}}." + " It is so." * (number * 7 % 11)
    return [{"role": "user", "content": f"What is {number} + 0?"}, {"role": "assistant", "content": response}]


CHATS = [chat(number) for number in range(13)]


@pytest.fixture(scope="module")
def pair_model_folder(tmp_path_factory, tokenizer_folder):
    """A reader of pairs of texts, without a chat template and with three labels: an encoder with absolute positions."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(2)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.chat_template = None
    size = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": 0.2,
    }
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=256, num_labels=3, **size)
    folder = tmp_path_factory.mktemp("pairs")
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def one_by_one(folder, chats) -> list[float]:
    """The oracle: each chat alone through the plain classes of transformers, without padding."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    values = []
    for question, response in chats:
        if tokenizer.chat_template:
            ids = tokenizer.apply_chat_template([question, response], return_dict=True, return_tensors="pt")
        else:
            ids = tokenizer(question["content"], response["content"], return_tensors="pt")
        model.config.pad_token_id = tokenizer.pad_token_id
        with torch.inference_mode():
            logits = model(**ids).logits[0]
        values.append(float(logits[0] if len(logits) == 1 else logits.softmax(-1)[-1].log()))
    return values


@pytest.mark.parametrize("folder", ["reward_model_folder", "pair_model_folder"])
def test_scores_in_batches_are_those_of_a_loop(folder, request, monkeypatch):
    import torch

    weights = request.getfixturevalue(folder)
    by_loop = one_by_one(weights, CHATS)
    fast = RewardModel(weights, batch_size=4).score(CHATS)
    assert [score.value for score in fast] == pytest.approx(by_loop, abs=0.05)
    assert len({score.value for score in fast}) == len(CHATS), "scores tie where the body computes in bfloat16"
    monkeypatch.setattr("resources.engines.cpu.native_dtype", lambda: torch.float32)
    scores = RewardModel(weights, batch_size=4).score(CHATS)
    assert [score.value for score in scores] == pytest.approx(by_loop, abs=1e-5)
    assert max(by_loop) - min(by_loop) > 0.2
    assert len({score.tokens for score in scores}) > 5


def test_a_chat_longer_than_the_model_reads_is_refused(reward_model_folder):
    model = RewardModel(reward_model_folder, batch_size=4)
    with pytest.raises(ArtifactError, match=r"has \d+ tokens, and the reward model .* reads 256"):
        model.score([[*chat(1)[:1], {"role": "assistant", "content": "so it is, " * 200}]])


def test_several_labels_give_the_last_ones_log_probability():
    import torch

    logits = torch.tensor([[0.0, 1.0], [5.0, 6.0]])
    assert one_number(logits).tolist() == pytest.approx([-0.31326, -0.31326], abs=1e-4)
    assert one_number(torch.tensor([[2.0], [-3.0]])).tolist() == [2, -3]


def test_only_missing_scores_are_computed_and_a_changed_response_is_scored_again(
    reward_model_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("resources.engines.reward_model.SHARD_SAMPLES", 5)
    store = ArtifactStore(root=str(tmp_path))
    model = RewardModel(reward_model_folder, batch_size=4)
    prompts = [Prompt(f"m/p{number}/0", messages, 1) for number, messages in enumerate(CHATS)]

    def rows(shards) -> dict[str, dict]:
        return {row["candidate_id"]: row for row in store.read_shards(RECIPE.key, RECIPE.fingerprint, shards)}

    first = rows(complete_scores(store, RECIPE, prompts[:8], lambda: model))
    grown = rows(complete_scores(store, RECIPE, prompts, lambda: model))
    assert len(grown) == 13
    assert {name: grown[name] for name in first} == first
    assert rows(complete_scores(store, RECIPE, prompts, lambda: pytest.fail("loaded a model"))) == grown
    changed = Prompt(prompts[3].id, chat(40), 1)
    again = rows(complete_scores(store, RECIPE, [changed, *prompts[:3], *prompts[4:]], lambda: model))
    assert again[changed.id]["score"] != grown[changed.id]["score"]
    assert len(again) == 13


class Counting:
    """A scorer by rule at the model's place: it notes its batches, and Ctrl-C comes before the batch after ``most``."""

    batch_size = 4

    def __init__(self, most: int = 10**6, reason: type[BaseException] = KeyboardInterrupt):
        self.most, self.reason = most, reason
        self.batches: list[list[str]] = []

    def score(self, chats):
        if len(self.batches) >= self.most:
            raise self.reason
        self.batches.append([chat[0]["content"] for chat in chats])
        return [Score(float(len(chat[1]["content"])), len(chat[1]["content"])) for chat in chats]


PROMPTS = [Prompt(f"m/p{number}/0", messages, 1) for number, messages in enumerate(CHATS)]


def scored(store, model) -> list[dict]:
    shards = complete_scores(store, RECIPE, PROMPTS, lambda: model)
    rows = store.read_shards(RECIPE.key, RECIPE.fingerprint, shards)
    return sorted(rows, key=lambda row: row["candidate_id"])


@pytest.mark.parametrize("reason", [KeyboardInterrupt, SystemExit, RuntimeError, ArtifactError])
@pytest.mark.parametrize("shard", [5, 8, 256])
@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_a_stopped_run_keeps_its_scores_and_the_next_one_scores_the_others_in_the_same_batches(
    tmp_path, monkeypatch, most, shard, reason
):
    monkeypatch.setattr("resources.engines.reward_model.SHARD_SAMPLES", shard)
    store = ArtifactStore(root=str(tmp_path / "stopped"))
    stopped, others, whole = Counting(most, reason), Counting(), Counting()
    with pytest.raises(reason):
        scored(store, stopped)
    rows = scored(store, others)
    assert rows == scored(ArtifactStore(root=str(tmp_path / "whole")), whole)
    assert len(rows) == len(PROMPTS)
    assert stopped.batches + others.batches == whole.batches
    assert len(stopped.batches) == most
    assert scored(store, None) == rows, "nothing is left to score: no model is asked for"


def test_a_stopped_run_of_a_real_model_ends_in_the_same_scores(reward_model_folder, tmp_path):
    model = RewardModel(reward_model_folder, batch_size=4)
    whole = scored(ArtifactStore(root=str(tmp_path / "whole")), model)
    store, stopped = ArtifactStore(root=str(tmp_path / "stopped")), Counting(most=2)
    stopped.score = lambda chats: Counting.score(stopped, chats) and model.score(chats)
    with pytest.raises(KeyboardInterrupt):
        scored(store, stopped)
    assert scored(store, model) == whole


def test_a_killed_run_loses_no_more_than_the_shard_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("resources.engines.reward_model.SHARD_SAMPLES", 8)
    store, others = ArtifactStore(root=str(tmp_path)), Counting()
    with monkeypatch.context() as killed:
        killed.setattr(
            "resources.engines.reward_model.write_unfinished_shard", lambda *_: None
        )  # it has no time for that
        with pytest.raises(KeyboardInterrupt):
            scored(store, Counting(most=3))
    assert len(scored(store, others)) == len(PROMPTS)
    assert sum(map(len, others.batches)) == len(PROMPTS) - 8


def test_where_scores_cannot_be_kept_the_first_error_is_told(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ArtifactStore, "put_shard", full)
    with pytest.raises(KeyboardInterrupt):
        scored(ArtifactStore(root=str(tmp_path)), Counting(most=2))
    assert "8 scores are lost: [Errno 28] No space left on device" in caplog.text
