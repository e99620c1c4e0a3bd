# SPDX-License-Identifier: Apache-2.0
"""What to probe in one file of a TLS library. Costs a disassembly; its answers are remembered."""

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.locating.registry import locator_of
from otel_qtap.discovery.plan import Analysis
from otel_qtap.discovery.sites import probe_site
from otel_qtap.probes.spec import TlsLibrary


def analyse(elf: ElfFile, library: TlsLibrary, *, force_classic: bool = False) -> Analysis:
    """Choose the functions and prove their sites. Raises ElfError when the file cannot be read.

    ``force_classic``: the public functions at their first bytes, as other tracers do it.
    """
    found = locator_of(library.name)(elf, library, force_classic)
    sites = tuple(
        probe_site(elf, function, probe, probe.cookie(library.library_id), force_classic=force_classic)
        for function, probe in found.functions
    )
    return Analysis(found.sites + sites, found.layout, found.refusals)
