"""Where artifacts may lie, and what is refused before it becomes a folder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.experiment.errors import UserError
from resources.store.artifacts import open_objects
from resources.store.roots import artifact_root

REFUSED = {
    "gs:/b/p": "write it as gs://b/p",
    "GS://b/p": "write it as gs://b/p",
    "gcs://b": "write it as gs://b",
    "gs://": "it names no bucket; write gs://BUCKET/PREFIX",
    "gs://my bucket/p": "it names no bucket",
    "gs://b//p": "no part of the prefix may be empty",
    "az://c/../p": "no part of the prefix may be empty, . or ..",
    "https://storage.googleapis.com/b/p": "write it as gs://b/p",
    "az:container/p": "write it as az://container/p",
    "az:///p": "it names no bucket; write az://CONTAINER/PREFIX",
    "azure://c/p": "write it as az://c/p",
    "abfs://c/p": "write it as az://c/p",
    "abfss://c@me.dfs.core.windows.net/p": "write it as az://c/p, and set AZURE_STORAGE_ACCOUNT_NAME=me",
    "wasbs://c@me.blob.core.windows.net": "write it as az://c, and set AZURE_STORAGE_ACCOUNT_NAME=me",
    "https://me.blob.core.windows.net/c/p?sv=1": "write it as az://c/p, and set AZURE_STORAGE_ACCOUNT_NAME=me",
    "https://me.blob.core.windows.net/": "it names no bucket; write az://CONTAINER/PREFIX",
    "hdfs://host:9000/x": "under s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX. Other addresses are",
    "S3://": "it names no bucket; write s3://BUCKET/PREFIX",
    "s3://": "it names no bucket",
    "s3:///prefix": "it names no bucket",
    "s3://my bucket/p": "it names no bucket",
    "s3://host:9000/p": "it names no bucket",
    "S3://bucket/p": "write it as s3://bucket/p",
    "s3:/bucket/p": "write it as s3://bucket/p",
    "s3:bucket": "write it as s3://bucket",
    "s3//bucket/p": "write it as s3://bucket/p",
    "s3a://bucket/p": "write it as s3://bucket/p",
    "file:///srv/gsr": "write the folder alone, without file:",
    "https://bucket.s3.amazonaws.com/p": "AWS_ENDPOINT_URL names the server",
    "~nobody-of-this-name/x": "no such user's home",
}


@pytest.mark.parametrize(("text", "advice"), REFUSED.items(), ids=REFUSED.keys())
def test_what_is_no_folder_and_no_bucket_is_refused_and_makes_no_folder(tmp_path, monkeypatch, text, advice):
    monkeypatch.chdir(tmp_path)
    for use in (artifact_root, open_objects):
        with pytest.raises(UserError) as refused:
            use(text)
        assert advice in str(refused.value)
        assert text in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    for text in ("file", "file/below"):
        with pytest.raises(UserError, match="file is a file"):
            artifact_root(str(tmp_path / text))


def test_a_folder_is_named_from_the_root_and_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert artifact_root("here/below") == str(tmp_path / "here" / "below")
    assert artifact_root("~/x") == "/home/somebody/x"
    assert artifact_root(" /srv/gsr/\n") == "/srv/gsr"
    assert artifact_root("a:b") == str(tmp_path / "a:b")


@given(
    st.sampled_from(["s3", "gs", "az"]),
    st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True),
    st.from_regex(r"(/[\w=-][\w.=-]{0,7}){0,3}/?", fullmatch=True),
)
def test_a_bucket_with_or_without_a_prefix_stays_what_it_is(scheme, bucket, prefix):
    root = artifact_root(f"{scheme}://{bucket}{prefix}")
    assert root == f"{scheme}://{bucket}{prefix}".rstrip("/")
    assert artifact_root(root) == root


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9+.-]{0,6}", fullmatch=True), st.from_regex(r"/{1,3}\w{0,5}", fullmatch=True))
def test_no_address_is_taken_for_a_folder(scheme, rest):
    text = f"{scheme}:{rest}"
    try:
        assert artifact_root(text).startswith(("s3://", "gs://", "az://"))
    except UserError:
        assert not Path(text).exists()
