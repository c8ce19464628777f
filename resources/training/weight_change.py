"""How a checkpoint differs from its base, one tensor at a time and without torch."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes  # noqa: F401  (teaches numpy, and so safetensors, what bfloat16 is)
import numpy as np
from safetensors import safe_open


@dataclass(frozen=True)
class WeightChange:
    """How many tensors a checkpoint has, how many of them change its base, and those with a value that is not finite."""

    tensors: int
    changed: int
    not_finite: tuple[str, ...]


class Tensors:
    """The tensors of a folder's *.safetensors files, each read when it is asked for."""

    def __init__(self, files: list):
        self._files = {name: file for file in files for name in file.keys()}  # noqa: SIM118  (it has no iterator)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._files[name].get_tensor(name)

    @property
    def not_finite(self) -> tuple[str, ...]:
        return tuple(name for name in self if not np.isfinite(self[name]).all())


@contextmanager
def opened(folder: Path) -> Iterator[Tensors]:
    """Yield the tensors of a folder's *.safetensors files."""
    with ExitStack() as stack:
        yield Tensors([stack.enter_context(safe_open(path, "numpy")) for path in sorted(folder.glob("*.safetensors"))])


def adapter_change(folder: Path) -> WeightChange:
    """Return how an adapter changes its base: a layer's B·A does where neither B nor A is all zeros."""
    with opened(folder) as tensors:
        pairs = [(name, name.replace(".lora_B.", ".lora_A.")) for name in tensors if ".lora_B." in name]
        changed = sum(all(np.any(tensors[part]) for part in pair) for pair in pairs)
        return WeightChange(len(tensors), changed, tensors.not_finite)


def full_change(folder: Path, base: Path) -> WeightChange:
    """Return how weights that were trained whole differ from their base's. One the base lacks counts as changed."""
    with opened(folder) as tensors, opened(base) as before:
        changed = sum(name not in before or not np.array_equal(tensors[name], before[name]) for name in tensors)
        return WeightChange(len(tensors), changed, tensors.not_finite)
