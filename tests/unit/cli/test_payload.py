# SPDX-License-Identifier: Apache-2.0
import gzip
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.objectstore import Archive
from otel_qtap.objectstore.filesystem import FilesystemStore
from tests.support.cleared import REQUEST_HEAD, chunked_response, counting_targets, exchange, request, submit

TEXT = bytes(range(256)) * 4
BODY = gzip.compress(TEXT, mtime=0)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory):
    """An exchange in a local store, its response gzip and chunked."""
    directory = tmp_path_factory.mktemp("payload")
    archive = Archive(
        FilesystemStore(f"file://{directory}/objects"),
        directory / "state",
        segment_bytes=1 << 20,
        segment_seconds=5,
        max_disk_bytes=1 << 30,
        new_upload_target=counting_targets(),
        now_ns=lambda: 0,
        to_unix_ns=lambda boot_ns: boot_ns,
    )
    archive.start()
    answer = chunked_response(BODY)
    answer.encoding = "gzip"
    stored = submit(archive, exchange(request(), answer))
    assert archive.shutdown(10)
    return stored


def get(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "otel_qtap", "payload", "get", *arguments], capture_output=True, check=False
    )


def test_the_message_is_printed_byte_by_byte(record):
    done = get(record.request_ref.uri)
    assert (done.returncode, done.stdout, done.stderr) == (0, REQUEST_HEAD, b"")


def test_the_body_is_printed_without_framing_and_with_its_coding(record):
    done = get(record.response_ref.uri, "--body")
    assert (done.returncode, done.stdout, done.stderr) == (0, BODY, b"")


def test_decode_undoes_the_coding(record):
    assert get(record.response_ref.uri, "--body", "--decode").stdout == TEXT


def test_the_other_half_of_the_exchange(record):
    assert get(record.request_ref.uri, "--part", "response", "--body").stdout == BODY
    assert get(record.response_ref.uri, "--part", "request").stdout == REQUEST_HEAD


def test_output_goes_to_a_file_that_only_the_user_may_read(record, tmp_path: Path):
    target = tmp_path / "out"
    target.touch(mode=0o644)
    target.write_bytes(b"x" * 10_000)
    done = get(record.response_ref.uri, "--body", "-o", str(target))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert target.read_bytes() == BODY
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_device_keeps_its_permissions(record):
    before = Path("/dev/null").stat().st_mode
    assert get(record.request_ref.uri, "-o", "/dev/null").returncode == 0
    assert Path("/dev/null").stat().st_mode == before


def test_a_file_that_cannot_be_written(record, tmp_path: Path):
    done = get(record.request_ref.uri, "-o", str(tmp_path / "absent" / "out"))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.endswith(b"absent/out: No such file or directory\n")


@pytest.mark.parametrize(
    "uri", ["nonsense", "s3://bucket/key", "memory:/x#bytes=0-1", "https://h/x#bytes=0-1"]
)
def test_bad_usage(uri):
    done = get(uri)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"otel-qtap: ")
    assert done.stderr.count(b"\n") == 1


def test_an_object_that_is_not_there(tmp_path: Path):
    done = get(f"file://{tmp_path}/absent.warc.gz#bytes=0-10")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"absent.warc.gz" in done.stderr


def test_a_damaged_reference(record):
    done = get(record.request_ref.uri + "0")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"ends before byte" in done.stderr


def test_a_terminal_gets_escapes_instead_of_control_characters(record):
    """What was captured may be an answer that a stranger chose."""
    controller, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "otel_qtap", "payload", "get", record.response_ref.uri, "--decode"],
            stdout=terminal,
            check=False,
        )
        shown = os.read(controller, 65536)
    finally:
        os.close(terminal)
        os.close(controller)
    assert done.returncode == 0
    assert b"\\x1a\\x1b\\x1c" in shown
    assert b"~\\x7f\\x80" in shown
    assert shown.replace(b"\r\n", b"").replace(b"\t", b"").decode("ascii").isprintable()
