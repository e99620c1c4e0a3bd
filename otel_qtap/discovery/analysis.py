# SPDX-License-Identifier: Apache-2.0
"""What to probe in one file of a TLS library. Costs a disassembly; its answers are remembered."""

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.locating.registry import locator_of
from otel_qtap.discovery.plan import Analysis, Refusal
from otel_qtap.discovery.sites import NO_SITE, probe_site
from otel_qtap.probes.spec import Hook, TlsLibrary

_DATA = (Hook.READ, Hook.WRITE)


def analyse(elf: ElfFile, library: TlsLibrary, *, force_classic: bool = False) -> Analysis:
    """Choose the functions and prove their sites. Raises ElfError when the file cannot be read.

    ``force_classic``: the public functions at their first bytes, as other tracers do it.
    """
    found = locator_of(library.name)(elf, library, force_classic)
    release = found.release or elf.release
    sites, refusals = [*found.sites], [*found.refusals]
    for function, probe in found.functions:
        site = probe_site(elf, function, probe, probe.cookie(library.library_id), force_classic=force_classic)
        if site:
            sites.append(site)
        else:
            refusals.append(Refusal(function.name, NO_SITE))
    placed = {site.cookie & 0xFF for site in sites}
    lost = [f.name for f, probe in found.functions if probe.hook in _DATA and probe.hook not in placed]
    if lost:  # half of what is said would be taken for all of it
        reason = f"{', '.join(lost)}: {NO_SITE}"
        return Analysis((), found.layout, (Refusal(library.name, reason),), release, evidence=elf.evidence())
    by_code = bool(found.functions) and not elf.functions(
        [probe.symbol for path in library.data_paths for probe in path.public]
    )
    return Analysis(tuple(sites), found.layout, tuple(refusals), release, by_code, elf.evidence())
