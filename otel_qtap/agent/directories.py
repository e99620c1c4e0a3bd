# SPDX-License-Identifier: Apache-2.0
"""The agent's directories: made, handed to the pipeline's account, and opened while that is possible.

The pipeline may not be able to walk to them (a parent may be closed to it), so it holds each one
open and works below /proc/self/fd/N.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from otel_qtap.errors import SettingsError
from otel_qtap.settings import Settings


def objects_directory(url: str) -> Path | None:
    """The directory of a ``file:`` store URL; None for other stores."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def prepare_directories(settings: Settings) -> None:
    """Make the state and object directories, closed to all but the pipeline's account (0700).

    Raises SettingsError that names the variable when a directory cannot be made or is not fit.
    """
    uid, gid = settings.pipeline.user
    _prepare("OTEL_QTAP_STATE_DIRECTORY", settings.state.directory, uid, gid)
    if directory := objects_directory(settings.objects.url):
        _prepare("OTEL_QTAP_OBJECTS_URL", directory, uid, gid)


def _prepare(variable: str, directory: Path, uid: int, gid: int) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        if status.st_mode & stat.S_IWOTH:
            raise SettingsError(
                f"{variable}: {directory} can be written by everybody; name a directory of its own for "
                "the agent, for example a new one inside it"
            )
        if os.geteuid() == 0 and status.st_uid != uid:
            os.chown(directory, uid, gid)
            directory.chmod(0o700)
    except OSError as error:
        raise SettingsError(
            f"{variable}: {directory} cannot be used: {error.strerror}. Name a directory that can be made."
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDirectories:
    """Paths that work without a walk, for as long as this process lives."""

    state: Path
    objects: Path | None


def open_directories(settings: Settings) -> OpenDirectories:
    """Open what ``prepare_directories`` made."""
    objects = objects_directory(settings.objects.url)
    return OpenDirectories(
        state=_held_open(settings.state.directory),
        objects=_held_open(objects) if objects else None,
    )


def _held_open(directory: Path) -> Path:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return Path(f"/proc/self/fd/{descriptor}")
