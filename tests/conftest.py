"""A real small model, made and trained on the spot, and an experiment that fits it."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from gsr_dagster.method.prompts import direct_messages, refinement_messages
from resources.problems.recorded_samples import Recorded, write_recorded

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
RIGHT = 0.7
STEPS = 320


def sum_problem(rng: random.Random) -> tuple[str, int]:
    left, right = rng.randint(1, 9), rng.randint(1, 9)
    sign = rng.choice((1, -1))
    text = f"{left} {'+' if sign > 0 else '-'} {right}"
    return f"State the final answer to the following arithmetic problem: {text} =", left + sign * right


def attempt(answer: int, rng: random.Random) -> str:
    """A solution that is right seven times in ten: what the model will have learned to do."""
    said = answer if rng.random() < RIGHT else answer + rng.choice((-2, -1, 1, 2))
    return f"The answer is \\boxed{{{said}}}."


def training_chat(rng: random.Random, refine: bool) -> list[dict[str, str]]:
    problem, answer = sum_problem(rng)
    prompt = direct_messages(problem)
    if refine:
        prompt = refinement_messages(problem, [attempt(answer, rng) for _ in range(2)])
    return [*prompt, {"role": "assistant", "content": attempt(answer, rng)}]


def small_tokenizer(rng: random.Random):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [message["content"] for i in range(300) for message in training_chat(rng, refine=i % 2 == 1)]
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>")
    fast.chat_template = CHAT_TEMPLATE
    return fast


def train_small_model(folder: Path) -> None:
    """Write a Llama of four layers that adds small numbers, right seven times in ten, into a folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    rng = random.Random(0)
    torch.manual_seed(0)
    tokenizer = small_tokenizer(rng)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [
        torch.optim.Muon(matrices, lr=3e-3, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=3e-3),
    ]
    tokenizer.padding_side = "right"
    for step in range(STEPS):
        refine = step % 4 == 3  # a batch of one kind has prompts of one length
        chats = [training_chat(rng, refine) for _ in range(32 if refine else 64)]
        full = [tokenizer.apply_chat_template(c, return_dict=True)["input_ids"] for c in chats]
        prompts = [
            tokenizer.apply_chat_template(c[:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
            for c in chats
        ]
        batch = tokenizer.pad({"input_ids": full}, return_tensors="pt")
        labels = batch["input_ids"].clone()
        for row, (prompt, whole) in enumerate(zip(prompts, full, strict=True)):
            labels[row, : len(prompt)] = -100
            labels[row, len(whole) :] = -100
        loss = model(**batch, labels=labels).loss
        loss.backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 3e-3 * min(1, (STEPS - step) / (STEPS / 2))
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real model that is right on about seven of ten small sums."""
    folder = tmp_path_factory.mktemp("model")
    train_small_model(folder)
    return folder


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


@pytest.fixture
def s3_environment(s3_endpoint: str, tmp_path: Path) -> dict[str, str]:
    """What a user sets to work on that server, with an empty local cache."""
    return {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "GSR_CACHE": str(tmp_path / "cache"),
    }


class RecordedFamily:
    """Two models of one family whose samples someone drew before, on two benchmarks: an experiment without a model.

    A third model, never run, loads weights: so the steps that load a model share a pool.
    """

    models = ("7b", "14b")
    benchmarks = ("short", "long")

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "experiment.yaml"
        for name, problems in (("short", 3), ("long", 5)):
            rows = [{"id": str(i), "problem": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(problems)]
            (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        for model in self.models:
            self.record(model, samples=4)
        self.write()

    def record(self, model: str, samples: int) -> None:
        """Write a model's samples, every second one right, and a right refinement of each two."""
        rows = [
            Recorded(str(i), f"What is {i} + {i}?", str(2 * i), f"It is \\boxed{{{2 * i}}}.", self._candidates(i))
            for i in range(5)
            for _ in range(samples // 2)
        ]
        write_recorded(rows, self.folder / model, k=2)

    @staticmethod
    def _candidates(number: int) -> tuple[str, ...]:
        return tuple(f"The answer is \\boxed{{{2 * number + wrong}}}." for wrong in (0, 1))

    def write(self, samples: int = 4) -> None:
        """Write the experiment file, with so many samples a problem."""
        rollout = {"temperature": 1.0, "max_new_tokens": 64}
        models = {model: {"parameters": 1e9, "engine": {"kind": "recorded", "path": model}} for model in self.models}
        document = {
            "name": "recorded",
            "k": 2,
            "families": {"qwen2.5": models, "llama": {"tiny": {"source": "path:nowhere", "parameters": 1}}},
            "benchmarks": {name: {"source": f"file:{name}.jsonl", "samples": samples} for name in self.benchmarks},
            "evaluation": {"direct": rollout, "refinement": rollout, "candidate_tokens": 64},
        }
        self.path.write_text(yaml.safe_dump(document, sort_keys=False))


@pytest.fixture
def recorded_family(tmp_path: Path) -> RecordedFamily:
    """An experiment of recorded samples in a folder of its own."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    return RecordedFamily(folder)


class Inbox:
    """An HTTP receiver on loopback that answers ``status``; ``posts`` holds path, answer and document of each POST."""

    def __init__(self):
        self.status = 200
        self.posts: list[tuple[str, int, dict]] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                inbox.posts.append((self.path, inbox.status, document))
                self.send_response(inbox.status)
                if 300 <= inbox.status < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format, *args):  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def taken(self, path: str) -> list[dict]:
        return [document for at, status, document in self.posts if at == path and status == 200]

    def refused(self, path: str) -> list[dict]:
        return [document for at, status, document in self.posts if at == path and status != 200]


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
        patch.setattr("resources.store.sample_log.SHARD_SAMPLES", school.SHARD_SAMPLES)
        finished = school.School(school.document(folder), folder / "artifacts")
        finished.run_all()
    return finished
