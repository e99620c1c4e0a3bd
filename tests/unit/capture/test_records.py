# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.capture.records import (
    CAPTURED,
    CAPTURED_OFFSET,
    DATA_HEADER,
    PROCESS,
    Kind,
    process_notice,
    text,
)


def test_a_notice_is_read_from_within_a_ring() -> None:
    record = PROCESS.pack(Kind.FILE_MAPPED, 42, 10**9, 2 * 10**9, 7, 8 << 20 | 1, 1000, b"nginx\0garbage")
    notice = process_notice(b"\xff" * 8 + record, 8)

    assert (notice.kind, notice.tgid, notice.start_time_ns, notice.timestamp_ns) == (
        Kind.FILE_MAPPED,
        42,
        10**9,
        2 * 10**9,
    )
    assert (notice.inode, notice.device, notice.user_id, notice.command) == (7, 8 << 20 | 1, 1000, "nginx")


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        (b"curl\0\0\0", "curl"),
        (b"sixteen bytes ...", "sixteen bytes ..."),
        (b"", ""),
        (b"\0left over", ""),
        (b"caf\xc3\xa9\0", "café"),
        (b"\xff\xfe\0", "\N{REPLACEMENT CHARACTER}" * 2),
    ],
)
def test_names_that_processes_chose_are_text(field: bytes, shown: str) -> None:
    assert text(field) == shown


def test_how_much_was_captured_is_found_without_reading_the_rest() -> None:
    header = DATA_HEADER.pack(Kind.DATA, 1, 2, 3, 4, 5, 0xABCDEF)

    assert CAPTURED.unpack_from(header, CAPTURED_OFFSET) == (0xABCDEF,)
