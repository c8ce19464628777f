"""How many GPUs a run of one partition asks for: the most of what its steps sample and train at once."""

import copy
import json

import pytest

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.jobs import lane_job
from gsr_dagster.operations.lanes import Lane, lanes
from gsr_dagster.operations.running.side_by_side import together
from tests.school import STUDENT

BASE = {"sums|llama-tiny", "sums|llama-big"}


@pytest.fixture
def school(finished_school):
    """Return what makes an experiment of the school's document, once that was changed."""

    def made(change) -> tuple[Experiment, dict[str, Lane]]:
        document = copy.deepcopy(finished_school.written)
        change(document)
        experiment = Experiment.model_validate(document)
        return experiment, {lane.name: lane for lane in lanes(experiment)}

    return made


def of_engine(**engine):
    def change(document: dict) -> None:
        document["families"]["llama"]["big"]["engine"] = engine

    return change


@pytest.mark.parametrize(
    ("engine", "count"),
    [
        ({"kind": "transformers"}, 1),
        ({"kind": "vllm"}, 1),
        ({"kind": "vllm", "tensor_parallel_size": 4}, 4),
        ({"kind": "ray", "replicas": 3, "tensor_parallel_size": 2}, 6),
        ({"kind": "ray", "replicas": 3, "address": "ray://head:10001"}, 0),
        ({"kind": "openai", "base_url": "http://host/v1", "model": "big"}, 0),
    ],
)
def test_an_evaluation_asks_for_the_gpus_of_its_engine_and_no_more_than_its_own(school, engine, count):
    _, by_name = school(of_engine(**engine))

    asked = {partition: by_name["base_evaluation"].gpus(partition) for partition in BASE}
    assert asked == {"sums|llama-tiny": 1, "sums|llama-big": count}


def test_a_reward_model_and_another_refiner_count_too(school):
    def change(document: dict) -> None:
        served = {"kind": "openai", "base_url": "http://host/v1", "model": "tiny"}
        document["families"]["llama"]["tiny"]["engine"] = served
        document["students"] = {}
        document["aggregations"] = {"scored": {"kind": "reward_model", "source": "path:reward"}}

    _, by_name = school(change)
    assert by_name["base_evaluation"].gpus("sums|llama-tiny") == 1

    def other(document: dict) -> None:
        of_engine(kind="vllm", tensor_parallel_size=8)(document)
        document["aggregations"] = {"read": {"kind": "synthesis", "model": "llama-big"}}

    _, by_name = school(other)
    assert by_name["base_evaluation"].gpus("sums|llama-tiny") == 8


def test_a_teaching_asks_for_the_most_of_its_samplers_and_its_training(school):
    def change(document: dict) -> None:
        of_engine(kind="vllm", tensor_parallel_size=2)(document)
        document["students"][STUDENT]["training"] = {"processes": 4}

    _, by_name = school(change)
    assert by_name["teaching"].gpus(STUDENT) == 4
    _, by_name = school(of_engine(kind="vllm", tensor_parallel_size=2))
    assert by_name["teaching"].gpus(STUDENT) == 2


def test_a_training_over_several_machines_asks_for_the_gpus_of_one(school, tmp_path):
    config = tmp_path / "two.yaml"
    config.write_text("distributed_type: MULTI_GPU\nnum_machines: 2\nnum_processes: 16\n")

    def change(document: dict) -> None:
        document["students"][STUDENT]["training"] = {"accelerate": str(config)}

    _, by_name = school(change)
    assert by_name["teaching"].gpus(STUDENT) == 8


def test_what_loads_no_model_asks_for_none(school):
    _, by_name = school(lambda document: None)

    assert by_name["benchmarks"].gpus("sums") == by_name["reports"].gpus("") == 0


def test_in_a_pod_of_kubernetes_a_job_asks_for_the_gpus_of_each_partition(school, monkeypatch):
    experiment, by_name = school(of_engine(kind="vllm", tensor_parallel_size=4))

    def tags(partition: str) -> dict[str, str]:
        job = lane_job(experiment, by_name["base_evaluation"])
        return job.config.tags_for_partition_key_fn(partition)

    assert "dagster-k8s/config" not in tags("sums|llama-big")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    limits = [
        json.loads(tags(p)["dagster-k8s/config"])["container_config"]["resources"]["limits"] for p in sorted(BASE)
    ]
    assert limits == [{"nvidia.com/gpu": 4}, {"nvidia.com/gpu": 1}]


def test_a_models_benchmarks_go_to_one_process_and_so_do_students_with_the_same_samples(school):
    def change(document: dict) -> None:
        document["benchmarks"]["more"] = document["benchmarks"]["sums"]
        student = document["students"][STUDENT]
        document["students"]["llama-sister"] = {**student, "rows": "direct"}
        document["students"]["llama-cousin"] = {**student, "teacher": "llama-tiny", "candidates_from": "llama-big"}

    experiment, by_name = school(change)
    base, teaching = by_name["base_evaluation"], by_name["teaching"]

    shares = together(experiment, base, base.partitions)
    assert [sorted(share) for share in shares] == [
        ["more|llama-tiny", "sums|llama-tiny"],
        ["more|llama-big", "sums|llama-big"],
    ]
    assert together(experiment, teaching, teaching.partitions) == [[STUDENT, "llama-sister"], ["llama-cousin"]]
