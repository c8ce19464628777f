"""Objects in a bucket of Google Cloud Storage or a container of Azure Blob Storage, through obstore."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from gsr_dagster.experiment.errors import UserError
from resources.store.files import scratch_folder
from resources.store.hashes import sha256
from resources.store.objects.base import ConflictError, UnfitStoreError

CLOUDS = {"gs": "Google Cloud Storage", "az": "Azure Blob Storage"}
STORES = {"gs": "GCSStore", "az": "AzureStore"}
CREDENTIALS = {
    "gs": "GOOGLE_APPLICATION_CREDENTIALS names a key's file; or log in by gcloud auth application-default login",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME, and with it AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or "
    "AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID; or AZURE_USE_AZURE_CLI=true after az login",
}
# A large object takes longer than obstore's 30 seconds a request. A server that is silent for a minute has failed.
TIMES = {"timeout": "30m", "read_timeout": "60s"}
RETRIES = {"max_retries": 6}
NO_CONDITIONS = (
    "this object store has no conditional writes, without which one run would overwrite what another published. "
    "Google Cloud Storage and Azure Blob Storage have them"
)
NO_CREDENTIALS = "no valid credentials"
NO_ACCESS = "the credentials are refused, or may not do this: reading, writing, deleting and listing are needed"
# What obstore says, and what that means. The first that is found in it counts.
MEANINGS = (
    (
        r"token request|Account must be|service account|Access Key|RSA key|credentials file| 401 ",
        NO_CREDENTIALS,
    ),
    (r" 403 |necessary privileges", NO_ACCESS),
    (r" 404 |not found", "there is no such bucket"),
    (r" 501 ", "this server lacks something that is needed, such as listing or conditional writes"),
    (r"error sending request", "the server cannot be reached"),
)
MOST_CHARACTERS = 400


class BucketError(UserError, RuntimeError):
    """A bucket that cannot be used; the message says why."""


class CloudObjects:
    """Objects under gs://BUCKET/PREFIX or az://CONTAINER/PREFIX. Local copies stay in a cache, by their version.

    Credentials are read from the environment, by obstore. Raises UserError where obstore is not installed.
    """

    used_in: ClassVar[int] = 0  # the process whose threads serve obstore: a fork has none, and would wait for ever

    def __init__(self, root: str, cache: Path):
        self.root = root.rstrip("/")
        self.scheme, _, rest = self.root.partition("://")
        self.bucket, _, self.prefix = rest.partition("/")
        self.cache = cache
        self.conditions_hold = False
        try:
            self.obstore, self.stores = import_module("obstore"), import_module("obstore.store")
        except ImportError:
            raise UserError(f"{root}: {CLOUDS[self.scheme]} needs obstore: pip install 'gsr-dagster[cloud]'") from None
        self.faults = self.obstore.exceptions

    @cached_property
    def store(self) -> Any:
        """The bucket. It is listed once: of a bucket that is not there, a read says only that there is no object."""
        with self._told():
            store = getattr(self.stores, STORES[self.scheme])(
                self.bucket, prefix=self.prefix or None, config=TIMES, retry_config=RETRIES
            )
            next(iter(self.obstore.list(store)), None)
            return store

    def read(self, name: str) -> bytes | None:
        return self._get(name)[0]

    def write(self, name: str, content: bytes) -> None:
        try:
            self._put(name, content, "create")
        except self.faults.AlreadyExistsError:
            if self.read(name) != content:  # what stands there is damaged
                self._put(name, content, "overwrite")

    def replace(self, name: str, content: bytes, expected: bytes | None) -> None:
        before, version = self._get(name)
        if before != expected:
            raise ConflictError(name)
        if before is not None:
            self._refuse_a_server_that_overwrites(name, before)
        try:
            self._put(name, content, version or "create")
        except (self.faults.AlreadyExistsError, self.faults.PreconditionError):
            raise ConflictError(name) from None
        self._refuse_a_server_that_overwrites(name, content)

    def _refuse_a_server_that_overwrites(self, name: str, content: bytes) -> None:
        """Ask once, with what stands there already, whether conditions are obeyed.

        Raises UnfitStoreError where the server writes it again.
        """
        if self.conditions_hold:
            return
        try:
            self._put(name, content, "create")
        except self.faults.AlreadyExistsError:
            self.conditions_hold = True
        else:
            raise UnfitStoreError(f"{self.address(name)}: {NO_CONDITIONS}. It reads over them")

    def upload(self, name: str, path: Path) -> None:
        with self._told(name):
            self.obstore.put(self.store, name, path)

    def names(self, folder: str) -> list[str]:
        with self._told(folder):
            found = self.obstore.list_with_delimiter(self.store, folder)["objects"]
        return sorted(entry["path"].rpartition("/")[2] for entry in found)

    def tree(self) -> list[str]:
        with self._told():
            return sorted(entry["path"] for entry in self.obstore.list(self.store).collect())

    def listed(self) -> dict[str, tuple[int, float]]:
        with self._told():
            entries = self.obstore.list(self.store).collect()
        return {entry["path"]: (entry["size"], entry["last_modified"].timestamp()) for entry in entries}

    def remove(self, name: str) -> None:
        with self._told(name), suppress(FileNotFoundError):
            self.obstore.delete(self.store, name)

    def local(self, name: str, fresh: bool = False) -> Path | None:
        with self._told(name), suppress(FileNotFoundError):
            version = _version(self.obstore.head(self.store, name))
            path = self.cache / sha256(f"{self.address(name)} {version}".encode()) / Path(name).name
            if fresh or not path.exists():
                with scratch_folder(path.parent) as scratch:
                    with (scratch / "object").open("wb") as file:
                        for part in self.obstore.get(self.store, name):
                            file.write(part)
                    os.replace(scratch / "object", path)
            return path
        return None

    def address(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _get(self, name: str) -> tuple[bytes | None, dict[str, str]]:
        """Return an object's content and its version, from the bucket and not from the cache."""
        with self._told(name), suppress(FileNotFoundError):
            found = self.obstore.get(self.store, name)
            return bytes(found.bytes()), _version(found.meta)
        return None, {}

    def _put(self, name: str, content: bytes, mode: str | dict[str, str]) -> None:
        """Write an object in one of obstore's modes. A condition that does not hold is raised as obstore's error."""
        with self._told(name):
            self.obstore.put(self.store, name, content, mode=mode, use_multipart=False)

    @contextmanager
    def _told(self, name: str = "") -> Iterator[None]:
        """Say in a UserError what is wrong, where obstore fails: its own message is a page of Rust."""
        CloudObjects.used_in = CloudObjects.used_in or os.getpid()
        if CloudObjects.used_in != os.getpid():
            raise RuntimeError("obstore was used before this process was forked: spawn it instead")
        try:
            yield
        except (self.faults.AlreadyExistsError, self.faults.PreconditionError):
            raise
        except (self.faults.BaseError, FileNotFoundError, ValueError) as error:
            text = str(error).partition("\n\nDebug source")[0]
            meaning = next((means for found, means in MEANINGS if re.search(found, text)), "")
            if meaning in (NO_CREDENTIALS, NO_ACCESS):
                meaning += f" ({CREDENTIALS[self.scheme]})"
            said = " ".join(re.sub(r"<[^>]*>", " ", text).split())[:MOST_CHARACTERS]
            raise BucketError(": ".join(filter(None, (self.address(name).rstrip("/"), meaning, said)))) from None


def _version(meta: Any) -> dict[str, str]:
    """Return what names one version of an object: Google's generation, Azure's ETag."""
    return {part: meta[part] for part in ("e_tag", "version") if meta[part]}
