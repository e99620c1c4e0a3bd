# SPDX-License-Identifier: Apache-2.0
import contextlib
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.errors import NotStoredError, StoreError
from otel_qtap.objectstore.filesystem import FilesystemStore


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local"
    path.touch(mode=0o600)
    path.write_bytes(b"content")
    return path


def test_on_one_filesystem_the_file_is_moved(tmp_path, local):
    inode = local.stat().st_ino
    FilesystemStore(f"file://{tmp_path}/objects").put("a/b.warc.gz", local, 7)
    assert (tmp_path / "objects/a/b.warc.gz").stat().st_ino == inode
    assert not local.exists()


def test_from_another_filesystem_it_is_copied_whole(tmp_path):
    shared_memory = Path("/dev/shm")
    if shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one filesystem only")
    local = shared_memory / f"otel-qtap-test-{os.getpid()}"
    local.write_bytes(b"content and a torn write")
    try:
        FilesystemStore(f"file://{tmp_path}/objects").put("a/b.warc.gz", local, 7)
        assert not local.exists()
    finally:
        local.unlink(missing_ok=True)
    (stored,) = (tmp_path / "objects/a").iterdir()
    assert (stored.name, stored.read_bytes()) == ("b.warc.gz", b"content")
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600


def test_a_url_is_percent_encoded(tmp_path, local):
    store = FilesystemStore(f"file://{tmp_path}/my%20objects")
    store.put("service.name=a%2Fb/x", local, 7)
    assert (tmp_path / "my objects/service.name=a%2Fb/x").exists()
    assert store.object_url("service.name=a%2Fb/x").endswith("/my%20objects/service.name=a%252Fb/x")


def test_the_directory_may_be_held_as_a_descriptor(tmp_path, local):
    (tmp_path / "objects").mkdir()
    descriptor = os.open(tmp_path / "objects", os.O_RDONLY | os.O_DIRECTORY)
    try:
        store = FilesystemStore("file:///elsewhere", Path(f"/proc/self/fd/{descriptor}"))
        store.check()
        store.put("a/b", local, 7)
        assert store.get_range("a/b", 0, 6) == b"content"
    finally:
        os.close(descriptor)
    assert (tmp_path / "objects/a/b").exists()
    assert store.object_url("a/b") == "file:///elsewhere/a/b"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up being root")
def test_a_process_that_gave_up_its_privileges_goes_on_through_descriptors(tmp_path):
    """As the agent does it: all is made as root, and the directories' parents are closed afterwards."""
    program = """
import os, sys
from pathlib import Path
from otel_qtap.objectstore import Archive
from otel_qtap.objectstore.filesystem import FilesystemStore
from tests.support.cleared import counting_targets, exchange, request, response

directories = []
for name in ("objects", "state"):
    path = Path(sys.argv[1]) / name
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    directories.append(Path(f"/proc/self/fd/{os.open(path, os.O_RDONLY | os.O_DIRECTORY)}"))
store = FilesystemStore(f"file://{sys.argv[1]}/objects", directories[0])
archive = Archive(
    store, directories[1], segment_bytes=1 << 20, segment_seconds=5, max_disk_bytes=1 << 30,
    new_upload_target=counting_targets(), now_ns=lambda: 0, to_unix_ns=lambda ns: ns,
)
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
store.check()
archive.start()
assert archive.submit([exchange(request(), response())])[0].refused == ""
assert archive.shutdown(10), archive.statistics()
"""
    tmp_path.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path.cwd(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (stored,) = (tmp_path / "objects").rglob("*.warc.gz")
    assert stored.stat().st_uid == 65534


@pytest.mark.parametrize(
    ("code", "retryable"), [(errno.ENOSPC, True), (errno.EIO, True), (errno.EROFS, False)]
)
def test_errors_say_what_failed_and_whether_time_helps(tmp_path, local, monkeypatch, code, retryable):
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(
        StoreError, match=f"cannot write file://.*/objects/key: {os.strerror(code)}"
    ) as caught:
        FilesystemStore(f"file://{tmp_path}/objects").put("key", local, 7)
    assert caught.value.retryable is retryable
    assert local.exists()


def test_the_check_makes_the_directory_closed_to_others(tmp_path):
    FilesystemStore(f"file://{tmp_path}/a/objects").check()
    assert stat.S_IMODE((tmp_path / "a/objects").stat().st_mode) == 0o700


def test_the_check_refuses_what_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the directory"):
        FilesystemStore(f"file://{tmp_path}/file/objects").check()


@pytest.fixture
def beside(tmp_path: Path) -> FilesystemStore:
    """A store with links and other traps in it, and a secret beside it."""
    (tmp_path / "secret").write_bytes(b"secret")
    objects = tmp_path / "objects"
    (objects / "a").mkdir(parents=True)
    (objects / "a/b").write_bytes(b"public")
    (objects / "link").symlink_to(tmp_path / "secret")
    (objects / "up").symlink_to(tmp_path)
    (objects / "here").symlink_to("a/b")
    os.mkfifo(objects / "pipe")
    return FilesystemStore(f"file://{objects}")


@pytest.mark.parametrize(
    "key",
    [
        "../secret",
        "a/../../secret",
        "link",
        "up/secret",
        "here",
        "pipe",
        "a",
        "",
        "/etc/passwd",
        "a//b",
        "./a/b",
        "a/b\0",
    ],
)
def test_no_key_leads_out_of_the_directory(beside, key):
    with pytest.raises(StoreError) as caught:
        beside.get_range(key, 0, 100)
    assert not caught.value.retryable


def test_what_is_in_the_directory_is_read(beside):
    assert beside.get_range("a/b", 0, 100) == b"public"


def test_a_root_that_is_a_link_is_the_users_choice(beside, tmp_path):
    (tmp_path / "elsewhere").symlink_to(tmp_path / "objects")
    assert FilesystemStore(f"file://{tmp_path}/elsewhere").get_range("a/b", 0, 100) == b"public"


@pytest.mark.parametrize("key", ["absent", "absent/b", "a/b/c"])
def test_what_is_not_there_is_told_from_what_is_refused(beside, key):
    with pytest.raises(NotStoredError):
        beside.get_range(key, 0, 100)


def test_reading_leaves_no_descriptor_open(beside):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for key in ("a/b", "up/secret", "pipe", "absent/b"):
        with contextlib.suppress(StoreError):
            beside.get_range(key, 0, 100)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
