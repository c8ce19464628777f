"""Stored files cut off and flipped: all of it is found by hash, and only what is damaged is made again."""

import random
import shutil
import uuid
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Manifest
from tests import school as scripted
from tests.journeys.reliability.full_numbers import times

PARTITION = "sums|llama-tiny"
# Of each kind of stored file, one: where it lies, and what makes it.
KINDS = {
    "samples": ("base/candidate_pools/sums/llama-tiny/*/shard-*", ArtifactKey("base/candidate_pools", PARTITION)),
    "rows": ("base/gap_reports/sums/llama-tiny/*/shard-*", ArtifactKey("base/gap_reports", PARTITION)),
    "manifest": ("base/candidate_pools/sums/llama-tiny/manifest.json", ArtifactKey("base/candidate_pools", PARTITION)),
    "weights": ("lora_checkpoints/*/*/*/adapter_model.safetensors", ArtifactKey("lora_checkpoints", scripted.STUDENT)),
    "adapter's settings": ("lora_checkpoints/*/*/*/adapter_config.json", ArtifactKey("lora_checkpoints", scripted.STUDENT)),
    "hashes": ("lora_checkpoints/*/*/*/SHA256SUMS", ArtifactKey("lora_checkpoints", scripted.STUDENT)),
    "report": ("student_comparison/*/*/report.html", ArtifactKey("student_comparison")),
}  # fmt: skip
READERS = (("run",), ("report",), ("plan",), ("lineage", scripted.STUDENT), ("sql",), ("regrade",), ("verify",))


