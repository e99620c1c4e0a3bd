# SPDX-License-Identifier: Apache-2.0
"""Which TLS libraries there are, and what a probe in each would cost."""

from collections import Counter
from collections.abc import Iterable

from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, ok, warn
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.plan import LibraryPlan, ProbeSite, SiteKind
from otel_qtap.discovery.scan import shown_path
from otel_qtap.probes.spec import DATA_HOOKS
from otel_qtap.terminal import printable


def libraries(host: Host) -> Outcome:
    """The libraries on disk and in the memory of processes, each with its probe sites by kind."""
    settings = host.settings.capture
    plans, unreadable = _plans(host)
    usable = [plan for plan in plans if plan.sites]
    classic = [plan for plan in usable if any(map(_is_dear, plan.sites))]
    detail = "\n".join((*map(_describe, plans), *unreadable))
    if not usable:
        return warn(
            "none that can be probed",
            detail=detail,
            remedy="Nothing, if programs bring their own: a library is probed when a process maps it. One "
            "that is not recognised can be named in OTEL_QTAP_CAPTURE_LIBRARIES.",
        )
    summary = f"{len(usable)} can be probed"
    refused = sum(not plan.sites and not plan.is_elsewhere for plan in plans) + len(unreadable)
    if refused:
        return warn(
            f"{summary}, {refused} cannot",
            detail=detail,
            remedy="What uses the others is not captured; the reasons are above.",
        )
    if classic and settings.sites != "classic":
        return warn(
            f"{summary}, {len(classic)} of them only at more expensive sites in part",
            detail=detail,
            remedy="All is captured, at about 10 µs a call instead of 0.8. A distribution's own build of "
            "the library usually has cheap sites.",
        )
    return ok(summary, detail=detail)


def _plans(host: Host) -> tuple[list[LibraryPlan], list[str]]:
    """Plans of all libraries found, and a line for each named one that cannot be read."""
    plans = list(host.files.plans)
    known = {plan.identity for plan in plans}
    unreadable = []
    for path in host.settings.capture.libraries:
        try:
            plan = host.files.locator.locate(str(path))
        except ElfError as error:
            unreadable.append(printable(f"{path} (OTEL_QTAP_CAPTURE_LIBRARIES): {error}"))
        else:
            if plan.identity not in known:
                plans.append(plan)
    return plans, unreadable


def _describe(plan: LibraryPlan) -> str:
    """``path (release): 2 pair, 2 entry``, with a line for each site that is not cheap."""
    release = f" ({plan.library} {plan.release} or later)" if plan.release else f" ({plan.library})"
    kinds = Counter(site.kind for site in plan.sites)
    sites = ", ".join(f"{kinds[kind]} {kind}" for kind in SiteKind if kinds[kind]) or "no sites"
    reasons: Iterable[str] = (
        f"{site.function}: {', '.join(filter(None, ('classic', site.reason)))}"
        for site in plan.sites
        if _is_dear(site)
    )
    if not plan.sites:
        reasons = (f"{refusal.function}: {refusal.reason}" for refusal in plan.refusals)
    first = printable(f"{shown_path(plan.path)}{release}: {sites}")
    return "\n".join((first, *(f"  {printable(reason)}" for reason in dict.fromkeys(reasons))))


def _is_dear(site: ProbeSite) -> bool:
    """Whether each call that carries data passes an expensive site there."""
    return site.kind is SiteKind.CLASSIC and site.cookie & 0xFF in DATA_HOOKS
