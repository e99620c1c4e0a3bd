# SPDX-License-Identifier: Apache-2.0
"""Where the OpenSSL of one process hands its ciphertext on."""

from collections.abc import Collection

from otel_qtap.discovery.elf import ElfError
from otel_qtap.discovery.inodes import identify
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.mappings import code_mappings, read_maps
from otel_qtap.discovery.plan import LibraryPlan
from otel_qtap.probes import ciphertext

_MOST_FILES = 16


class CiphertextFiles:
    """Finds ``BIO_write`` in what a process maps."""

    def __init__(self, locator: LibraryLocator, *, proc: str = "/proc") -> None:
        self._locator = locator
        self._proc = proc

    def of(self, pid: int, also: Collection[str] = ()) -> list[LibraryPlan]:
        """Plans for the files of this process that define it: copies of libcrypto, and of ``also``, paths as
        the process sees them, those that hold libcrypto too. Empty when the process is gone."""
        plans: list[LibraryPlan] = []
        for mapping in code_mappings(read_maps(self._proc, pid), pid):
            name = mapping.path.rpartition("/")[2]
            if mapping.path not in also and not all(mark in name for mark in ciphertext.LIBRARY.path_marks):
                continue
            path = f"{self._proc}/{pid}/map_files/{mapping.address_range}"
            if identify(path) is None:
                path = f"{self._proc}/{pid}/root{mapping.path}"
            try:
                plan = self._locator.locate(path, ciphertext.LIBRARY)
            except ElfError:
                continue
            if plan.sites:
                plans.append(plan)
            if len(plans) == _MOST_FILES:
                break
        return plans
