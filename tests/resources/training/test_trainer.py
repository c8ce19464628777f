"""Training for real, on a small model: by one process and by two, an adapter and all weights."""

import multiprocessing
import pickletools
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from resources.training.trainer import Trained, Trainer, TrainingDiedError, TrainingError
from resources.training.weight_change import opened
from tests.resources.training.lessons import files_of, student, train


def loaded(folder: Path) -> dict[str, np.ndarray]:
    with opened(folder) as tensors:
        return {name: tensors[name] for name in tensors}


@pytest.fixture(scope="module")
def alone(small_model, tmp_path_factory) -> Trained:
    return train(small_model, tmp_path_factory.mktemp("alone") / "scratch")


def test_training_again_gives_the_same_files_wherever_it_runs(alone, small_model, tmp_path):
    folder = alone.folder
    again = train(small_model, tmp_path / "again").folder
    files = files_of(folder)
    assert files_of(again) == files
    assert not any(str(folder.parent).encode() in content for content in files.values())


def test_a_checkpoint_holds_no_pickle(alone):
    folder = alone.folder
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".jinja"}
    for path in folder.iterdir():
        with pytest.raises(ValueError):  # noqa: PT011
            list(pickletools.genops(path.read_bytes()))


def test_two_processes_learn_the_same_as_one(alone, small_model, tmp_path):
    folder, history, *_ = alone
    shared, shared_history, *_ = train(small_model, tmp_path / "two", processes=2)
    assert [row["step"] for row in shared_history] == [row["step"] for row in history] == [1, 2, 3]
    assert [row["loss"] for row in shared_history] == pytest.approx([row["loss"] for row in history], rel=1e-3)
    assert [row["learning_rate"] for row in shared_history] == [row["learning_rate"] for row in history]
    assert all(row["grad_norm"] > 0 for row in history)
    assert [row["tokens"] for row in shared_history] == [row["tokens"] for row in history]
    assert 0 < history[0]["tokens"] < history[1]["tokens"] < history[2]["tokens"]
    ours, theirs = loaded(folder), loaded(shared)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert np.allclose(tensor, theirs[name], atol=2e-4), name


def test_all_weights_are_trained_where_no_adapter_is_wanted(small_model, tmp_path):
    from resources.engines.transformers import TransformersEngine

    folder = train(small_model, tmp_path / "whole", lora=None).folder
    before, after = loaded(small_model), loaded(folder)
    assert before.keys() == after.keys()
    assert any(not np.array_equal(before[name], after[name]) for name in before)
    assert TransformersEngine(folder, None, batch_size=4).tokenize("1 + 2")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_training_that_fails_says_why(small_model, tmp_path, processes):
    rows = [{"kind": "direct", "messages": "no JSON", "completion": ""}] * 4
    (tmp_path / "scratch").mkdir()
    with pytest.raises(TrainingError, match=r"(?s)training ended with status 1:.*JSONDecodeError: Expecting value"):
        Trainer().train("test", student(processes=processes), f"path:{small_model}", rows, 7, tmp_path / "scratch")


def test_a_training_process_that_is_killed_says_so_apart(tokenizer_folder, tmp_path):
    """Before it has loaded anything: the signal is what counts."""

    def kill() -> None:
        while True:
            for child in psutil.Process().children():
                if "resources.training.lora_training" in child.cmdline():
                    return child.kill()
            time.sleep(0.01)

    weights = tmp_path / "weights"
    shutil.copytree(tokenizer_folder, weights)
    (weights / "model.safetensors").touch()
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(TrainingDiedError, match="status -9"):
        train(weights, tmp_path / "scratch")
    killer.join()


def test_so_does_one_of_two(small_model, tmp_path):
    def kill() -> None:
        while not (tmp_path / "scratch" / "history.jsonl").exists():
            time.sleep(0.05)
        (launcher,) = [p for p in psutil.Process().children() if "accelerate.commands.launch" in p.cmdline()]
        launcher.children()[0].kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(TrainingDiedError, match="status -9"):
        train(small_model, tmp_path / "scratch", processes=2, epochs=100)
    killer.join()


def test_training_ends_with_the_run_that_started_it_however_that_ended(small_model, tmp_path):
    """Or it would hold the GPU that the next run wants."""
    arguments = {"model": small_model, "scratch": tmp_path / "scratch", "epochs": 10_000}
    run = multiprocessing.get_context("fork").Process(target=train, kwargs=arguments)
    run.start()
    while not (tmp_path / "scratch" / "history.jsonl").exists():
        assert run.is_alive()
        time.sleep(0.1)
    (training,) = psutil.Process(run.pid).children()
    run.kill()
    run.join()
    training.wait(60)


def test_a_template_that_cannot_be_trained_on_is_refused_by_name_before_anything_is_loaded(tokenizer_folder, tmp_path):
    weights = tmp_path / "weights"
    shutil.copytree(tokenizer_folder, weights)
    (weights / "model.safetensors").touch()
    (weights / "chat_template.jinja").write_text("{{ raise_exception('Only with tools.') }}")
    with pytest.raises(TrainingError, match=f"path:{weights}: its chat template cannot write .*: Only with tools."):
        train(weights, tmp_path / "scratch")
    assert not (tmp_path / "scratch" / "output.log").exists()


def test_a_loss_that_is_not_finite_ends_the_training(small_model, tmp_path):
    with pytest.raises(TrainingError, match=r"the loss at step \d is (nan|inf)"):
        train(small_model, tmp_path / "scratch", learning_rate=1e30, warmup=0, lora=None)


def test_rows_that_lose_their_end_are_counted_and_a_set_without_room_is_refused(small_model, tmp_path):
    facts = train(small_model, tmp_path / "cut", max_length=55).facts
    assert facts["cut_rows"] + facts["dropped_rows"] > 0
    with pytest.raises(TrainingError, match="no training row has room for its answer in max_length, 2 tokens"):
        train(small_model, tmp_path / "none", max_length=2)


def test_settings_of_sftconfig_reach_the_trainer(alone, small_model, tmp_path):
    trainer = {
        "lr_scheduler_type": "constant",
        "weight_decay": 0.5,
        "model_init_kwargs": {"attn_implementation": "eager"},
    }
    learned = train(small_model, tmp_path / "other", trainer=trainer)
    assert [row["learning_rate"] for row in learned.history] == [1e-3] * 3
    assert files_of(learned.folder) != files_of(alone.folder)


def test_validation_rows_are_looked_at_and_not_learned(alone, small_model, tmp_path):
    held_out = train(small_model, tmp_path / "held", validation_rows=4)
    of_the_first = train(small_model, tmp_path / "first", rows=8)
    assert files_of(held_out.folder) == files_of(of_the_first.folder)
    losses = [row["validation_loss"] for row in held_out.history]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert [row["validation_loss"] for row in alone.history] == [None] * 3
    with pytest.raises(TrainingError, match="validation_rows: 12 leaves nothing to train on of 12 rows"):
        train(small_model, tmp_path / "all", validation_rows=12)


def test_a_value_that_sftconfig_refuses_is_said(small_model, tmp_path):
    with pytest.raises(TrainingError, match="adamw_nonsense"):
        train(small_model, tmp_path / "other", trainer={"optim": "adamw_nonsense"})


def test_a_key_of_a_reporter_stays_in_the_environment(small_model, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "planted-key-of-wandb")
    train(small_model, tmp_path / "scratch", trainer={"report_to": "none", "run_name": "mine"})
    texts = [path.read_bytes() for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
    assert not any(b"planted-key-of-wandb" in text for text in texts)
