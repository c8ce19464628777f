"""The state of an optimiser, a schedule or random numbers, as safetensors and JSON: nothing is pickled.

A state is a tree of dicts, lists and tuples. Its tensors go into <name>.safetensors, and the
rest into <name>.json, with a number in each tensor's place.
"""

import json
from pathlib import Path
from typing import Any


def save_state(state: Any, folder: Path, name: str) -> None:
    """Write a state. Raises TypeError where it holds what is neither a tensor nor plain."""
    from safetensors.torch import save_file

    tensors: list[Any] = []
    plain = _plain(state, tensors)
    save_file(
        {str(n): tensor.detach().cpu().contiguous().clone() for n, tensor in enumerate(tensors)},
        folder / f"{name}.safetensors",
    )
    (folder / f"{name}.json").write_text(json.dumps(plain))


def load_state(folder: Path, name: str) -> Any:
    """Return a state that save_state wrote, its tensors on the CPU."""
    from safetensors.torch import load_file

    tensors = load_file(folder / f"{name}.safetensors")
    return _whole(json.loads((folder / f"{name}.json").read_text()), tensors)


def _plain(value: Any, tensors: list[Any]) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        tensors.append(value)
        return {"tensor": len(tensors) - 1}
    if isinstance(value, dict):
        return {"dict": [[_plain(key, tensors), _plain(part, tensors)] for key, part in value.items()]}
    if isinstance(value, list | tuple):
        return {"tuple" if isinstance(value, tuple) else "list": [_plain(part, tensors) for part in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a state holds a {type(value).__name__}, which is not saved")


def _whole(value: Any, tensors: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "tensor":
        return tensors[str(held)]
    if kind == "dict":
        return {_whole(key, tensors): _whole(part, tensors) for key, part in held}
    parts = [_whole(part, tensors) for part in held]
    return tuple(parts) if kind == "tuple" else parts


def random_state() -> dict[str, Any]:
    """Return the state of every source of random numbers of this process."""
    import random

    import numpy as np
    import torch

    numpy: Any = np.random.get_state(legacy=False)
    numpy["state"]["key"] = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    return {
        "python": random.getstate(),
        "numpy": numpy,
        "cpu": torch.random.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Set every source of random numbers of this process to a state that random_state gave."""
    import random

    import numpy as np
    import torch

    random.setstate(state["python"])
    numpy = state["numpy"]
    numpy["state"]["key"] = numpy["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state(numpy)
    torch.random.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
