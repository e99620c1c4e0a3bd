# SPDX-License-Identifier: Apache-2.0
"""Objects as files below a directory: the embedded default."""

import errno
import os
import shutil
import stat
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from otel_qtap.errors import NotStoredError, StoreError
from otel_qtap.objectstore.base import StoredObject

_TRANSIENT = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EINTR, errno.ESTALE, errno.EMFILE}
)


def directory_of(url: str) -> Path:
    """The directory that a ``file:`` URL names (RFC 8089): its path, percent-decoded."""
    return Path(unquote(urlsplit(url).path))


class FilesystemStore:
    """A directory as an object store. Directories are made with mode 0700, files have 0600.

    ``url`` is how references name the directory (``file:///var/lib/otel-qtap/objects``) and ``root``
    where it is opened, when that differs: a process without privileges may hold the directory
    only as a descriptor, ``/proc/self/fd/7``.
    """

    def __init__(self, url: str, root: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._root = root if root is not None else directory_of(url)

    def object_url(self, key: str) -> str:
        """See ObjectStore. A percent sign in a key is a character like others, so it is escaped."""
        return f"{self.url}/{quote(key, safe='/=')}"

    def put(self, key: str, path: Path, size: int) -> StoredObject:
        """See ObjectStore. The file is moved; it is copied where it lies on another filesystem."""
        target = self._root / key
        try:
            _make_directories(target.parent, self._root)
            _synchronize(path)
            try:
                path.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _copy(path, target, size)
            _synchronize(target.parent)
        except OSError as error:
            raise StoreError(
                f"cannot write {self.url}/{key}: {error.strerror}", retryable=error.errno in _TRANSIENT
            ) from error
        return StoredObject(key=key)

    def get_range(self, key: str, first: int, last: int) -> bytes:
        """See ObjectStore. Only regular files are read, and no symbolic link leads out of the root."""
        try:
            with os.fdopen(_open_below(self._root, key), "rb") as file:
                file.seek(first)
                return file.read(last - first + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise NotStoredError(f"no object {self.url}/{key}") from None
        except OSError as error:
            raise StoreError(
                f"cannot read {self.url}/{key}: {error.strerror}", retryable=error.errno in _TRANSIENT
            ) from error

    def check(self) -> None:
        """See ObjectStore. The directory is made when it is absent."""
        try:
            _make_directories(self._root, self._root)
        except OSError as error:
            raise StoreError(
                f"cannot make the directory of {self.url}: {error.strerror}", retryable=False
            ) from error
        if not os.access(self._root, os.W_OK | os.X_OK):
            raise StoreError(
                f"{self.url} is not writable for uid {os.geteuid()}: change the directory's owner, "
                "or name another one in OTEL_QTAP_OBJECTS_URL",
                retryable=False,
            )


def _open_below(root: Path, key: str) -> int:
    """A descriptor of the regular file of a key, found without leaving ``root``. Raises OSError."""
    *directories, name = key.split("/")
    if not {"", ".", ".."}.isdisjoint((*directories, name)) or "\0" in key:
        raise OSError(errno.EINVAL, "not the key of an object")
    here = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for directory in directories:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(directory, flags, dir_fd=here)
            os.close(here)
            here = below
        # Without O_NONBLOCK a named pipe would wait for its writer.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file")
    return file


def _make_directories(directory: Path, root: Path) -> None:
    """Make the directory and its parents, down from ``root``, each with mode 0700."""
    if directory.is_dir():
        return
    if directory != root:
        _make_directories(directory.parent, root)
    directory.mkdir(mode=0o700, parents=directory == root, exist_ok=True)


def _synchronize(path: Path) -> None:
    """Wait until a file's content, or a directory's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(source: Path, target: Path, size: int) -> None:
    """Copy over a filesystem's border, visible under its name only when whole."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with source.open("rb") as reader, os.fdopen(descriptor, "wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.truncate(size)
            writer.flush()
            os.fsync(writer.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    source.unlink()
