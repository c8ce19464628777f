"""The instance of deploy/aws: its settings against Dagster's own schemas of every part."""

import importlib
from pathlib import Path

import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config

AWS = Path(__file__).parents[1] / "deploy" / "aws"


def test_the_aws_instance_is_one_that_dagster_takes(monkeypatch):
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://user:password@localhost/dagster")
    monkeypatch.setenv("GSR_LOGS_BUCKET", "logs")
    settings, _ = dagster_instance_config(str(AWS))
    for part in ("compute_logs", "run_launcher", "run_coordinator"):
        named = settings[part]
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
