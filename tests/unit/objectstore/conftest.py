# SPDX-License-Identifier: Apache-2.0
"""An archive over a store of the test's choice, with time standing still unless the test moves it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_qtap.objectstore import Archive, ObjectStore
from tests.support.cleared import BOOT_UNIX_NS, SECOND, counting_targets

ArchiveFactory = Callable[..., Archive]


@pytest.fixture
def new_archive(tmp_path: Path) -> Iterator[ArchiveFactory]:
    made: list[Archive] = []

    def new(
        store: ObjectStore | None,
        *,
        segment_bytes: int = 1 << 20,
        segment_seconds: float = 5.0,
        max_disk_bytes: int = 1 << 30,
        start: bool = True,
    ) -> Archive:
        archive = Archive(
            store,
            tmp_path / "state",
            segment_bytes=segment_bytes,
            segment_seconds=segment_seconds,
            max_disk_bytes=max_disk_bytes,
            new_upload_target=counting_targets(),
            now_ns=lambda: 7 * SECOND,
            to_unix_ns=lambda boot_ns: BOOT_UNIX_NS + boot_ns,
        )
        made.append(archive)
        if start:
            archive.start()
        else:
            archive.open()
        return archive

    yield new
    for archive in made:
        archive.shutdown(0)


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    """Where the archive keeps segments before they are uploaded."""
    return tmp_path / "state" / "segments"
