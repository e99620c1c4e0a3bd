# SPDX-License-Identifier: Apache-2.0
"""What files hold, on disk and in the memory of processes: looked at once, whoever asks."""

from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.plan import FilePlan, LibraryPlan
from otel_qtap.discovery.scan import LibraryScanner
from otel_qtap.settings.model import Capture


class Files:
    """All that can be found now; making one takes a second or more on a host with many programs.

    ``plans`` are of all libraries found, ``scanner`` knows which process maps which of the files.
    """

    def __init__(self, settings: Capture, proc: str) -> None:
        self.locator = LibraryLocator(None, force_classic=settings.sites == "classic")
        self.scanner = LibraryScanner(self.locator, proc=proc)
        self.plans: list[LibraryPlan] = []
        self.scanner.ahead_of_need(self._take)
        self.scanner.mapped_now(self._take, wait=True)

    def _take(self, file: FilePlan) -> None:
        self.plans.extend(file.libraries)
