"""Real small models, recorded ones, servers on loopback and a finished experiment, for all tests."""

import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

import tests.small_model
from resources.store.files import cache_folder
from resources.store.hashes import sha256
from tests import emulators
from tests.inbox import Inbox
from tests.recorded_family import RecordedFamily
from tests.small_model import small_tokenizer, train_small_model

# How long an example takes says nothing on a machine that others share.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")


def pytest_configure() -> None:
    """Hear Ctrl-C, and let every process that a test starts hear it, where a shell started this one in its background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole runs, so that no worker is left with one of them at the end.

    The first of them trains the small model; those that do not want it come next, so that no worker waits for it.
    """
    journeys = [item for item in items if "journeys" in item.path.parts]
    wanting = {item.path: None for item in journeys if "small_model" in getattr(item, "fixturenames", ())}
    first = next(iter(wanting), None)
    items.sort(
        key=lambda item: ("journeys" not in item.path.parts, item.path != first, item.path in wanting),
    )


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """The folder of a real model that is right on about seven of ten small sums.

    It is trained once, a minute and more, and kept in pytest's cache for all processes and later runs.
    """
    import torch

    assert pytestconfig.cache is not None
    source = sha256(Path(tests.small_model.__file__).read_bytes() + torch.__version__.encode())
    kept = pytestconfig.cache.mkdir(f"small-model-{source[:16]}") / "model"
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            partial = kept.with_suffix(".partial")
            train_small_model(partial)
            partial.rename(kept)
    folder = tmp_path_factory.mktemp("model")
    return shutil.copytree(kept, folder, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small model's tokenizer alone."""
    folder = tmp_path_factory.mktemp("tokenizer")
    small_tokenizer(random.Random(0)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def reward_model_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """The folder of a real, untrained reward model that reads chats: a Llama of two layers with one label."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=256, num_labels=1, initializer_range=0.2, **size
    )
    folder = tmp_path_factory.mktemp("reward-model")
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of moto's S3 server on loopback, with a bucket named artifacts."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket="artifacts")
    yield endpoint
    server.stop()


@pytest.fixture(scope="session")
def azure_server() -> Iterator[dict[str, str]]:
    """What a user sets to work on Azurite, with a container named artifacts."""
    pytest.importorskip("obstore")
    if shutil.which("azurite-blob") is None:
        pytest.skip("Azurite is not installed: make test-cloud")
    with emulators.azure() as environment:
        yield environment


@pytest.fixture(scope="session")
def google_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a user sets to work on fake-gcs-server, with a bucket named artifacts."""
    pytest.importorskip("obstore")
    if emulators.google_binary() is None:
        pytest.skip("fake-gcs-server is not installed: make test-cloud")
    with emulators.google(tmp_path_factory.mktemp("google")) as environment:
        yield environment


@pytest.fixture(scope="session")
def bucket_server(request: pytest.FixtureRequest) -> Callable[[str], dict[str, str]]:
    """What a user sets to work on the server of a scheme, s3, gs or az, with a bucket named artifacts."""

    def environment(scheme: str) -> dict[str, str]:
        if scheme != "s3":
            return request.getfixturevalue({"gs": "google_server", "az": "azure_server"}[scheme])
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        return {"AWS_ENDPOINT_URL": request.getfixturevalue("s3_endpoint"), **keys}

    return environment


@pytest.fixture
def bucket_environment(bucket_server: Callable[[str], dict[str, str]], tmp_path: Path):
    """The same, with an empty local cache."""
    return lambda scheme: {**bucket_server(scheme), "GSR_CACHE": str(tmp_path / "cache")}


@pytest.fixture
def s3_environment(bucket_environment: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """The same of S3."""
    return bucket_environment("s3")


@pytest.fixture
def recorded_family(tmp_path: Path) -> RecordedFamily:
    """An experiment of recorded samples in a folder of its own."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    return RecordedFamily(folder)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.server.shutdown()
    inbox.server.server_close()


@pytest.fixture
def topic(s3_endpoint: str, s3_environment: dict[str, str]) -> Iterator[tuple[str, Callable[[], list[dict]]]]:
    """An SNS topic of moto's server, and what returns the messages that a queue subscribed to it got since."""
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    sns = boto3.client("sns", endpoint_url=s3_endpoint, **keys)
    sqs = boto3.client("sqs", endpoint_url=s3_endpoint, **keys)
    arn = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)

    def received() -> list[dict]:
        found = []
        while batch := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    yield arn, received
    sns.delete_topic(TopicArn=arn)
    sqs.delete_queue(QueueUrl=queue)


@pytest.fixture(scope="session")
def finished_school(tmp_path_factory: pytest.TempPathFactory):
    """A small experiment that went through the whole graph with a scripted model: tests/school.py."""
    from tests import school

    folder = tmp_path_factory.mktemp("school")
    with pytest.MonkeyPatch.context() as patch:
        school.play(patch)
        patch.setattr("resources.engines.sample_log.SHARD_SAMPLES", school.SHARD_SAMPLES)
        finished = school.School(school.document(folder), folder / "artifacts")
        finished.run_all()
    return finished


@pytest.fixture(autouse=True)
def judgements_of_its_own(monkeypatch, tmp_path_factory, request) -> None:
    """Keep what a test's grader judges, which may be a false one, out of the user's cache and of other tests."""
    own = tmp_path_factory.getbasetemp() / "judgements" / sha256(request.node.nodeid.encode())[:16]
    folder = "resources.grading.judgements.cache_folder"
    monkeypatch.setattr(folder, lambda: cache_folder() if os.environ.get("GSR_CACHE") else own)
