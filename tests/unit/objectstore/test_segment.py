# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from otel_qtap.model.trace import SpanIdentity, SpanTarget
from otel_qtap.objectstore.segment import OpenSegment, SegmentManifest, read_manifest

MANIFEST = SegmentManifest(
    segment_id="id",
    store_url="s3://bucket/prefix",
    key="service.name=a/id.warc.gz",
    uri="s3://bucket/prefix/service.name=a/id.warc.gz",
    upload=SpanTarget(trace_id=b"t" * 16, span_id=b"s" * 8),
)


def identity(number: int) -> SpanIdentity:
    return SpanIdentity(trace_id=bytes([number]) * 16, span_id=bytes([number]) * 8)


def test_a_manifest_survives_its_json():
    assert SegmentManifest.from_json(MANIFEST.to_json()) == MANIFEST
    assert b"\n" not in MANIFEST.to_json()


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"{}", b'{"upload": ["00", "zz"]}', b'{"upload": ["00", "00"], "x": 1}', b"\xff"],
)
def test_anything_else_is_no_manifest(line):
    with pytest.raises(ValueError):  # noqa: PT011 - json's own text or ours
        SegmentManifest.from_json(line)


def test_a_sealed_segment_holds_what_was_added_and_who_refers_to_it(tmp_path):
    segment = OpenSegment(tmp_path, MANIFEST, opened_ns=1, first_member=b"first.")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["id.manifest", "id.open"]
    segment.add(b"second.", records=2, identity=identity(1))
    segment.add(b"third.", records=1, identity=identity(255))
    assert (tmp_path / "id.open").read_bytes() == b"first."
    segment.write()
    assert (tmp_path / "id.open").read_bytes() == b"first.second.third."
    sealed = segment.seal()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["id.manifest", "id.warc.gz"]
    assert sealed.path.read_bytes() == b"first.second.third."
    assert (sealed.size, sealed.manifest.records) == (19, 3)
    assert sealed.spans() == (
        SpanTarget(trace_id=b"\x01" * 16, span_id=b"\x01" * 8),
        SpanTarget(trace_id=b"\xff" * 16, span_id=b"\xff" * 8),
    )
    manifest, _ = read_manifest(tmp_path, "id")
    assert manifest == sealed.manifest
    sealed.delete()
    sealed.delete()
    assert list(tmp_path.iterdir()) == []
    assert sealed.spans() == ()


def test_short_writes_are_completed(tmp_path, monkeypatch):
    write = os.pwrite
    monkeypatch.setattr(
        os, "pwrite", lambda descriptor, data, position: write(descriptor, data[:3], position)
    )
    segment = OpenSegment(tmp_path, MANIFEST, opened_ns=1, first_member=b"0123456789")
    segment.add(b"abcd", records=1, identity=identity(1))
    segment.add(b"efgh", records=1, identity=identity(2))
    segment.write()
    assert segment.seal().path.read_bytes() == b"0123456789abcdefgh"


def test_what_the_disk_refuses_was_never_added(tmp_path, monkeypatch):
    def torn(descriptor: int, data: bytes, position: int) -> int:
        if len(data) > 4:
            return write(descriptor, data[:4], position)
        raise OSError(28, "full")

    segment = OpenSegment(tmp_path, MANIFEST, opened_ns=1, first_member=b"first.")
    segment.add(b"kept.", records=1, identity=identity(1))
    segment.write()
    before = (segment.size, segment.records, segment.disk_bytes)
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", torn)
    segment.add(b"lo", records=1, identity=identity(2))
    segment.add(b"st.", records=2, identity=identity(3))
    with pytest.raises(OSError, match="full"):
        segment.write()
    monkeypatch.undo()

    assert (segment.size, segment.records, segment.disk_bytes) == before
    segment.add(b"later.", records=1, identity=identity(4))
    segment.write()
    sealed = segment.seal()
    assert sealed.path.read_bytes() == b"first.kept.later."
    assert sealed.manifest.records == 2
    assert [span.span_id[:1] for span in sealed.spans()] == [b"\x01", b"\x04"]


def test_a_segment_that_could_not_be_opened_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_: object) -> int:
        raise OSError(28, "full")

    monkeypatch.setattr(os, "pwrite", refuse)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="full"):
        OpenSegment(tmp_path, MANIFEST, opened_ns=1, first_member=b"x")
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
