"""A training that is killed goes on from its last saved step, to the same weights, bit for bit."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest

from resources.training.saves import Saves, reserved, step_of
from tests.resources.training.lessons import files_of, train

EACH_STEP = {"epochs": 3, "save_minutes": 0}
PICKLED = {".pt", ".pth", ".bin", ".pkl"}


def killed_after(step: int, saves: Saves, scratch: Path, model: Path, **settings: object) -> list[str]:
    """Train in a process that is killed once a step is saved; return the names of all files that were saved."""
    arguments = {"model": model, "scratch": scratch, "saves": saves, **EACH_STEP, **settings}
    run = multiprocessing.get_context("fork").Process(target=train, kwargs=arguments)
    run.start()
    training = []
    while not any(step_of(path) >= step for path in saves.folder.glob("step-*")):
        assert run.is_alive(), (scratch / "output.log").read_text()[-2000:]
        training = psutil.Process(run.pid).children(recursive=True) or training
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.join()
    psutil.wait_procs(training, 60)
    return [path.name for path in saves.folder.rglob("*")]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "lora": None,
            "trainer": {
                "neftune_noise_alpha": 5.0,
                "weight_decay": 0.1,
                "optim": "adafactor",
                "lr_scheduler_type": "cosine_with_restarts",
            },
        },
        {"processes": 2},
    ],
    ids=["an adapter", "all weights, with noise and another optimiser", "two processes"],
)
def test_the_weights_are_those_of_a_training_that_was_never_killed(small_model, tmp_path, settings):
    whole = train(small_model, tmp_path / "whole", **EACH_STEP, **settings)
    saves = Saves(tmp_path / "saves")
    names = killed_after(2, saves, tmp_path / "killed", small_model, **settings)
    assert not [name for name in names if Path(name).suffix in PICKLED]
    newest = saves.newest()
    assert newest is not None
    written = step_of(newest)
    assert 2 <= written < 9
    again = train(small_model, tmp_path / "again", saves=saves, **EACH_STEP, **settings)
    assert again.history == whole.history
    assert again.facts == whole.facts
    assert files_of(again.folder) == files_of(whole.folder)
    log = (tmp_path / "again" / "output.log").read_text()
    assert "Traceback" not in log


def test_a_save_is_found_by_a_later_run_and_two_at_most_stand_there(small_model, tmp_path):
    saves = Saves(tmp_path / "saves")
    killed_after(4, saves, tmp_path / "killed", small_model)
    assert 1 <= len(list(saves.folder.glob("step-*"))) <= 2
    killed_after(6, saves, tmp_path / "killed-again", small_model)
    history = [json.loads(line) for line in (tmp_path / "killed-again" / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history] == list(range(1, len(history) + 1))
    saves.remove()
    assert not saves.folder.exists()


def test_a_damaged_save_is_removed_and_the_one_before_it_is_used(tmp_path, caplog):
    saves = Saves(tmp_path)
    for step in (1, 2):
        written = saves.being_written(step)
        written.mkdir()
        (written / "state.json").write_text(f"{step}")
        before = tmp_path / "step-1"
        kept = shutil.copytree(before, tmp_path / "kept") if before.exists() else None
        saves.finish(step, written)
        assert not saves.being_written(step).exists()
        if kept:
            kept.rename(before)  # as where a kill came between the two
    assert saves.newest() == tmp_path / "step-2"
    (tmp_path / "step-2" / "state.json").write_text("3")
    assert saves.newest() == tmp_path / "step-1"
    assert "step-2: SHA256SUMS does not hold for state.json" in caplog.text
    assert not (tmp_path / "step-2").exists()


def test_what_a_training_does_not_go_on_from_is_removed_as_it_begins(tmp_path):
    """Or an old save with a higher step would be taken for the newest, and three could stand there."""
    saves = Saves(tmp_path)
    for name in ("step-1", "step-2", "step-9", ".writing-3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.json").write_text("{}")
    saves.begin(tmp_path / "step-2")
    assert [path.name for path in tmp_path.iterdir()] == ["step-2"]
    saves.begin(None)
    assert not list(tmp_path.iterdir())


def test_a_save_of_processes_that_shared_the_model_in_another_way_is_not_used(small_model, tmp_path, caplog):
    saves = Saves(tmp_path / "saves")
    killed_after(2, saves, tmp_path / "killed", small_model)
    save = saves.newest()
    assert save is not None
    written = saves.being_written(8)
    save.rename(written)
    (written / "SHA256SUMS").unlink()
    (written / "how.json").write_text('{"shared_by": "fsdp", "processes": 4}')
    saves.finish(8, written)
    trained = train(small_model, tmp_path / "again", saves=saves, **EACH_STEP)
    assert "step 8 was saved by a training that shared its model in another way: it starts anew" in caplog.text
    assert trained.history == train(small_model, tmp_path / "whole", **EACH_STEP).history
    assert [path.name for path in saves.folder.glob("step-*")] == ["step-8"]
    newest = saves.newest()
    assert newest is not None
    assert '"shared_by": ""' in (newest / "how.json").read_text()


def test_a_second_training_of_a_student_does_not_touch_the_saves_of_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr("resources.training.saves.SECONDS_TO_WAIT", 0.2)
    saves = Saves(tmp_path / "saves")
    with reserved(saves, instead=tmp_path / "other") as (first, lock):
        assert first is saves
        assert lock is not None
        with reserved(saves, instead=tmp_path / "other") as (second, no_lock):
            assert second.folder == tmp_path / "other"
            assert no_lock is None
    with reserved(saves, instead=tmp_path / "other") as (third, _):
        assert third is saves


def test_saves_that_nobody_came_back_to_go_after_a_month(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        (folder / "step-1").mkdir(parents=True)
    long_ago = time.time() - 40 * 24 * 3600
    for path in (old / "step-1", old):
        os.utime(path, (long_ago, long_ago))
    with reserved(Saves(new), instead=tmp_path / "instead"):
        assert not old.exists()
        assert (new / "step-1").exists()
