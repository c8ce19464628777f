"""Where artifacts may lie: a local folder, or a bucket of a cloud. All else is refused, before it becomes a folder."""

import re
from pathlib import Path

from gsr_dagster.experiment.errors import UserError

BUCKET = re.compile(r"(s3|gs|az)://([A-Za-z0-9._-]{1,255}(/.*)?)", re.DOTALL)
SHAPES = {"s3": "s3://BUCKET/PREFIX", "gs": "gs://BUCKET/PREFIX", "az": "az://CONTAINER/PREFIX"}
# How else a cloud is called, and the one name that it has here.
CALLED = {
    **dict.fromkeys(("s3", "s3a", "s3n"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gs"),
    **dict.fromkeys(("az", "azure", "adl", "abfs", "abfss", "wasb", "wasbs"), "az"),
}
# No folder that anyone means: hdfs://h, gs:/b, s3:b, s3//b.
SCHEMES = "|".join((*CALLED, "file", "https?", "hf"))
ADDRESS = re.compile(rf"([a-z][a-z0-9+.-]*):/|({SCHEMES}):|({SCHEMES})//", re.IGNORECASE)
WHAT_CAN_BE = f"artifacts lie in a local folder, or under {', '.join(SHAPES.values())}"
# How Hadoop's tools and browsers name a container with its account, and a bucket of Google's.
HOST = r"(?P<account>[^./@]+)\.(?:blob|dfs)\.core\.windows\.net"
OF_AZURE = re.compile(rf"/?(?:(?P<container>[^/@]+)@)?{HOST}(?:/(?P<path>[^?]*))?.*", re.DOTALL)
OF_GOOGLE = re.compile(r"/?storage\.(?:googleapis|cloud\.google)\.com/(?P<path>[^?]+).*", re.DOTALL)


def local_path(text: str) -> Path:
    """Return the absolute path that a variable names, with ~ as a user's home. Raises UserError for nobody's home."""
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise UserError(f"{text}: there is no such user's home folder") from None


def artifact_root(text: str) -> str:
    """Return a root of artifacts as it is used: an absolute folder, or an address in a bucket without a "/" behind it.

    Raises UserError where it is neither.
    """
    text = text.strip()
    if found := BUCKET.fullmatch(text):
        scheme, rest = found.group(1), found.group(2).rstrip("/")
        if scheme != "s3" and {"", ".", ".."} & set(rest.split("/")):
            raise UserError(f"{text}: no part of the prefix may be empty, . or ..")
        return f"{scheme}://{rest}"
    if found := ADDRESS.match(text):
        scheme = next(filter(None, found.groups())).lower()
        raise UserError(f"{text}: {_advice(scheme, text[found.end() :])}")
    path = local_path(text)
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"{text}: {there} is a file; {WHAT_CAN_BE}")
    return str(path)


def _advice(scheme: str, rest: str) -> str:
    """Return what to write in place of an address; ``rest`` is what follows its scheme."""
    cloud, account = CALLED.get(scheme), ""
    if found := OF_AZURE.fullmatch(rest):
        rest = "/".join(filter(None, (found["container"], found["path"])))
        cloud, account = "az", f", and set AZURE_STORAGE_ACCOUNT_NAME={found['account']}"
    elif found := OF_GOOGLE.fullmatch(rest):
        cloud, rest = "gs", found["path"]
    if cloud:
        address = f"{cloud}://{rest.removeprefix('/')}"
        known = BUCKET.fullmatch(address)
        return f"write it as {address}{account}" if known else f"it names no bucket; write {SHAPES[cloud]}{account}"
    if scheme == "file":
        return "write the folder alone, without file:"
    if scheme in ("http", "https"):
        return f"{WHAT_CAN_BE}; for s3:// AWS_ENDPOINT_URL names the server"
    return f"{WHAT_CAN_BE}. Other addresses are not supported"
