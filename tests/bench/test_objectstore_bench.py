# SPDX-License-Identifier: Apache-2.0
"""Cost of one exchange in the store: its two records, and all that `submit` does."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from otel_qtap.model.classified import ClassifiedExchange
from otel_qtap.objectstore import Archive
from otel_qtap.objectstore.filesystem import FilesystemStore
from otel_qtap.objectstore.warc import WarcWriter
from tests.support.cleared import (
    BOOT_UNIX_NS,
    chunked_response,
    counting_targets,
    exchange,
    request,
    response,
)
from tests.support.payloads import text_of_entropy

pytestmark = pytest.mark.bench

COUNT = 1000
BATCH = 64


def exchanges(size: int, count: int, *, chunked: bool = False) -> list[ClassifiedExchange]:
    new_response = chunked_response if chunked else response
    return [exchange(request(), new_response(text_of_entropy(size, str(n)))) for n in range(count)]


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_two_records_of_an_exchange_of_1_kib(benchmark: BenchmarkFixture, kind: str) -> None:
    writer = WarcWriter(bytes(16))
    items = exchanges(1024, COUNT, chunked=kind == "chunked")

    def encode() -> None:
        for item in items:
            writer.encode(item, BOOT_UNIX_NS, 0)

    benchmark.pedantic(encode, rounds=5, warmup_rounds=1)
    benchmark.extra_info["us_per_exchange"] = benchmark.stats.stats.min / COUNT * 1e6


@pytest.mark.parametrize(("size", "count"), [(1024, COUNT), (16 * 1024, 250), (256 * 1024, 16)])
def test_submit(benchmark: BenchmarkFixture, tmp_path, size: int, count: int) -> None:
    archive = Archive(
        FilesystemStore(f"file://{tmp_path}/objects"),
        tmp_path / "state",
        segment_bytes=16 << 20,
        segment_seconds=5,
        max_disk_bytes=8 << 30,
        new_upload_target=counting_targets(),
        now_ns=lambda: 0,
        to_unix_ns=lambda boot_ns: BOOT_UNIX_NS + boot_ns,
    )
    archive.start()
    items = exchanges(size, count)

    def submit() -> None:
        for start in range(0, count, BATCH):
            archive.submit(items[start : start + BATCH])

    benchmark.pedantic(submit, rounds=5, warmup_rounds=1)
    benchmark.extra_info["us_per_exchange"] = benchmark.stats.stats.min / count * 1e6
    assert archive.shutdown(30)
