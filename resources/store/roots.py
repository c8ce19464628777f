"""Where artifacts may lie: a local folder, or s3://BUCKET/PREFIX. All else is refused, before it becomes a folder."""

import re
from pathlib import Path

from gsr_dagster.experiment.errors import UserError

BUCKET = re.compile(r"s3://[A-Za-z0-9._-]{1,255}(/.*)?", re.DOTALL)
# No folder that anyone means: gs://b, gs:/b, s3:b, s3//b.
SCHEMES = r"s3[an]?|gs|gcs|azure|az|adl|abfss?|wasbs?|file|https?|hf"
ADDRESS = re.compile(rf"([a-z][a-z0-9+.-]*):/|({SCHEMES}):|({SCHEMES})//", re.IGNORECASE)
WHAT_CAN_BE = "artifacts lie in a local folder or under s3://BUCKET/PREFIX"
NO_OTHER_CLOUD = (
    "Buckets of Google and Azure, and other addresses, are not supported: take a bucket of S3, or of a server that "
    "speaks its protocol and has conditional writes, as MinIO and Cloudflare R2 do (AWS_ENDPOINT_URL names it)"
)


def local_path(text: str) -> Path:
    """Return the absolute path that a variable names, with ~ as a user's home. Raises UserError for nobody's home."""
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise UserError(f"{text}: there is no such user's home folder") from None


def artifact_root(text: str) -> str:
    """Return a root of artifacts as it is used: an absolute folder, or s3://BUCKET/PREFIX.

    Raises UserError where it is neither.
    """
    text = text.strip()
    if BUCKET.fullmatch(text):
        return f"s3://{text.removeprefix('s3://').rstrip('/')}"
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
    if scheme in ("s3", "s3a", "s3n"):
        address = f"s3://{rest.removeprefix('/')}"
        return f"write it as {address}" if BUCKET.fullmatch(address) else "it names no bucket; write s3://BUCKET/PREFIX"
    if scheme == "file":
        return "write the folder alone, without file:"
    if scheme in ("http", "https"):
        return f"{WHAT_CAN_BE}; AWS_ENDPOINT_URL names the server"
    return f"{WHAT_CAN_BE}. {NO_OTHER_CLOUD}"