class Kept(scripted.School):
    """The scripted school as the gsr command sees it, in a folder of its own."""

    def __init__(self, written: dict, folder: Path):
        super().__init__(written, folder / "artifacts" / "school")
        self.root = Path(self.store.root)
        self.path = folder / "school.yaml"
        self.path.write_text(yaml.safe_dump(written, sort_keys=False))

    def gsr(self, *arguments: str) -> Result:
        """Run a command; it may fail, but never with a traceback."""
        result = CliRunner().invoke(main, ["-e", str(self.path), *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    def one(self, kind: str) -> Path:
        return sorted(self.root.glob(KINDS[kind][0]))[0]

    def names(self) -> list[str]:
        return self.store.objects.tree()

    def contents(self) -> dict[str, bytes]:
        return {name: (self.root / name).read_bytes() for name in self.names()}

    def times(self) -> dict[str, int]:
        return {name: (self.root / name).stat().st_mtime_ns for name in self.names()}

    def found(self) -> list[str]:
        """Return what gsr verify names."""
        told = self.gsr("verify")
        faults = [line for line in told.output.splitlines() if line.startswith(str(self.root))]
        assert told.exit_code == (1 if faults else 0)
        return sorted(fault.split(" ")[0].removeprefix(f"{self.root}/") for fault in faults)


@pytest.fixture
def school(finished_school: scripted.School, tmp_path: Path, monkeypatch) -> Kept:
    """The finished school in a folder of its own, to be damaged: more than a hundred files."""
    scripted.play(monkeypatch)
    monkeypatch.setattr("resources.engines.sample_log.SHARD_SAMPLES", scripted.SHARD_SAMPLES)
    monkeypatch.setenv("GSR_EXPERIMENT", "")
    monkeypatch.setenv("GSR_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    shutil.copytree(finished_school.store.root, tmp_path / "artifacts" / "school")
    return Kept(finished_school.written, tmp_path)


def offsets(length: int, count: int) -> list[int]:
    """Return places to cut at, the first byte and the last among them."""
    return sorted({round(part * (length - 1) / (count - 1)) for part in range(count)})


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_found_and_materializing_makes_only_its_artifact_again(school, kind, capfd, caplog):
    path, key = school.one(kind), KINDS[kind][1]
    before = school.contents()
    whole = path.read_bytes()
    for number, offset in enumerate(offsets(len(whole), times(2, 200))):
        path.write_bytes(whole[:offset])
        written = school.times()
        assert [name for name, _ in school.store.verified.damage()] == [path.relative_to(school.root).as_posix()]
        if number % times(1, 10):
            path.write_bytes(whole)
            continue
        assert school.run(key.asset, key.partition).success
        assert f"{path.name} is damaged" in capfd.readouterr().err + caplog.text
        caplog.clear()
        assert school.contents() == before
        changed = {school.root / name for name, when in school.times().items() if written[name] != when}
        assert path in changed
        if kind == "samples":
            assert changed == {path, school.root / key.path / "manifest.json"}
        else:
            assert all((school.root / key.path) in file.parents for file in changed)


def test_of_files_with_one_byte_flipped_all_are_found_and_one_run_makes_them_again(school):
    before = school.contents()
    rng = random.Random(7)
    chosen = sorted(rng.sample(sorted(before), times(6, 100)))
    for name in chosen:
        (school.root / name).write_bytes(flipped(before[name], rng))
    found = school.found()
    assert set(found) >= set(chosen)
    lists = {name.removesuffix("SHA256SUMS") for name in chosen if name.endswith("/SHA256SUMS")}
    assert all(any(name.startswith(place) for place in lists) for name in set(found) - set(chosen))
    untouched = {name: when for name, when in school.times().items() if name not in chosen}
    dropped = school.gsr("verify", "--drop")
    assert f"{len(found)} dropped" in dropped.output
    assert school.gsr("run").exit_code == 0
    assert school.contents() == before
    assert school.found() == []
    shards = [name for name in untouched if "candidate_pools" in name and "shard-" in name]
    assert {name: school.times()[name] for name in shards} == {name: untouched[name] for name in shards}


def test_no_byte_of_a_manifest_can_change_unseen(school):
    content = school.one("manifest").read_bytes()
    rng = random.Random(7)
    for place in range(0, len(content), times(7, 1)):
        changed = bytearray(content)
        changed[place] ^= 1 << rng.randrange(8)
        with pytest.raises((ValueError, AttributeError)):
            Manifest.decode(bytes(changed))


def test_a_run_that_needs_a_damaged_file_makes_it_again_by_itself_and_says_so(school):
    before = school.contents()
    path = next(school.root.glob("training_problems/*/shard-*"))
    path.write_bytes(path.read_bytes()[:-1])
    next(school.root.glob("teacher_solutions/*/manifest.json")).unlink()  # what is made of them
    done = school.gsr("run")
    assert done.exit_code == 0, done.output
    assert f"{path.name} is damaged: its sha256 begins with" in done.output
    assert "It is made again." in done.output
    assert school.contents() == before


@pytest.mark.parametrize("kind", list(KINDS)[: times(2, len(KINDS))])
@pytest.mark.parametrize("change", ["cut", "flipped"])
def test_no_command_ends_in_a_traceback(school, kind, change):
    path = school.one(kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if change == "cut" else flipped(whole, random.Random(7)))
    for command in READERS:
        if school.gsr(*command).exit_code == 0 and command == ("verify",):
            assert path.read_bytes() == whole  # the run has made it again


@pytest.fixture
def in_a_bucket(school, s3_environment, monkeypatch) -> Kept:
    """The school with its artifacts in a bucket of moto's server, and an empty cache."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    root = f"s3://artifacts/{uuid.uuid4()}"
    monkeypatch.setenv("GSR_ARTIFACTS", root)
    local, school.store = school.store, ArtifactStore(root=f"{root}/school")
    for name in local.objects.tree():
        school.store.objects.upload(name, school.root / name)
    return school


def test_damage_in_a_bucket_is_found_and_made_again(in_a_bucket):
    objects = in_a_bucket.store.objects
    before = {name: objects.read(name) for name in objects.tree()}
    rng = random.Random(7)
    chosen = sorted(
        in_a_bucket.one(kind).relative_to(in_a_bucket.root).as_posix() for kind in list(KINDS)[: times(3, 6)]
    )
    changes = [lambda content: content[: rng.randrange(len(content))], lambda content: flipped(content, rng)]
    for change in changes[: times(1, 2)]:
        for name in chosen:
            objects.remove(name)
            objects.write(name, change(before[name]))
        told = in_a_bucket.gsr("verify", "--drop").output
        assert all(f"/{name} is damaged" in told for name in chosen)
        assert f"{len(chosen)} dropped" in told
        assert in_a_bucket.gsr("run").exit_code == 0
        assert {name: objects.read(name) for name in objects.tree()} == before


def test_a_damaged_cache_of_a_bucket_is_fetched_again(in_a_bucket, s3_environment):
    def read() -> list:
        keys = [key for _, key in KINDS.values()]
        with_files = [key for key in keys if in_a_bucket.store.existing(key).files]
        files = [file for key in with_files for file in in_a_bucket.store.local_files(key).iterdir()]
        return [[in_a_bucket.store.read(key) for key in keys], {file.name: file.read_bytes() for file in files}]

    before = read()
    cached = [path for path in Path(s3_environment["GSR_CACHE"], "s3").rglob("*") if path.is_file()]
    assert len(cached) >= 15
    rng = random.Random(7)
    for number, path in enumerate(cached):
        whole = path.read_bytes()
        path.write_bytes(whole[: rng.randrange(len(whole))] if number % 2 else flipped(whole, rng))
    assert read() == before
    assert "Nothing to do" in in_a_bucket.gsr("run").output


@pytest.fixture(scope="module")
def base_and_adapter(tmp_path_factory) -> tuple[Path, Path]:
    """A real, untrained Llama and a LoRA adapter of it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from tests.small_model import small_tokenizer

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    tokenizer = small_tokenizer(random.Random(0))
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **size))
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    assert AutoTokenizer.from_pretrained(folder / "base")
    get_peft_model(model, LoraConfig(r=2, init_lora_weights=False)).save_pretrained(folder / "adapter")
    return folder / "base", folder / "adapter"


def test_damaged_weights_in_the_cache_are_made_again(base_and_adapter, tmp_path, monkeypatch, caplog):
    from resources.models.weights import merged

    monkeypatch.setenv("GSR_CACHE", str(tmp_path))
    folder = merged(*base_and_adapter)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "SHA256SUMS"} <= set(whole)
    rng = random.Random(7)
    for name, content in whole.items():
        changed = [content[:offset] for offset in offsets(len(content), times(2, 200))]
        for damaged in [*changed, flipped(content, rng)]:
            (folder / name).write_bytes(damaged)
            assert merged(*base_and_adapter) == folder
            assert "It is made again" in caplog.text
            caplog.clear()
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    merged(*base_and_adapter)
    assert not caplog.text
