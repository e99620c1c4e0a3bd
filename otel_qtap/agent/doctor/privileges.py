# SPDX-License-Identifier: Apache-2.0
"""Who the agent would run as, and what the kernel would let it do (capabilities(7))."""

from otel_qtap.agent.capabilities import effective_capabilities, missing, needs
from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok, warn
from otel_qtap.agent.kernel import attach_mode
from otel_qtap.capture.attach import Tracefs

_INITIAL_USER_NAMESPACE = "user:[4026531837]"
"""PROC_USER_INIT_INO of include/linux/proc_ns.h, the same on every kernel."""

_RUN_AS_ROOT = (
    "Run as root (sudo otel-qtap ...); in a container: --privileged --pid=host, or in Kubernetes "
    "securityContext.privileged and hostPID."
)


def user(host: Host) -> Outcome:
    """The effective user."""
    effective = _uid(host)
    if effective == 0:
        return ok("root")
    return warn(
        f"uid {effective}",
        detail="Capabilities may suffice, but files and directories of the agent belong to root.",
        remedy=_RUN_AS_ROOT,
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
        remedy="Run outside of it: no rootless container, no unshare --user, no user namespace remapping.",
    )


def capabilities(host: Host) -> Outcome:
    """The effective capabilities against what the agent uses."""
    wanted = needs(kernel=host.kernel, attach=_attach(host), tracefs=_tracefs(host), root=_uid(host) == 0)
    lacking = missing(wanted, effective_capabilities(host.proc / "self/status"))
    if not lacking:
        return ok("all that the agent uses")
    required = any(need.required for need in lacking)
    names = ", ".join(dict.fromkeys(need.capabilities[0] for need in lacking))
    detail = "\n".join(f"{' or '.join(need.capabilities)}: {need.purpose}" for need in lacking)
    if required:
        return fail(f"missing: {names}", detail=detail, remedy=_RUN_AS_ROOT)
    return warn(f"missing: {names}", detail=detail, remedy=f"Grant them too, or: {_RUN_AS_ROOT}")


def _tracefs(host: Host) -> Tracefs:
    """Its state as far as capabilities go; one that is absent has a check of its own."""
    return Tracefs.READABLE if (found := host.tracefs()[0]) is Tracefs.ABSENT else found


def _attach(host: Host) -> str:
    wanted = "auto" if isinstance(host.configuration, str) else host.settings.capture.attach
    return attach_mode(wanted, host.kernel)


def _uid(host: Host) -> int:
    """The effective user."""
    return int(_status(host, "Uid").split()[1])


def _status(host: Host, field: str) -> str:
    for line in (host.proc / "self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    raise ValueError(f"/proc/self/status has no {field}")
