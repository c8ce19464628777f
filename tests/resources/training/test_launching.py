"""The same training by a config of `accelerate config`, on several machines, and by Ray Train."""

import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from resources.training.launching import command, elsewhere, environment_of_config
from resources.training.trainer import TrainingError
from tests.journeys.reliability.full_numbers import times
from tests.journeys.serving import free_port
from tests.resources.training.lessons import files_of, student, train

without_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed: make test-ray")


def on_ray(test):
    return pytest.mark.ray(without_ray(test))


CONFIG = {
    "compute_environment": "LOCAL_MACHINE",
    "distributed_type": "MULTI_GPU",
    "mixed_precision": "no",
    "num_machines": 1,
    "num_processes": 2,
    "main_process_port": 0,
}


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "accelerate.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def test_a_config_of_accelerate_starts_its_processes_and_they_learn_the_same(small_model, config, tmp_path):
    by_config = train(small_model, tmp_path / "config", accelerate=str(config))
    by_count = train(small_model, tmp_path / "count", processes=2)
    assert by_config.history == by_count.history
    assert files_of(by_config.folder) == files_of(by_count.folder)
    said = (tmp_path / "config" / "output.log").read_text()
    assert {"[rank0]", "[rank1]"} <= set(re.findall(r"\[rank\d\]", said))


def test_sharding_that_a_cpu_has_not_is_said_and_the_training_is_right(small_model, config, tmp_path, caplog):
    sharded = {**CONFIG, "distributed_type": "FSDP", "fsdp_config": {"fsdp_version": 2}}
    config.write_text(yaml.safe_dump(sharded))
    assert environment_of_config(str(config))["ACCELERATE_USE_FSDP"] == "true"
    trained = train(small_model, tmp_path / "config", accelerate=str(config))
    assert "asks for FSDP, which there is on GPUs only" in caplog.text
    assert [row["step"] for row in trained.history] == [1, 2, 3]


def test_a_training_on_two_machines_says_what_to_start_on_the_other(small_model, config, tmp_path, caplog):
    """Both are this one: the second is started by hand, as the log says."""
    two = {**CONFIG, "num_machines": 2, "machine_rank": 0, "main_process_ip": "127.0.0.1"}
    config.write_text(yaml.safe_dump({**two, "main_process_port": free_port()}))
    scratch = tmp_path / "scratch"
    waits = (
        "import pathlib, subprocess, sys, time\n"
        f"job = pathlib.Path({str(scratch / 'job.json')!r})\n"
        "while not job.exists(): time.sleep(0.1)\n"
        "time.sleep(1)\n"
        "sys.exit(subprocess.run([sys.executable, '-m', 'accelerate.commands.launch', '--config_file', "
        f"{str(config)!r}, '--machine_rank', '1', '--module', 'resources.training.lora_training', str(job)]).returncode)"
    )
    with subprocess.Popen([sys.executable, "-c", waits], stdin=subprocess.DEVNULL) as other:
        trained = train(small_model, scratch, accelerate=str(config))
        assert other.wait(60) == 0
    assert [row["step"] for row in trained.history] == [1, 2, 3]
    assert "names 2 machines: start on each other one" in caplog.text
    assert f"--machine_rank 1 --module resources.training.lora_training {scratch / 'job.json'}" in caplog.text


def test_one_process_needs_no_launcher():
    job = Path("job.json")
    alone = student().training.model_dump(mode="json")
    assert command(alone, job) == [sys.executable, "-m", "resources.training.lora_training", "job.json"]
    assert elsewhere(alone, job) is None
    assert command({**alone, "launch": "ray"}, job)[-2:] == ["resources.training.ray_training", "job.json"]


def test_a_process_that_has_done_its_part_cannot_fail_any_more():
    code = """
import atexit, os
from resources.training.process import leave

class Late:
    __del__ = lambda self: os.abort()

late = Late()
atexit.register(print, "sent")
leave()
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"sent\n"


@on_ray
def test_ray_train_learns_the_same_as_two_processes(small_model, tmp_path):
    by_ray = train(small_model, tmp_path / "ray", processes=2, launch="ray")
    by_count = train(small_model, tmp_path / "count", processes=2)
    assert by_ray.history == by_count.history
    assert files_of(by_ray.folder) == files_of(by_count.folder)
    assert "world_rank=1" in (tmp_path / "ray" / "output.log").read_text()


@on_ray
def test_a_config_of_accelerate_reaches_the_processes_that_ray_starts(small_model, config, tmp_path, caplog):
    config.write_text(yaml.safe_dump({**CONFIG, "distributed_type": "FSDP", "fsdp_config": {"fsdp_version": 2}}))
    train(small_model, tmp_path / "ray", accelerate=str(config), launch="ray")
    assert "asks for FSDP" in caplog.text


@on_ray
def test_a_training_on_ray_that_fails_says_why(small_model, tmp_path):
    with pytest.raises(TrainingError, match=r"(?s)training ended with status 1:.*no training row has room"):
        train(small_model, tmp_path / "ray", processes=2, launch="ray", max_length=2)


@on_ray
@pytest.mark.skipif(not times(0, 1), reason="three more trainings: GSR_RELIABILITY=1")
def test_a_training_on_ray_goes_on_from_its_last_saved_step(small_model, tmp_path):
    import psutil

    from resources.training.saves import Saves, step_of
    from tests.resources.training.test_saves import EACH_STEP, killed_after

    saves = Saves(tmp_path / "saves")
    settings = {"processes": 2, "launch": "ray"}
    killed_after(3, saves, tmp_path / "killed", small_model, **settings)
    newest = saves.newest()
    assert newest is not None
    assert step_of(newest) >= 3
    end = time.monotonic() + 30
    while any("RayTrainWorker" in p.name() for p in psutil.process_iter()) and time.monotonic() < end:
        time.sleep(0.5)
    again = train(small_model, tmp_path / "again", saves=saves, **EACH_STEP, **settings)
    assert json.loads((tmp_path / "again" / "job.json").read_text())["resume"] == str(newest)
    whole = train(small_model, tmp_path / "whole", **EACH_STEP, processes=2)
    assert again.history == whole.history
    assert files_of(again.folder) == files_of(whole.folder)
