"""Checkpoints read without torch, held against what they were made from."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from resources.training.weight_change import adapter_change, full_change, opened


def write_bfloat16(path: Path, name: str, values: np.ndarray) -> None:
    data = (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({name: {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [0, len(data)]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def test_tensors_of_every_precision_are_read_as_written(tmp_path):
    values = {
        "single": np.arange(6, dtype=np.float32).reshape(2, 3) / 3,
        "half": np.arange(5, dtype=np.float16) / 7,
        "empty": np.zeros((0, 4), np.float32),
    }
    save_file(values, tmp_path / "model-00001-of-00002.safetensors", metadata={"format": "pt"})
    write_bfloat16(tmp_path / "model-00002-of-00002.safetensors", "brain", np.array([1.5, -2.0, 0.0, 384.0]))
    with opened(tmp_path) as tensors:
        loaded = {name: tensors[name] for name in tensors}
    assert loaded.keys() == {*values, "brain"}
    assert all(np.array_equal(loaded[name], values[name]) for name in values)
    assert loaded["brain"].tolist() == [1.5, -2.0, 0.0, 384.0]


def test_an_adapter_changes_its_base_where_neither_factor_is_zero(tmp_path):
    one, zero = np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)
    layers = {"both": (one, one), "fresh": (one, zero), "dead": (zero, one)}
    parts = {
        f"{layer}.lora_{side}.weight": part
        for layer, pair in layers.items()
        for side, part in zip("AB", pair, strict=True)
    }
    save_file(parts, tmp_path / "adapter_model.safetensors")
    change = adapter_change(tmp_path)
    assert (change.tensors, change.changed, change.not_finite) == (6, 1, ())


def test_whole_weights_differ_where_a_tensor_does_in_whatever_precision(tmp_path):
    base, student = tmp_path / "base", tmp_path / "student"
    base.mkdir(), student.mkdir()
    write_bfloat16(base / "model.safetensors", "w", np.array([1.0, 2.0]))
    save_file({"w": np.array([1.0, 2.0], np.float32)}, student / "model.safetensors")
    assert full_change(student, base).changed == 0
    save_file({"w": np.array([1.0, np.nan], np.float32)}, student / "model.safetensors")
    change = full_change(student, base)
    assert (change.changed, change.not_finite) == (1, ("w",))
