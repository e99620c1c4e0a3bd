# SPDX-License-Identifier: Apache-2.0
"""Functions that the file's own symbols name, and the inner ones below them."""

from collections.abc import Mapping

from otel_qtap.discovery.calls import CallGraph
from otel_qtap.discovery.elf import ElfFile, Function
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.locating.located import Located, refused
from otel_qtap.discovery.locating.object_layout import object_layout
from otel_qtap.discovery.plan import Refusal
from otel_qtap.discovery.sites import NO_SITE, probe_site
from otel_qtap.probes import gnutls
from otel_qtap.probes.spec import DataPath, InnerFunction, ProbeFunction, TlsLibrary


def locate(elf: ElfFile, library: TlsLibrary, public_only: bool) -> Located:
    """A ``Locator``: inner functions that every public one is seen to pass through, else the public ones."""
    return locate_with(elf, library, public_only, {})


def locate_with(
    elf: ElfFile, library: TlsLibrary, public_only: bool, found: Mapping[str, Function]
) -> Located:
    """The same, with functions of the library that no symbol names and that were ``found`` otherwise."""
    names = {
        name
        for path in library.data_paths
        for inner in path.inner
        for name in (inner.forwarder, *inner.callers, *inner.strangers)
    }
    names |= {probe.symbol for path in library.data_paths for probe in path.public}
    names |= {probe.symbol for probe in library.lifecycle}
    public = {**elf.functions(sorted(names)), **found}
    graph = CallGraph(elf, public)
    passing = [probe.symbol for path in library.data_paths for probe in path.public if probe.symbol in public]
    if any(graph.imported(public[symbol]) & gnutls.CALLED for symbol in passing):
        return refused(library, "it passes everything on to GnuTLS, where it is captured", is_elsewhere=True)
    refusals: list[Refusal] = []
    chosen: list[tuple[Function, ProbeFunction]] = []
    for path in library.data_paths:
        found_here = (
            _public_functions(elf, graph, path, public, refusals)
            if public_only
            else _data_functions(elf, graph, path, public, refusals)
        )
        if not found_here and (lost := [probe.symbol for probe in path.public if probe.symbol in public]):
            # Half of what is said would be taken for all of it.
            return refused(library, f"{', '.join(lost)}: {NO_SITE}")
        chosen += found_here
    if not chosen:
        wanted = ", ".join(probe.symbol for path in library.data_paths for probe in path.public)
        return refused(library, f"the file defines none of {wanted}")
    for probe in library.lifecycle:
        if probe.symbol in public:
            chosen.append((public[probe.symbol], probe))
        else:
            refusals.append(Refusal(probe.symbol, "not in this file"))
    layout = object_layout(elf, library.accessors, refusals)
    return Located(functions=tuple(chosen), layout=layout, refusals=tuple(refusals))


def _data_functions(
    elf: ElfFile,
    graph: CallGraph,
    path: DataPath,
    public: dict[str, Function],
    refusals: list[Refusal],
) -> list[tuple[Function, ProbeFunction]]:
    for inner in path.inner:
        if inner.forwarder in public:
            found = _inner(elf, graph, inner, public)
            if isinstance(found, Function) and probe_site(elf, found, inner.function, 0):
                return [(found, inner.function)]
            refusals.append(Refusal(found.name, NO_SITE) if isinstance(found, Function) else found)
            break
    return _public_functions(elf, graph, path, public, refusals)


def _public_functions(
    elf: ElfFile,
    graph: CallGraph,
    path: DataPath,
    public: dict[str, Function],
    refusals: list[Refusal],
) -> list[tuple[Function, ProbeFunction]]:
    present = []
    for probe in path.public:
        if function := public.get(probe.symbol):
            if probe_site(elf, function, probe, 0):
                present.append((function, probe))
            else:
                refusals.append(Refusal(probe.symbol, NO_SITE))
    # One that passes its call on to another public function would be counted twice.
    starts = {function.start for function, _ in present}
    return [item for item in present if not graph.targets(item[0]) & (starts - {item[0].start})]


def _inner(
    elf: ElfFile, graph: CallGraph, inner: InnerFunction, public: dict[str, Function]
) -> Function | Refusal:
    symbol = inner.function.symbol
    found = elf.functions([symbol]).get(symbol)
    if found is None:
        start = graph.forwarded(public[inner.forwarder], inner.function.nargs)
        if start is None:
            return Refusal(symbol, f"{inner.forwarder} passes its arguments on to no function")
        if start in {function.start for function in public.values()}:
            return Refusal(symbol, f"{inner.forwarder} passes its arguments on to another public function")
        try:
            found = elf.function_at(symbol, start)
            elf.file_offset(start)
        except ElfError as error:
            return Refusal(symbol, str(error))
    for name in inner.callers:
        # A caller may also pass through the forwarder.
        ways_in = {found.start} if name == inner.forwarder else {found.start, public[inner.forwarder].start}
        if name in public and not graph.targets(public[name]) & ways_in:
            return Refusal(symbol, f"{name} does not reach it")
    for name in inner.strangers:
        if name in public and found.start in graph.targets(public[name]):
            return Refusal(symbol, f"{name} reaches it too")
    return found
