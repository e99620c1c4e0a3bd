# SPDX-License-Identifier: Apache-2.0
"""What is examined."""

import contextlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from otel_qtap.agent.capabilities import effective_capabilities, mask
from otel_qtap.agent.doctor.files import Files
from otel_qtap.agent.kernel import kernel_release
from otel_qtap.capture.attach import Tracefs, find_tracefs
from otel_qtap.settings import Settings


class Runtime(StrEnum):
    """What the agent runs in."""

    NONE = "no container"
    DOCKER = "docker"
    PODMAN = "podman"
    KUBERNETES = "kubernetes"
    OTHER = "container"


class NotConfiguredError(Exception):
    """A check needs settings, and the environment does not make any."""


class Mount(NamedTuple):
    """A line of /proc/self/mountinfo: a file system, which ``part`` of it, and its own options."""

    filesystem: str
    source: str
    part: str
    options: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """This machine as the agent would see it; the roots and names can be other ones in tests."""

    configuration: Settings | str
    """The settings, or why they were refused."""
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    release: str = field(default_factory=platform.release)
    machine: str = field(default_factory=platform.machine)
    _files: list[Files] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def settings(self) -> Settings:
        """The settings. Raises NotConfiguredError where they were refused."""
        if isinstance(self.configuration, str):
            raise NotConfiguredError
        return self.configuration

    @property
    def files(self) -> Files:
        """What files hold; found out when it is asked for first. Raises NotConfiguredError."""
        if not self._files:
            self._files.append(Files(self.settings.capture, str(self.proc)))
        return self._files[0]

    @property
    def runtime(self) -> Runtime:
        """Told by what each of them leaves in its containers.

        A root that is a whole disk is no container's: machines are made from images, too.
        """
        root = self.mount("/")
        if root.source.startswith("/dev/") and root.part == "/":
            return Runtime.NONE
        if "KUBERNETES_SERVICE_HOST" in self.environ:
            return Runtime.KUBERNETES
        if (self.root / "run/.containerenv").exists():
            return Runtime.PODMAN
        if (self.root / ".dockerenv").exists():
            return Runtime.DOCKER
        return Runtime.OTHER if root.filesystem == "overlay" else Runtime.NONE

    def mount(self, path: str) -> Mount:
        """What is mounted at exactly this path, the topmost; an empty one where nothing is."""
        found = Mount("", "", "", frozenset())
        with contextlib.suppress(OSError, ValueError):
            for line in (self.proc / "self/mountinfo").read_text(errors="replace").splitlines():
                before, _, after = line.partition(" - ")
                _, _, _, part, place, *_ = before.split()
                if place == path:
                    filesystem, source, options = after.split(" ", 2)
                    found = Mount(filesystem, source, part, frozenset(options.split(",")))
        return found

    def status(self, name: str) -> str:
        """A field of /proc/self/status. Raises ValueError where there is none."""
        for line in (self.proc / "self/status").read_text(errors="replace").splitlines():
            field_name, _, value = line.partition(":")
            if field_name == name:
                return value.strip()
        raise ValueError(f"{self.proc}/self/status has no {name}")

    @property
    def uid(self) -> int:
        """The effective user."""
        return int(self.status("Uid").split()[1])

    def holds(self, *capabilities: str) -> bool:
        """Whether all of these are effective."""
        return not mask(capabilities) & ~effective_capabilities(self.proc / "self/status")

    @property
    def kernel(self) -> tuple[int, int]:
        """Major and minor number of the kernel; (0, 0) where its release begins with no numbers."""
        return kernel_release(self.release)

    def tracefs(self) -> tuple[Tracefs, Path]:
        """State and place of tracefs."""
        return find_tracefs((self.sys / "kernel/tracing", self.sys / "kernel/debug/tracing"))
