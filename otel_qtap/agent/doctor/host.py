# SPDX-License-Identifier: Apache-2.0
"""What is examined."""

import platform
from dataclasses import dataclass, field
from pathlib import Path

from otel_qtap.agent.kernel import kernel_release
from otel_qtap.capture.attach import Tracefs, find_tracefs
from otel_qtap.settings import Settings


class NotConfiguredError(Exception):
    """A check needs settings, and the environment does not make any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """This machine as the agent would see it; the roots and names can be other ones in tests."""

    configuration: Settings | str
    """The settings, or why they were refused."""
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    release: str = field(default_factory=platform.release)
    machine: str = field(default_factory=platform.machine)

    @property
    def settings(self) -> Settings:
        """The settings. Raises NotConfiguredError where they were refused."""
        if isinstance(self.configuration, str):
            raise NotConfiguredError
        return self.configuration

    @property
    def kernel(self) -> tuple[int, int]:
        """Major and minor number of the kernel; (0, 0) where its release begins with no numbers."""
        return kernel_release(self.release)

    def tracefs(self) -> tuple[Tracefs, Path]:
        """State and place of tracefs."""
        return find_tracefs((self.sys / "kernel/tracing", self.sys / "kernel/debug/tracing"))
