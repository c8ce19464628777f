"""The instances that are shipped: what all of them share, and each against Dagster's own schemas, or those of Kubernetes."""

import importlib
import unittest.mock
from typing import Any

import pytest
import yaml
from dagster import DagsterRun
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config

from gsr_dagster.operations.instance.preparing import DAGSTER_YAML, EVERYWHERE, NUX
from gsr_dagster.operations.jobs import gpu_request
from tests.places import PROJECT

DEPLOY = PROJECT / "deploy"
AWS, COMPOSE, KUBERNETES = DEPLOY / "aws", DEPLOY / "compose", DEPLOY / "kubernetes"
VALUES = yaml.safe_load((KUBERNETES / "values.yaml").read_text())
# The chart writes dagster.yaml of its values; what is below additionalInstanceConfig stands there as it is.
INSTANCES = {
    "home": yaml.safe_load(DAGSTER_YAML),
    "aws": yaml.safe_load((AWS / "dagster.yaml").read_text()),
    "compose": yaml.safe_load((COMPOSE / "dagster.yaml").read_text()),
    "kubernetes": {**VALUES["additionalInstanceConfig"], "telemetry": VALUES["telemetry"]},
}


def test_every_folder_of_deploy_has_an_instance_that_is_held_to_what_all_share():
    assert {path.name for path in DEPLOY.iterdir() if path.is_dir()} == set(INSTANCES) - {"home"}


@pytest.mark.parametrize("name", INSTANCES)
def test_every_instance_frees_the_place_of_a_killed_run_tries_only_that_again_and_asks_for_no_address(name):
    assert lacking(INSTANCES[name], yaml.safe_load(EVERYWHERE + NUX)) == []


@pytest.mark.parametrize("name", INSTANCES)
def test_every_instance_is_one_that_dagster_takes(monkeypatch, tmp_path, name):
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://user:password@localhost/dagster")
    monkeypatch.setenv("GSR_LOGS_BUCKET", "logs")
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(INSTANCES[name]))
    settings, _ = dagster_instance_config(str(tmp_path))
    for part in {"compute_logs", "run_launcher", "run_coordinator"} & set(settings):
        named = {"config": {}, **settings[part]}
        part_class = getattr(importlib.import_module(named["module"]), named["class"])
        checked = process_config({"config": part_class.config_type()}, {"config": named["config"]})
        assert checked.success, (part, checked.errors)


def lacking(settings: Any, wanted: Any, where: str = "") -> list[str]:
    """Return the places at which settings do not say what is wanted; they may say more."""
    if not isinstance(wanted, dict):
        return [] if settings == wanted else [where]
    there = settings if isinstance(settings, dict) else {}
    return [place for name, part in wanted.items() for place in lacking(there.get(name), part, f"{where}/{name}")]


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


def test_the_charts_own_values_of_what_stands_in_the_additional_config_are_off():
    """Else dagster.yaml would have them twice."""
    daemon = VALUES["dagsterDaemon"]
    assert not daemon["runMonitoring"]["enabled"]
    assert not daemon["runRetries"]["enabled"]
    assert "config" not in daemon["runCoordinator"]
    assert "concurrency" not in VALUES
    assert "pythonLogs" not in VALUES


@pytest.fixture
def launcher():
    """Return the run launcher that the chart makes of the values, with a client that speaks to no cluster."""
    from dagster_k8s import K8sRunLauncher

    values = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    run_config = values["runK8sConfig"]
    config = {
        "dagster_home": "/opt/dagster/dagster_home",
        "env_config_maps": [part["name"] for part in values["envConfigMaps"]],
        "env_secrets": [part["name"] for part in values["envSecrets"]],
        "env_vars": values["envVars"],
        "image_pull_policy": values["imagePullPolicy"],
        "instance_config_map": "gsr-dagster-instance",
        "job_image": "registry/gsr-dagster:0.1.0",
        "job_namespace": "gsr",
        "load_incluster_config": values["loadInclusterConfig"],
        "postgres_password_secret": "gsr-postgresql",
        "run_k8s_config": {
            "container_config": run_config["containerConfig"],
            "job_spec_config": run_config["jobSpecConfig"],
        },
        "service_account_name": "gsr-dagster",
        "volume_mounts": values["volumeMounts"],
        "volumes": values["volumes"],
    }
    checked = process_config({"config": K8sRunLauncher.config_type()}, {"config": config})
    assert checked.success, checked.errors
    settings = {**config, "load_incluster_config": False, "kubeconfig_file": str(PROJECT / "nowhere")}
    with unittest.mock.patch("dagster_k8s.launcher.load_kubernetes_config"):
        return K8sRunLauncher(**settings, k8s_client_batch_api=object(), k8s_client_core_api=object())


@pytest.mark.parametrize(("wanted", "limit"), [(None, 1), (0, 0), (4, 4)])
def test_a_run_on_kubernetes_is_a_job_with_the_gpus_that_it_asks_for(launcher, monkeypatch, wanted, limit):
    from dagster_k8s.job import construct_dagster_k8s_job

    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    tags = {} if wanted is None else gpu_request(wanted)
    run = DagsterRun(job_name="demo_base_evaluation", tags=tags)
    context = launcher.get_container_context_for_run(run)
    config = context.get_k8s_job_config(job_image="registry/gsr-dagster:0.1.0", run_launcher=launcher)
    job = construct_dagster_k8s_job(config, [], "gsr-run", context.run_k8s_config)

    container = job.spec.template.spec.containers[0]
    assert container.resources.limits == {"nvidia.com/gpu": str(limit)}
    assert container.resources.requests == {"cpu": "4", "memory": "32Gi"}
    assert {mount.mount_path for mount in container.volume_mounts} >= {"/cache", "/dev/shm"}


def test_every_part_of_the_compose_file_that_another_names_is_there():
    compose = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    services = compose["services"]
    named = {name for service in services.values() for name in service.get("depends_on", ())}
    named |= {service["pid"].partition(":")[2] for service in services.values() if "pid" in service}
    mounted = {mount.partition(":")[0] for service in services.values() for mount in service["volumes"]}
    assert named <= set(services)
    assert {name for name in mounted if not name.startswith(".")} == set(compose["volumes"])
    assert all((COMPOSE / name).is_file() for name in mounted if name.endswith(".yaml"))
    origin = yaml.safe_load((COMPOSE / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]
    assert origin["host"] in services
    assert f"-p {origin['port']} " in services[origin["host"]]["command"]
    assert origin["location_name"] == "demo"
