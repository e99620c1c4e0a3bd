# SPDX-License-Identifier: Apache-2.0
"""Whether a directory can be made and written. Nothing is made: the agent does that, for the right owner."""

import os
import stat
from pathlib import Path

from otel_qtap.agent.account import pipeline_account
from otel_qtap.agent.doctor.host import Host, Runtime
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok, warn
from otel_qtap.agent.doctor.remedies import remedy

_MIB = 1 << 20
_DATA = Path("/var/lib/otel-qtap")
"""Above all defaults, and the volume of the image."""


def state(host: Host) -> Outcome:
    """The directory of open segments and of what waits for upload."""
    settings = host.settings
    return directory(
        host,
        settings.state.directory,
        "OTEL_QTAP_STATE_DIRECTORY",
        wanted_bytes=settings.objects.max_disk_bytes,
    )


def _goes_with_the_container(host: Host, directory: Path) -> bool:
    if host.runtime is Runtime.NONE:
        return False
    return directory.stat().st_dev == host.root.stat().st_dev


def _own_volume(path: Path) -> tuple[str, ...]:
    """A named volume: one for all that lies where the defaults are, else one for each directory."""
    if path.is_relative_to(_DATA):
        return (f"--volume=otel-qtap:{_DATA}",)
    return (f"--volume=otel-qtap{str(path).replace('/', '-')}:{path}",)


def directory(host: Host, path: Path, variable: str, *, wanted_bytes: int = 0) -> Outcome:
    """Look at ``path``, which ``variable`` names: writable, and with ``wanted_bytes`` of room?"""
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return fail(f"{existing} is no directory", remedy=f"Remove it, or name another place in {variable}.")
    if existing == path and path.stat().st_mode & stat.S_IWOTH:
        return fail(
            f"{path} can be written by everybody, and the agent refuses that",
            remedy=f"Name a directory of the agent's own in {variable}, for example a new one inside it.",
        )
    space = os.statvfs(existing)
    if space.f_flag & os.ST_RDONLY:
        return fail(
            f"{existing} is on a read-only filesystem",
            remedy=remedy(
                host,
                flags=_own_volume(path),
                pod=f"a writable volume, mounted at {path}",
                outside=f"Mount a writable volume there, or name another place in {variable}.",
            ),
        )
    # What belongs to the pipeline's account may be closed to root: without CAP_DAC_OVERRIDE it is.
    its_own = path == existing and path.stat().st_uid == pipeline_account(host.settings)[0]
    if not its_own and not os.access(existing, os.W_OK | os.X_OK):
        return fail(
            f"{existing} is not writable for uid {os.geteuid()}",
            remedy=remedy(
                host,
                flags=_own_volume(path),
                pod=f"a writable volume, mounted at {path}",
                outside=f"Run as root, give the directory to this user, or name another place in {variable}.",
            ),
        )
    if _goes_with_the_container(host, existing):
        return warn(
            f"{path} is in the container's own file system",
            detail="What is stored there goes with the container.",
            remedy=remedy(
                host,
                flags=_own_volume(path),
                pod=f"a hostPath or persistent volume, mounted at {path}",
                outside=f"Name another place in {variable}.",
            ),
        )
    free = space.f_bavail * space.f_frsize
    summary = (
        f"{path} is writable" if existing == path else f"{path} is not there yet; {existing} is writable"
    )
    if free < wanted_bytes:
        return warn(
            f"{summary}, but has only {free // _MIB} MiB free",
            detail=f"Up to {wanted_bytes // _MIB} MiB may wait there while the store cannot be reached.",
            remedy="Make room, or lower OTEL_QTAP_OBJECTS_MAX_DISK_BYTES.",
        )
    return ok(f"{summary}, {free // _MIB} MiB free")
