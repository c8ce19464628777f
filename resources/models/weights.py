"""Model sources: from `hf:ORG/NAME@REVISION`, `path:FOLDER` or `gguf:PACKAGE-OR-PATH` to a local folder.

A GGUF file is turned into safetensors once, in the user's cache folder, with the hashes
of what was written: what has changed since is made again. Weights are never unpickled.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.errors import UserError
from resources.models.hub import hub_errors_as
from resources.models.merging import merge_adapter
from resources.store.files import cache_folder, scratch_folder
from resources.store.hashes import HASHES, read_sha256sums, sha256_of_file, sha256sums

MEBIBYTE = 1 << 20
PICKLED = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}

log = logging.getLogger(__name__)

# For a base model, which knows no turns: each solution ends, so that the model ends its own.
PLAIN_CHAT = (
    "{% for message in messages %}{% if message['role'] == 'user' %}Problem: {{ message['content'] }}\n\n"
    "{% else %}Solution: {{ message['content'] }}{{ eos_token }}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Solution:{% endif %}"
)


class SourceError(UserError, ValueError):
    """A model source that names nothing usable; the message says what would."""


def weights_identity(source: str) -> str:
    """Return what pins the weights behind a source, for fingerprints, without loading them.

    A hub revision as given; for local files a sha256 over names, sizes and contents
    (of a file over 2 MiB its first and last MiB). Raises SourceError where nothing is there.
    """
    kind, _, name = source.partition(":")
    if kind == "hf":
        return source
    files = [(file, file.stat()) for file in _local_files(kind, name)]
    # A page lives for days, and weights are trained again in their folder: what was read holds while no file changes.
    read = tuple((file, stat.st_size, stat.st_mtime_ns, stat.st_ino) for file, stat in files)
    return f"{kind}:sha256:{_ends_digest(read)}"


@lru_cache(maxsize=256)
def _ends_digest(files: tuple[tuple[Path, int, int, int], ...]) -> str:
    """Return a sha256 over the names, sizes and ends of files, each with its size, time of change and inode."""
    digest = hashlib.sha256()
    for file, size, *_ in files:
        digest.update(f"{file.name}\0{size}\0".encode())
        with file.open("rb") as content:
            digest.update(content.read(MEBIBYTE))
            if size > 2 * MEBIBYTE:
                content.seek(-MEBIBYTE, os.SEEK_END)
            digest.update(content.read(MEBIBYTE))
    return digest.hexdigest()


def fetch(source: str) -> Path:
    """Return a local folder with the source's config, tokenizer and safetensors.

    `hf:` downloads the pinned revision into the hub's cache (HF_HUB_OFFLINE and
    HF_HOME are honoured); `gguf:` converts once. Raises SourceError.
    """
    kind, _, name = source.partition(":")
    if kind == "path":
        return _inside(_local_files(kind, name)[0].parent)
    if kind == "gguf":
        return _converted(_gguf_file(name), weights_identity(source))
    return _inside(_from_hub(name, ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py"]))


def fetch_tokenizer(source: str) -> Path:
    """Return a local folder with the source's tokenizer; of the hub, that is all that is downloaded."""
    kind, _, name = source.partition(":")
    return _from_hub(name, ["*.json", "*.txt", "*.jinja"]) if kind == "hf" else fetch(source)


def _from_hub(name: str, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    with hub_errors_as(SourceError, f"hf:{name}"):
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))


def _inside(folder: Path) -> Path:
    """Return a folder of weights. Raises SourceError where an index in it names files of another folder."""
    for index in folder.glob("*.safetensors.index.json"):
        try:
            parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            strange = [part for part in parts if Path(part).name != part or not part.endswith(".safetensors")]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise SourceError(f"{index} is no index of safetensors files") from None
        if strange:
            raise SourceError(f"{index} names {strange[0]!r}: only *.safetensors files beside it are read")
    return folder


def _local_files(kind: str, name: str) -> list[Path]:
    if kind == "gguf":
        return [_gguf_file(name)]
    folder = Path(name).expanduser()
    try:
        files = sorted(f for pattern in ("*.json", "*.safetensors", "*.jinja") for f in folder.glob(pattern))
        pickled = sorted(f.name for f in folder.iterdir() if f.suffix in PICKLED) if folder.is_dir() else []
    except OSError as error:
        raise SourceError(f"path:{name}: {error.strerror}") from None
    if not any(f.suffix == ".safetensors" for f in files):
        why = f"; {pickled[0]} is not read, since unpickling runs what stands in it" if pickled else ""
        raise SourceError(f"path:{name}: the folder holds no *.safetensors file{why}")
    return files


def _gguf_file(name: str) -> Path:
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise SourceError(f"gguf:{name}: there is no such file")
        return path
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise SourceError(f"gguf:{name}: no such package is installed, and it is no path to a .gguf file") from None
    files = [f for f in distribution.files or [] if f.suffix == ".gguf"]
    if len(files) != 1:
        raise SourceError(f"gguf:{name}: the package carries {len(files)} .gguf files, not one")
    return Path(str(distribution.locate_file(files[0])))


def _converted(gguf: Path, identity: str) -> Path:
    return _made_once(f"{gguf.stem}-{identity[-16:]}", lambda folder: convert_gguf(gguf, folder))


def _made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, made where it is missing or damaged, whole or not at all."""
    target = cache_folder() / "models" / name
    fault = _fault(target) if target.is_dir() else None
    if target.is_dir() and not fault:
        return target
    with scratch_folder(target.parent) as scratch:
        if fault:
            log.warning("%s: %s. It is made again.", target, fault)
            with suppress(FileNotFoundError):  # another process was first
                target.rename(scratch / "damaged")
        made = scratch / "model"
        make(made)
        (made / HASHES).write_text(sha256sums(_hashes(made)))
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():  # another process was first
                raise
    return target


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != HASHES)
    return {file.name: sha256_of_file(file) for file in files}


def _fault(folder: Path) -> str | None:
    """Return what is wrong with a folder of the cache, None where it is what was written."""
    if not (folder / HASHES).is_file():
        return f"it has no {HASHES}"
    try:
        recorded = read_sha256sums((folder / HASHES).read_bytes())
    except ValueError as error:
        return f"{HASHES} is damaged: {error}"
    changed = {name for name, _ in recorded.items() ^ _hashes(folder).items()}
    return f"{HASHES} does not hold for {', '.join(sorted(changed))}" if changed else None


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write a GGUF file's model and tokenizer into a folder, as bfloat16 safetensors.

    A base model without a chat template gets a plain one, "Problem: ... Solution: ...".
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    with redirect_stderr(StringIO()):  # a bar that has no switch
        quantized: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16)
    # transformers refuses to save a model it read from GGUF: the same class is made anew.
    config = quantized.config
    del config.quantization_config
    model = type(quantized)(config).to(torch.bfloat16)
    model.load_state_dict(quantized.state_dict())
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.chat_template = tokenizer.chat_template or PLAIN_CHAT
    tokenizer.save_pretrained(folder)


def merged(base: Path, adapter: Path) -> Path:
    """Return a folder with the base's weights and the adapter merged into them, made once in the cache."""
    digest = hashlib.sha256(str(base).encode())
    for file in sorted(adapter.glob("adapter_*")):
        digest.update(file.read_bytes())

    def make(folder: Path) -> None:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", use_safetensors=True, trust_remote_code=False)
        merge_adapter(PeftModel.from_pretrained(model, str(adapter))).save_pretrained(folder)
        AutoTokenizer.from_pretrained(base, trust_remote_code=False).save_pretrained(folder)

    return _made_once(f"merged-{digest.hexdigest()[:16]}", make)
