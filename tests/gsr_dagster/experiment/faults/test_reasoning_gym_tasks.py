"""What is read of reasoning-gym's source is what it has when it is imported."""

import dataclasses
import sys
import types

import pytest

from gsr_dagster.experiment.faults.reasoning_gym_tasks import SET_BY_US, task_options, tasks


@pytest.fixture(scope="module")
def imported() -> dict:
    sys.modules.setdefault("pycosat", types.ModuleType("pycosat"))  # as resources/problems/sources.py does
    return pytest.importorskip("reasoning_gym.factory").DATASETS


def test_every_task_is_known(imported):
    assert set(tasks()) == set(imported)


def test_every_option_is_known(imported):
    for name, (_, config) in imported.items():
        assert task_options(name) == {field.name for field in dataclasses.fields(config)} - set(SET_BY_US), name


def test_a_task_that_there_is_not_has_no_options():
    assert task_options("no_such_task") is None
