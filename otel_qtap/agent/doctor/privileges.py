# SPDX-License-Identifier: Apache-2.0
"""Who the agent would run as, and what the kernel would let it do (capabilities(7))."""

from collections.abc import Iterable

from otel_qtap.agent.capabilities import Need, effective_capabilities, mask, missing, needs
from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, Remedy, fail, ok, warn
from otel_qtap.agent.doctor.remedies import capability_flags, remedy
from otel_qtap.agent.kernel import attach_mode, perf_event_paranoid
from otel_qtap.capture.attach import Tracefs

_INITIAL_USER_NAMESPACE = "user:[4026531837]"
"""PROC_USER_INIT_INO of include/linux/proc_ns.h, the same on every kernel."""


def user(host: Host) -> Outcome:
    """The effective user."""
    if host.uid == 0:
        return ok("root")
    if host.holds("CAP_BPF") or host.holds("CAP_SYS_ADMIN"):
        return ok(f"uid {host.uid}, with capabilities")
    return warn(
        f"uid {host.uid}",
        detail="Whoever is not root needs capabilities, and directories of its own.",
        remedy=_be_root(host),
    )


def _be_root(host: Host) -> Remedy:
    return remedy(
        host,
        flags=("--user=0",),
        pod="securityContext.runAsUser: 0",
        outside="Run as root (sudo otel-qtap ...), or grant capabilities: docs/capabilities.md.",
    )


def user_namespace(host: Host) -> Outcome:
    """Capabilities of another user namespace than the first do not reach BPF."""
    try:
        namespace = str((host.proc / "self/ns/user").readlink())
    except OSError as error:
        return warn(f"not known: {error.strerror}", remedy="Make /proc visible to the agent.")
    if namespace == _INITIAL_USER_NAMESPACE:
        return ok("the host's")
    return fail(
        "a nested one: root here is no root to the kernel",
        detail="A rootless engine cannot help that: the container has to be started by root.",
        remedy=remedy(
            host,
            flags=("--userns=host",),
            pod="hostUsers: true",
            outside="Run outside of it: no unshare --user, no user namespace remapping.",
        ),
    )


def capabilities(host: Host) -> Outcome:
    """The effective capabilities against what the agent uses."""
    held = effective_capabilities(host.proc / "self/status")
    lacking = missing(_needs(host), held)
    if not lacking:
        return ok("all that the agent uses")
    names = list(dict.fromkeys(need.capabilities[0] for need in lacking))
    detail = "\n".join(dict.fromkeys(f"{' or '.join(need.capabilities)}: {need.purpose}" for need in lacking))
    found = fail if any(need.required for need in lacking) else warn
    return found(f"missing: {', '.join(names)}", detail=detail, remedy=_grant(host, names, lacking))


def _needs(host: Host) -> Iterable[Need]:
    wanted = "auto" if isinstance(host.configuration, str) else host.settings.capture.attach
    # A tracefs that is absent has a check of its own.
    tracefs = Tracefs.READABLE if (found := host.tracefs()[0]) is Tracefs.ABSENT else found
    return needs(
        kernel=host.kernel,
        attach=attach_mode(wanted, host.kernel),
        tracefs=tracefs,
        root=host.uid == 0,
        paranoid=perf_event_paranoid(host.proc),
    )


def _grant(host: Host, names: list[str], lacking: Iterable[Need]) -> Remedy:
    bounding = int(host.status("CapBnd"), 16)
    if host.uid != 0 and not missing(lacking, bounding):
        # The engine let the container have them, and gave them to root alone.
        return _be_root(host)
    ungranted = [name for name in names if not bounding & mask([name])]
    return remedy(
        host,
        flags=capability_flags(ungranted or names),
        pod="securityContext.capabilities.add: "
        f"[{', '.join(name.removeprefix('CAP_') for name in ungranted or names)}]",
        outside="Run as root (sudo otel-qtap ...), or grant them by name: docs/capabilities.md.",
    )
