"""Objects in a bucket of S3, or of a server that speaks its protocol."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resources.store.files import scratch_folder
from resources.store.objects.base import ConflictError, UnfitStoreError

# What S3 says where another writer was first, or writes at this moment.
CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict")
# What a server says that knows no conditional writes.
NOT_IMPLEMENTED = 501
NO_CONDITIONS = (
    "this object store has no conditional writes (If-None-Match, If-Match), without which one run would overwrite "
    "what another published. Amazon S3, MinIO and Cloudflare R2 have them; or use a local folder"
)


class S3Objects:
    """Objects under s3://BUCKET/PREFIX. Local copies stay in a cache, by their ETag."""

    def __init__(self, root: str, client: Any, cache: Path):
        self.bucket, _, prefix = root.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.client = client
        self.cache = cache
        self.conditions_hold = False

    def read(self, name: str) -> bytes | None:
        return self._get(name)[0]

    def write(self, name: str, content: bytes) -> None:
        try:
            self._put(name, content, IfNoneMatch="*")
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in CONFLICTS:
                raise
            if self.read(name) != content:  # what stands there is damaged, or not written yet
                self.client.put_object(**self._at(name), Body=content)

    def replace(self, name: str, content: bytes, expected: bytes | None) -> None:
        before, tag = self._get(name)
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        if before != expected:
            raise ConflictError(name)
        if before is not None:
            self._refuse_a_server_that_overwrites(name, before)
        try:
            self._put(name, content, **condition)
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in (*CONFLICTS, "NoSuchKey"):
                raise
            raise ConflictError(name) from None
        self._refuse_a_server_that_overwrites(name, content)

    def _put(self, name: str, content: bytes, **condition: str) -> None:
        """Write an object on a condition. Raises UnfitStoreError where the server knows none."""
        try:
            self.client.put_object(**self._at(name), Body=content, **condition)
        except self.client.exceptions.ClientError as error:
            said = error.response["Error"]
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if said.get("Code") != "NotImplemented" and status != NOT_IMPLEMENTED:
                raise
            raise UnfitStoreError(f"{self.address(name)}: {NO_CONDITIONS}. It says: {error}") from None

    def _refuse_a_server_that_overwrites(self, name: str, content: bytes) -> None:
        """Ask once, with what stands there already, whether conditions are obeyed: some servers read over them.

        Raises UnfitStoreError where the server writes it again.
        """
        if self.conditions_hold:
            return
        try:
            self._put(name, content, IfNoneMatch="*")
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in CONFLICTS:
                raise
            self.conditions_hold = True
        else:
            raise UnfitStoreError(f"{self.address(name)}: {NO_CONDITIONS}. It reads over them")

    def upload(self, name: str, path: Path) -> None:
        at = self._at(name)
        self.client.upload_file(str(path), at["Bucket"], at["Key"])

    def names(self, folder: str) -> list[str]:
        return self._listed(f"{self.prefix}{folder}/", "/")

    def tree(self) -> list[str]:
        return self._listed(self.prefix, "")

    def listed(self) -> dict[str, tuple[int, float]]:
        entries = self._entries(self.prefix, "")
        return {
            entry["Key"].removeprefix(self.prefix): (entry["Size"], entry["LastModified"].timestamp())
            for entry in entries
        }

    def _listed(self, prefix: str, delimiter: str) -> list[str]:
        return sorted(entry["Key"].removeprefix(prefix) for entry in self._entries(prefix, delimiter))

    def _entries(self, prefix: str, delimiter: str) -> Iterator[dict[str, Any]]:
        lister = self.client.get_paginator("list_objects_v2")
        for page in lister.paginate(Bucket=self.bucket, Prefix=prefix, Delimiter=delimiter):
            yield from page.get("Contents", [])

    def remove(self, name: str) -> None:
        self.client.delete_object(**self._at(name))

    def local(self, name: str, fresh: bool = False) -> Path | None:
        tag = self._tag(name)
        if tag is None:
            return None
        path = self.cache / self.bucket / tag.strip('"') / Path(name).name
        if fresh or not path.exists():
            at = self._at(name)
            with scratch_folder(path.parent) as scratch:
                self.client.download_file(at["Bucket"], at["Key"], str(scratch / "object"))
                os.replace(scratch / "object", path)
        return path

    def address(self, name: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{name}"

    def _get(self, name: str) -> tuple[bytes | None, str | None]:
        """Return an object's content and its ETag, from the bucket and not from the cache."""
        try:
            found = self.client.get_object(**self._at(name))
        except self.client.exceptions.NoSuchKey:
            return None, None
        return found["Body"].read(), found["ETag"]

    def _tag(self, name: str) -> str | None:
        try:
            return self.client.head_object(**self._at(name))["ETag"]
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
            return None

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + name}
