# SPDX-License-Identifier: Apache-2.0
"""Who the agent would run as, and what the kernel would let it do (capabilities(7))."""

from otel_qtap.agent.capabilities import effective_capabilities, missing_needs
from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok, warn

_INITIAL_USER_NAMESPACE = "user:[4026531837]"
"""PROC_USER_INIT_INO of include/linux/proc_ns.h, the same on every kernel."""

_RUN_AS_ROOT = (
    "Run as root (sudo otel-qtap ...); in a container: --privileged --pid=host, or in Kubernetes "
    "securityContext.privileged and hostPID."
)


def user(host: Host) -> Outcome:
    """The effective user."""
    effective = int(_status(host, "Uid").split()[1])
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
    missing = missing_needs(effective_capabilities(host.proc / "self/status"), host.kernel)
    if not missing:
        return ok("all that the agent uses")
    required = any(need.required for need in missing)
    names = ", ".join(dict.fromkeys(need.capabilities[0] for need in missing))
    detail = "\n".join(f"{' or '.join(need.capabilities)}: {need.purpose}" for need in missing)
    if required:
        return fail(f"missing: {names}", detail=detail, remedy=_RUN_AS_ROOT)
    return warn(f"missing: {names}", detail=detail, remedy=f"Grant them too, or: {_RUN_AS_ROOT}")


def _status(host: Host, field: str) -> str:
    for line in (host.proc / "self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    raise ValueError(f"/proc/self/status has no {field}")
