"""Shards: rows as Parquet, in files that carry the head of their own sha256 in their names."""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from resources.store.hashes import sha256
from resources.store.manifests import NAME_DIGITS


def encode(table: pa.Table) -> bytes:
    """Return a table as the bytes of a shard."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def decode(content: bytes, columns: Sequence[str] = ()) -> pa.Table:
    """Return a shard's table, or some of its columns: those among them that it has."""
    # Without pyarrow's threads: now and then they abort a process that ends, and a shard is small.
    file = pq.ParquetFile(io.BytesIO(content), pre_buffer=False)
    wanted = [name for name in columns if name in file.schema_arrow.names] if columns else None
    return file.read(wanted, use_threads=False)


def shard_name(content: bytes) -> str:
    return f"shard-{sha256(content)[:NAME_DIGITS]}.parquet"


def digest_in_name(name: str) -> str:
    """Return the head of a sha256 that a name carries: shard-<sha256>.parquet, files-<sha256>."""
    return name.partition("-")[2].removesuffix(".parquet")
