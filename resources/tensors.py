"""The tensors of a checkpoint as numpy arrays, one at a time, without torch.

safetensors' own numpy reader knows no bfloat16. The format: 8 bytes with the length of a
JSON header (name: dtype, shape, data_offsets), the header, the data.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

READ_AS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1"}


@dataclass(frozen=True)
class WeightChange:
    """How many tensors a checkpoint has, how many of them change its base, and those with a value that is not finite."""

    tensors: int
    changed: int
    not_finite: tuple[str, ...]


def adapter_change(folder: Path) -> WeightChange:
    """Return how an adapter changes its base: a layer's B·A does where neither B nor A is all zeros."""
    loaded = tensors(folder)
    pairs = [(name, name.replace(".lora_B.", ".lora_A.")) for name in loaded if ".lora_B." in name]
    changed = sum(all(np.any(loaded[part]()) for part in pair) for pair in pairs)
    return WeightChange(len(loaded), changed, _not_finite(loaded))


def full_change(folder: Path, base: Path) -> WeightChange:
    """Return how weights that were trained whole differ from their base's. One the base lacks counts as changed."""
    loaded, before = tensors(folder), tensors(base)
    changed = sum(name not in before or not np.array_equal(load(), before[name]()) for name, load in loaded.items())
    return WeightChange(len(loaded), changed, _not_finite(loaded))


def tensors(folder: Path) -> dict[str, Callable[[], np.ndarray]]:
    """Return what loads each tensor of a folder's *.safetensors files, flat, by its name; bfloat16 as float32."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            found[name] = partial(_load, path, entry["dtype"], 8 + length + begin, end - begin)
    return found


def _load(path: Path, dtype: str, offset: int, length: int) -> np.ndarray:
    values = np.fromfile(path, dtype=np.uint8, count=length, offset=offset).view(READ_AS[dtype])
    if dtype == "BF16":  # the upper halves of float32's
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values


def _not_finite(loaded: dict[str, Callable[[], np.ndarray]]) -> tuple[str, ...]:
    return tuple(name for name, load in loaded.items() if not np.isfinite(load()).all())
