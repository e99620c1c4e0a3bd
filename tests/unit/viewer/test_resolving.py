# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.errors import StoreError
from otel_qtap.objectstore.filesystem import FilesystemStore
from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.resolving import Place, Resolver

KEY = "service.name=a%20b/date=2026-11-24/hour=06/x.warc.gz"


class Bucket:
    """The naming of an S3 store, without its connection."""

    url = "s3://bucket/pre"

    def object_url(self, key: str) -> str:
        return f"{self.url}/{key}"


DIRECTORY = FilesystemStore("file:///srv/objects")
BUCKET = Bucket()
STORES = [DIRECTORY, BUCKET]


@pytest.mark.parametrize("store", STORES, ids=["file", "s3"])
def test_what_the_store_writes_is_resolved(store) -> None:
    for key in (KEY, "é ü+#?.warc.gz", "a#bytes=1-2.warc.gz"):
        assert Resolver(store).resolve(f"{store.object_url(key)}#bytes=5-99") == Place(key, 5, 99)


@pytest.mark.parametrize(
    "uri", ["", "nonsense", "s3://bucket/pre/x.warc.gz", "s3://bucket/pre/x.warc.gz#bytes=9-1"]
)
def test_what_is_no_reference_says_what_one_is(uri: str) -> None:
    with pytest.raises(ProblemError) as caught:
        Resolver(BUCKET).resolve(uri)
    assert caught.value.status == 400
    assert "'#'" in caught.value.fix


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/x.warc.gz",
        "s3://bucket/pre",
        "s3://bucket/prefix/x.warc.gz",
        "s3://other/pre/x.warc.gz",
        "s3://bucket/pre/../x.warc.gz",
        "s3://bucket/pre/a/./x.warc.gz",
        "s3://bucket/pre//x.warc.gz",
        "s3://bucket/pre/",
        "s3://bucket/pre/secret.txt",
        "s3://bucket/pre/a\\x.warc.gz",
        "s3://bucket/pre/a\nb.warc.gz",
        "s3://bucket/pre/" + "a" * 1020 + ".warc.gz",
        "S3://bucket/pre/x.warc.gz",
        "file:///srv/objects/x.warc.gz",
        "http://127.0.0.1/pre/x.warc.gz",
    ],
)
def test_what_is_not_below_the_prefix_is_refused(url: str) -> None:
    with pytest.raises(ProblemError) as caught:
        Resolver(BUCKET).resolve(f"{url}#bytes=0-1")
    assert caught.value.status == 403


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "file:///srv/objects2/x.warc.gz",
        "file:///srv/objects/../x.warc.gz",
        "file:///srv/objects/%2e%2e/x.warc.gz",
        "file:///srv/objects/..%2fx.warc.gz",
        "file:///srv/objects/a%2f..%2f..%2fx.warc.gz",
        "file:///srv/objects/%252e%252e/x.warc.gz",
        "file:///srv/objects//etc/x.warc.gz",
        "file:///srv/objects/x%00.warc.gz",
        "file:///srv/objects/%78.warc.gz",
        "file://localhost/srv/objects/x.warc.gz",
        "file:/srv/objects/x.warc.gz",
    ],
)
def test_what_is_not_below_the_directory_is_refused(url: str) -> None:
    if "%252e" in url:  # a directory that is really called %2e%2e
        assert Resolver(DIRECTORY).resolve(f"{url}#bytes=0-1").key == "%2e%2e/x.warc.gz"
        return
    with pytest.raises(ProblemError) as caught:
        Resolver(DIRECTORY).resolve(f"{url}#bytes=0-1")
    assert caught.value.status == 403


PIECES = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "//",
        "\\",
        "%2e",
        "%2F",
        "%00",
        "%25",
        "a",
        "x.warc.gz",
        "#bytes=0-9",
        "?",
        "\0",
        "~",
        "é",
        "\u202e",
    ]
)
CRAFTED = st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=12).map("".join)


@given(CRAFTED)
def test_no_reference_leaves_the_store(crafted: str) -> None:
    for store in STORES:
        for uri in (crafted, f"{store.url}{crafted}", f"{store.url}/{crafted}.warc.gz#bytes=0-9"):
            try:
                place = Resolver(store).resolve(uri)
            except ProblemError:
                continue
            assert store.object_url(place.key) == uri.rpartition("#bytes=")[0]
            assert not {"", ".", ".."} & set(place.key.split("/"))
            assert "\0" not in place.key
            assert Path("/srv/objects", place.key).resolve().is_relative_to("/srv/objects")


@given(CRAFTED)
def test_no_file_outside_of_the_directory_is_read(tmp_path_factory, crafted: str) -> None:
    root = tmp_path_factory.getbasetemp() / "escape"
    objects = root / "objects"
    if not objects.exists():
        (objects / "a").mkdir(parents=True)
        (root / "secret.warc.gz").write_bytes(b"secret")
        (objects / "a" / "link.warc.gz").symlink_to(root / "secret.warc.gz")
        (objects / "up").symlink_to(root)
        (objects / "a" / "x.warc.gz").write_bytes(b"public")
    store = FilesystemStore(f"file://{objects}")
    for path in (crafted, f"a/{crafted}", f"up/{crafted}secret.warc.gz", "a/link.warc.gz", quote(crafted)):
        for key in (path, unquote(path)):
            try:
                content = store.get_range(key, 0, 100)
            except (StoreError, ValueError):
                continue
            assert content == b"public"
