"""What an artifact is: the recipe it is made from, and the manifest that says what it holds.

A manifest's sha256 is the artifact's data version; it stands in it, over all else that
it holds.
"""

import importlib.metadata
import json
import re
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.hashes import HASHES, NAME, sha256
from resources.texts import printable

VERSIONED = (
    "gsr-dagster",
    "latex2sympy2_extended",
    "math-verify",
    "peft",
    "pyarrow",
    "reasoning-gym",
    "sympy",
    "torch",
    "transformers",
    "trl",
)
NAME_DIGITS = 16
# The line of a manifest's own sha256, among those of its parts.
SIGNATURE = re.compile(rb'^ "sha256": "([0-9a-f]{64})",\n', re.MULTILINE)
# As many manifests as stand between two looks at one, in an experiment of the paper's size.
MOST_DECODED = 1024


class ForeignManifestError(Exception):
    """A whole manifest that another version of gsr wrote, or another hand."""


@dataclass(frozen=True)
class Recipe:
    """What an artifact is made from: ``settings`` shape its rows, ``wanted`` only says how many."""

    key: ArtifactKey
    settings: dict[str, Any]
    wanted: dict[str, Any] = field(default_factory=dict)
    upstream: tuple[ArtifactKey, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        return sha256(canonical_json({"asset": self.key.asset, "settings": self.settings}))[:NAME_DIGITS]


FileName = Annotated[str, Field(pattern=rf"^{NAME}(/{NAME})?$")]
AssetName = Annotated[str, Field(pattern=rf"^{NAME}(/{NAME}){{0,2}}$")]
PartitionKey = Annotated[str, Field(pattern=rf"^({NAME}(\|{NAME})?)?$")]
ArtifactName = Annotated[str, Field(pattern=rf"^{NAME}(/{NAME}){{0,2}}(\[{NAME}(\|{NAME})?\])?$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]


class StoredFile(BaseModel):
    """A shard or another file of an artifact; ``rows`` is 0 for a file that is no shard."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: FileName
    sha256: Digest
    rows: Annotated[int, Field(ge=0)] = 0


class Manifest(BaseModel):
    """What one artifact holds and what it was made from. ``summary`` is what its asset counted."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    asset: AssetName
    partition: PartitionKey
    fingerprint: Digest
    settings: dict[str, Any]
    wanted: dict[str, Any]
    shards: tuple[StoredFile, ...]
    files: tuple[StoredFile, ...] = ()
    upstream: dict[ArtifactName, Digest]
    summary: dict[str, Any] = {}
    versions: dict[str, str]

    @property
    def key(self) -> ArtifactKey:
        return ArtifactKey(self.asset, self.partition)

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def stored(self) -> tuple[StoredFile, ...]:
        return (*self.shards, *self.files)

    @cached_property
    def data_version(self) -> str:
        """The sha256 of all that the manifest holds."""
        return sha256(canonical_json(self.model_dump(mode="json")))

    @cached_property
    def content(self) -> str:
        """The sha256 of what the artifact holds, whatever it was made with: equal rows and files, equal content."""
        # A SHA256SUMS only repeats the others.
        held = [stored.sha256 for stored in self.stored if not stored.name.endswith(f"/{HASHES}")]
        return sha256(canonical_json(sorted(held)))

    @property
    def encoded(self) -> bytes:
        """The manifest as it is written: with its own sha256."""
        return signed(self.model_dump(mode="json"))

    @classmethod
    @lru_cache(maxsize=MOST_DECODED)
    def decode(cls, content: bytes) -> "Manifest":
        """Return a manifest from what was written. The same bytes are checked once in the life of this process.

        Raises ValueError where that has changed since, ForeignManifestError where it has
        not and is none of this version.
        """
        try:
            document = json.loads(content.decode())  # which holds no lone surrogate
            whole = is_whole(content) and isinstance(document, dict)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"it is no JSON object: {error}") from None
        if not whole:
            raise ValueError("its sha256 is not the one that stands in it")
        signature = document.pop("sha256")
        try:
            manifest = cls.model_validate(document)
        except ValidationError as error:
            raise ForeignManifestError(first_fault(error)) from None
        if document.keys() == cls.model_fields.keys():  # it is over what an older manifest leaves out too
            vars(manifest)["data_version"] = signature
        return manifest


def first_fault(error: ValidationError) -> str:
    """Return where the first fault of a document is, and what, as it may be shown."""
    first = error.errors()[0]
    return printable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def canonical_json(value: Any) -> bytes:
    """Return JSON with sorted keys: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that shape artifacts, of those that are installed."""
    return {name: version for name in VERSIONED if (version := _installed_version(name))}


@cache
def _installed_version(name: str) -> str | None:
    """Return the version of a package, None where it is not installed. Looked up once a process."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def is_whole(content: bytes) -> bool:
    """Return whether a manifest as it was written holds the sha256 of all its other lines."""
    found = SIGNATURE.search(content)
    return found is not None and sha256(content[: found.start()] + content[found.end() :]) == found[1].decode()


def signed(document: dict[str, Any]) -> bytes:
    """Return a manifest's JSON with the sha256 of all else that it holds."""
    unsigned = {name: part for name, part in document.items() if name != "sha256"}
    return canonical_json({**unsigned, "sha256": sha256(canonical_json(unsigned))})
