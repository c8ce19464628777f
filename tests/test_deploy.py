"""The instances that are shipped: what all of them share, and deploy/aws against Dagster's own schemas of every part."""

import importlib
from typing import Any

import pytest
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config

from gsr_dagster.operations.instance import DAGSTER_YAML, EVERYWHERE
from tests.places import PROJECT

DEPLOYED = sorted((PROJECT / "deploy").rglob("*dagster*.y*ml"))
AWS = PROJECT / "deploy" / "aws"


def test_every_folder_of_deploy_has_an_instance_that_is_held_to_what_all_share():
    assert {path.parent for path in DEPLOYED} >= {path for path in (PROJECT / "deploy").iterdir() if path.is_dir()}


@pytest.mark.parametrize("path", [None, *DEPLOYED], ids=lambda path: str(path and path.relative_to(PROJECT)))
def test_every_instance_frees_the_place_of_a_killed_run_and_tries_only_that_again(path):
    settings = yaml.safe_load(path.read_text() if path else DAGSTER_YAML)
    assert lacking(settings, yaml.safe_load(EVERYWHERE)) == []


def lacking(settings: Any, wanted: Any, where: str = "") -> list[str]:
    """Return the places at which settings do not say what is wanted; they may say more."""
    if not isinstance(wanted, dict):
        return [] if settings == wanted else [where]
    there = settings if isinstance(settings, dict) else {}
    return [place for name, part in wanted.items() for place in lacking(there.get(name), part, f"{where}/{name}")]


def test_the_aws_instance_is_one_that_dagster_takes(monkeypatch):
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://user:password@localhost/dagster")
    monkeypatch.setenv("GSR_LOGS_BUCKET", "logs")
    settings, _ = dagster_instance_config(str(AWS))
    for part in ("compute_logs", "run_launcher", "run_coordinator"):
        named = {"config": {}, **settings[part]}
        part_class = getattr(importlib.import_module(named["module"]), named["class"])
        checked = process_config({"config": part_class.config_type()}, {"config": named["config"]})
        assert checked.success, (part, checked.errors)


def test_the_aws_instance_keeps_its_logs_in_the_bucket(monkeypatch, s3_environment):
    """The log manager of the file, built from it, on a real S3 server."""
    from dagster._core.instance.ref import InstanceRef

    for name, value in {**s3_environment, "GSR_LOGS_BUCKET": "artifacts"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://user:password@localhost/dagster")
    manager = InstanceRef.from_dir(str(AWS)).compute_log_manager
    assert type(manager).__name__ == "S3ComputeLogManager"
    assert yaml.safe_load((AWS / "dagster.yaml").read_text())["storage"]["postgres"]["postgres_url"] == {
        "env": "DAGSTER_POSTGRES_URL"
    }
