"""The first figures on a GPU: `bench/gpu.sh`, which see, or `python -m bench.gpu`. It makes its model and needs no network.

Each row runs in a process of its own, with a limit, and a row that fails says why and leaves the others alone.
The share of the peak is of a matrix product measured in the same run, at 6 floating point operations a parameter and
token of whole weights and 4 of an adapter (Kaplan et al., arXiv 2001.08361; the gradients of frozen weights are not
made). Engines are measured without their start, this project's and the bare one on the same requests.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.gpu.inputs import make_model, on_gpu
from bench.gpu.sampling import bare_transformers, bare_vllm, served_engine, student, transformers_engine, vllm_engine
from bench.gpu.training import peak, trained

LIMIT = 150  # seconds a row

# A row's name, what measures it, what it needs, and what it is held against: another row, or the peak.
ROWS: dict[str, tuple[Callable[[Path], dict[str, float]], tuple[str, ...], str]] = {
    "matrix product": (peak, (), ""),
    "training, LoRA": (lambda folder: trained(folder, lora=True), ("trl", "peft"), "peak of 4"),
    "training, whole weights": (lambda folder: trained(folder, lora=False), ("trl",), "peak of 6"),
    "training, LoRA, two processes": (lambda folder: trained(folder, True, 2), ("trl", "peft"), "training, LoRA"),
    "sampling, bare transformers": (bare_transformers, (), ""),
    "sampling, transformers": (transformers_engine, (), "sampling, bare transformers"),
    "sampling, bare vLLM": (bare_vllm, ("vllm",), ""),
    "sampling, vLLM": (vllm_engine, ("vllm",), "sampling, bare vLLM"),
    "sampling, vllm serve": (served_engine, ("vllm", "openai"), "bare"),
    "a student live in vllm serve": (student, ("vllm", "openai", "peft"), "bare"),
}


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Return what a row measures, in a process of its own; ``error`` where it cannot."""
    missing = [package for package in ROWS[name][1] if not find_spec(package)]
    if missing:
        return {"error": f"not here: {', '.join(missing)}"}
    if "two processes" in name and on_gpu() and _gpus() < 2:
        return {"error": "not here: a second GPU"}
    command = [sys.executable, "-m", "bench.gpu", name, str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        ending = threading.Timer(LIMIT, lambda: os.killpg(process.pid, 9))
        ending.start()
        out, err = process.communicate()
        ending.cancel()
    (folder.parent / f"{name.replace(' ', '-')}.log").write_text(err)
    if process.returncode == -9:
        return {"error": f"it took longer than {LIMIT} s"}
    if process.returncode:
        return {"error": next((line for line in reversed(err.splitlines()) if line.strip()), "no reason")[:200]}
    return json.loads(out.splitlines()[-1])


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def table(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield the lines of the table as they are measured."""
    parameters = make_model(folder, on_gpu())
    yield f"{_machine()}, a Llama of {parameters / 1e6:.0f} M parameters with random weights."
    yield "| what | measured | beside |\n|---|---|---|"
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        row = found[name] = measure(name, folder)
        yield f"| {name} | {_figure(row)} | {_beside(row, ROWS[name][2], found, parameters)} |"


def _machine() -> str:
    import torch

    return torch.cuda.get_device_name() if on_gpu() else f"a CPU with {os.cpu_count()} cores (a rehearsal)"


def _figure(row: dict[str, Any]) -> str:
    if "error" in row:
        return row["error"]
    if "operations" in row:
        return f"{row['operations'] / 1e12:.1f} TFLOP/s"
    return f"{row['tokens_per_second']:,.0f} tokens/s"


def _beside(row: dict[str, Any], against: str, found: dict[str, dict[str, Any]], parameters: int) -> str:
    tokens = row.get("tokens_per_second")
    if tokens is None or not against:
        return ""
    if against.startswith("peak of"):
        most = found.get("matrix product", {}).get("operations")
        share = int(against.split()[-1]) * parameters * tokens / most if most else None
        return f"{share:.0%} of the matrix product" if share else ""
    other = row.get("bare") or found.get(against, {}).get("tokens_per_second")
    return f"{tokens / other:.2f} times {'the bare client' if against == 'bare' else against}" if other else ""


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(ROWS[sys.argv[1]][0](Path(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        for line in table(Path(scratch) / "model", ROWS):
            print(line, flush=True)


if __name__ == "__main__":
    main()
