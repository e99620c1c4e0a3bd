# SPDX-License-Identifier: Apache-2.0
import os

from otel_qtap.discovery.bounded import read_bounded


def test_a_file_is_read_up_to_the_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    assert read_bounded(str(path), 1 << 30) == path.read_bytes()
    assert read_bounded(str(path), 300_000) == path.read_bytes()[:300_000]


def test_what_cannot_be_read_is_empty(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "pipe", "\0"):
        assert read_bounded(str(path), 100) == b""
