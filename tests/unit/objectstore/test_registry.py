# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.errors import SettingsError
from otel_qtap.objectstore.filesystem import FilesystemStore
from otel_qtap.objectstore.memory import MemoryStore
from otel_qtap.objectstore.registry import locate, open_store
from otel_qtap.objectstore.s3 import S3Store


@pytest.fixture(autouse=True)
def _no_aws_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("url", "kind", "normal"),
    [
        ("file:///var/lib/objects", FilesystemStore, "file:///var/lib/objects"),
        ("file:///var/lib/objects/", FilesystemStore, "file:///var/lib/objects"),
        ("s3://bucket", S3Store, "s3://bucket"),
        ("s3://bucket/", S3Store, "s3://bucket"),
        ("s3://bucket/a/b/", S3Store, "s3://bucket/a/b"),
        ("memory:", MemoryStore, "memory:"),
    ],
)
def test_a_url_names_a_store(url, kind, normal):
    store = open_store(url)
    assert type(store) is kind
    assert store.url == normal


def test_none_is_no_store():
    assert open_store("none:") is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "objects",
        "/var/lib/objects",
        "file://host/x",
        "file:x",
        "s3://",
        "s3:///key",
        "s3://a b",
        "gs://b",
        "none:x",
    ],
)
def test_anything_else_is_refused_with_the_variable_the_shapes_and_no_guess(url):
    with pytest.raises(
        SettingsError, match=r"^OTEL_QTAP_OBJECTS_URL=.*file:///absolute/directory, s3://bucket/prefix"
    ):
        open_store(url)


@pytest.mark.parametrize(
    ("url", "store_url", "key"),
    [
        ("file:///a/b/c%20d%253A.warc.gz", "file:///a/b", "c d%3A.warc.gz"),
        ("s3://bucket/a/b%3A.warc.gz", "s3://bucket", "a/b%3A.warc.gz"),
    ],
)
def test_an_object_is_found_by_its_url(url, store_url, key):
    store, found = locate(url)
    assert (store.url, found) == (store_url, key)


@pytest.mark.parametrize(
    "url", ["memory:/x", "s3://bucket", "s3://bucket/", "file:///", "https://host/x", ""]
)
def test_what_names_no_object_is_refused(url):
    with pytest.raises(ValueError, match="names no object"):
        locate(url)
