# SPDX-License-Identifier: Apache-2.0
import gzip
import sys
import time
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.errors import StoreError
from otel_qtap.objectstore.codings import decode
from tests.support.payloads import text_of_entropy

TEXT = text_of_entropy(100_000)
RAW_DEFLATE = zlib.compressobj(wbits=-15)
LIMIT = 1 << 20


@pytest.mark.parametrize(
    ("codings", "body"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("GZIP", gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:])),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", RAW_DEFLATE.compress(TEXT) + RAW_DEFLATE.flush()),
        ("deflate, gzip", gzip.compress(zlib.compress(TEXT))),
        ("br", brotli.compress(TEXT)),
        ("zstd", zstandard.compress(TEXT)),
        ("zstd", zstandard.compress(TEXT[:50]) + zstandard.compress(TEXT[50:])),
    ],
)
def test_content_codings_are_undone(codings: str, body: bytes) -> None:
    assert decode(codings, body, LIMIT) == (TEXT, True)
    assert decode(codings, body, len(TEXT)) == (TEXT, True)
    assert decode(codings, body, 1000) == (TEXT[:1000], False)


@pytest.mark.parametrize("codings", ["gzip", "br", "zstd", "deflate"])
def test_a_cut_body_is_decoded_as_far_as_it_goes(codings: str) -> None:
    compress = {
        "gzip": gzip.compress,
        "br": brotli.compress,
        "zstd": zstandard.compress,
        "deflate": zlib.compress,
    }
    whole = compress[codings](text_of_entropy(400_000))
    decoded = decode(codings, whole[: len(whole) // 2], LIMIT).content
    assert len(decoded) > 5_000
    assert text_of_entropy(400_000).startswith(decoded)


@pytest.mark.parametrize("codings", ["gzip", "deflate", "gzip, deflate", "br", "zstd"])
def test_an_empty_body_decodes_to_nothing(codings: str) -> None:
    assert decode(codings, b"", LIMIT).content == b""


@pytest.mark.parametrize("codings", ["gzip", "deflate", "br", "zstd"])
def test_what_cannot_be_undone_is_said(codings: str) -> None:
    with pytest.raises(StoreError, match=f"the body is not valid {codings}"):
        decode(codings, b"no coding at all, " * 9, LIMIT)


def test_an_unknown_coding_is_named() -> None:
    with pytest.raises(StoreError, match="unknown content coding compress"):
        decode("compress", b"x", LIMIT)


@pytest.mark.parametrize(("codings", "module"), [("br", "brotli"), ("zstd", "zstandard")])
def test_a_coding_whose_module_is_absent_names_it(codings: str, module: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StoreError, match=rf"needs the Python package {module}.*otel-qtap\[codings\]"):
        decode(codings, b"x", LIMIT)


HUGE = bytes(64 << 20)
BOMBS = {
    "gzip": gzip.compress(HUGE),
    "br": brotli.compress(HUGE, quality=5),
    "zstd": zstandard.compress(HUGE),
    "gzip, gzip": gzip.compress(gzip.compress(HUGE)),
}


@pytest.mark.parametrize("codings", BOMBS)
def test_a_bomb_is_cut(codings: str) -> None:
    content, complete = decode(codings, BOMBS[codings], LIMIT)
    assert not complete
    assert len(content) <= LIMIT


def test_a_body_of_tiny_members_takes_no_longer_than_its_size() -> None:
    body = gzip.compress(b"", mtime=0) * 200_000  # 4 MB
    before = time.process_time()
    assert decode("gzip", body, LIMIT) == (b"", True)
    assert time.process_time() - before < 5


@given(codings=st.sampled_from(["gzip", "deflate", "br", "zstd"]), body=st.binary(max_size=100))
def test_any_body_is_decoded_or_refused(codings: str, body: bytes) -> None:
    try:
        assert len(decode(codings, body, 100).content) <= 100
    except StoreError as error:
        assert "not valid" in str(error)  # noqa: PT017
