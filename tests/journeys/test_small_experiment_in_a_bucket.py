"""The same tiny experiment with its artifacts in a bucket: of moto's server, and of those of tests/emulators.py."""

import shutil
import uuid

import pytest

from gsr_dagster.experiment.keys import ArtifactKey

POOL = ArtifactKey("base/candidate_pools", "sums|llama-tiny")


@pytest.fixture(scope="module", params=["s3", "gs", "az"])
def journey(request, tmp_path_factory, start_journey, bucket_server):
    server = bucket_server(request.param)
    folder = tmp_path_factory.mktemp(f"journey-{request.param}")
    root = f"{request.param}://artifacts/{uuid.uuid4()}"
    environment = {**server, "GSR_ARTIFACTS": root, "GSR_CACHE": str(folder / "cache")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield start_journey(folder, environment)


def lose_the_local_disk(journey) -> None:
    for folder in ("home", "cache"):
        shutil.rmtree(journey.folder / folder)


def test_every_artifact_is_in_the_bucket_and_none_on_the_disk(journey):
    assert "llama-student" in journey.first.stdout
    assert "Report: " in journey.first.stdout
    assert not (journey.folder / "home" / "artifacts").exists()
    published = {key.asset for key in journey.store.verified.published()}
    assert {"benchmark_problems", "base/gap_reports", "lora_checkpoints", "student_comparison"} <= published
    assert len(journey.rows("base/candidate_pools", "sums|llama-tiny")) == 24 * 4


def test_on_an_empty_disk_there_is_nothing_to_do_and_everything_can_be_read(journey):
    lose_the_local_disk(journey)
    again = journey.gsr("run")
    assert "Nothing to do: every asset of small is current" in again.stdout, again.stdout + again.stderr
    walked = journey.gsr("lineage", "llama-student")
    assert walked.returncode == 0
    assert "training_problems" in walked.stdout
    assert "96" in journey.gsr("sql", "select count(*) from base_candidate_pools").stdout


def test_a_student_is_exported_out_of_the_bucket(journey):
    exported = journey.gsr("export", "llama-student", "--to", "student", "--merged")
    assert exported.returncode == 0, exported.stdout + exported.stderr
    files = list((journey.folder / "student").iterdir())
    assert {"model.safetensors", "tokenizer.json", "README.md"} <= {file.name for file in files}
    assert not any(file.is_symlink() for file in files)


def test_a_run_that_was_lost_goes_on_from_the_shards_in_the_bucket(journey):
    store, pool = journey.store, journey.store.existing(POOL)
    before = {row["candidate_id"]: row for row in journey.rows(POOL.asset, POOL.partition)}
    store.objects.remove(f"{POOL.path}/manifest.json")
    lose_the_local_disk(journey)
    again = journey.gsr("run")
    assert again.returncode == 0, again.stdout + again.stderr
    assert {row["candidate_id"]: row for row in journey.rows(POOL.asset, POOL.partition)} == before
    assert store.existing(POOL).shards == pool.shards
    assert store.existing(POOL).data_version == pool.data_version
