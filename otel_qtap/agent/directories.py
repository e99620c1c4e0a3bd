# SPDX-License-Identifier: Apache-2.0
"""The agent's directories: made, given to their owners, and opened while that is possible.

The pipeline may not be able to walk to them (a parent may be closed to it), so it holds each one
open and works below /proc/self/fd/N.

    STATE            the supervisor's, or it would trust what the other process wrote there
    STATE/plans      the supervisor's: where probes go
    STATE/segments   the pipeline's: what waits for upload
    OBJECTS          the pipeline's
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from otel_qtap.agent.account import own_account, pipeline_account
from otel_qtap.errors import SettingsError
from otel_qtap.objectstore.filesystem import directory_of
from otel_qtap.settings import Settings

_STATE = "OTEL_QTAP_STATE_DIRECTORY"
_OBJECTS = "OTEL_QTAP_OBJECTS_URL"
_PRIVATE = 0o700
_PASSABLE = 0o711


def objects_directory(url: str) -> Path | None:
    """The directory of a ``file:`` store URL; None for other stores."""
    return directory_of(url) if url.startswith("file:") else None


def plans_directory(settings: Settings) -> Path:
    """Where the supervisor remembers analyses of library files.

    One that shares its account with the pipeline must not trust what is there.
    """
    return settings.state.directory / "plans"


def prepare_directories(settings: Settings) -> None:
    """Make the state and object directories, each closed to all but its owner.

    Raises SettingsError that names the variable when a directory cannot be made or is not fit. What
    was there before and holds something is never given away: it may be a system directory.
    """
    ours, account = own_account(), pipeline_account(settings)
    _prepare(_STATE, settings.state.directory, ours, _PASSABLE)
    _prepare(_STATE, plans_directory(settings), ours, _PRIVATE)
    _prepare(_STATE, settings.state.directory / "segments", account, _PRIVATE)
    if directory := objects_directory(settings.objects.url):
        _prepare(_OBJECTS, directory, account, _PRIVATE)


def _prepare(variable: str, directory: Path, owner: tuple[int, int], mode: int) -> None:
    try:
        directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        # From here on by descriptor: the name may lead elsewhere by the time it is used again. One that
        # only points, for what belongs to the pipeline's account cannot be opened without a capability.
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _give(variable, directory, descriptor, owner, mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SettingsError(
            f"{variable}: {directory} cannot be used: {error.strerror}. Name a directory that can be made."
        ) from error


def _give(variable: str, directory: Path, descriptor: int, owner: tuple[int, int], mode: int) -> None:
    status = os.fstat(descriptor)
    place = f"/proc/self/fd/{descriptor}"
    if status.st_mode & stat.S_IWOTH:
        raise SettingsError(
            f"{variable}: {directory} can be written by everybody; name a directory of its own for "
            "the agent, for example a new one inside it"
        )
    if status.st_uid == owner[0]:
        if mode & ~status.st_mode:
            os.chmod(place, stat.S_IMODE(status.st_mode) | mode)  # noqa: PTH101 - a link of /proc, no path
        return
    if status.st_uid != os.geteuid() or os.listdir(place):  # noqa: PTH208 - as above
        raise SettingsError(
            f"{variable}: {directory} was there before and belongs to uid {status.st_uid}; name a new "
            f"directory, or give this one to the agent: chown {owner[0]}:{owner[1]} {directory}"
        )
    os.chmod(place, mode)  # noqa: PTH101 - while it is ours
    try:
        os.chown(place, *owner)
    except PermissionError:
        raise SettingsError(
            f"{variable}: {directory} cannot be given to the account of the unprivileged process without "
            "CAP_CHOWN, which is kept for the start only: restart with it, or have the directory ready: "
            f"chown {owner[0]}:{owner[1]} {directory}"
        ) from None


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
