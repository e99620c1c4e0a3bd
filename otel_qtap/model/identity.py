# SPDX-License-Identifier: Apache-2.0
"""Who talks to whom."""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple

from otel_qtap.model.handshake import HandshakeSummary


class ProcessId(NamedTuple):
    """One process, for ever: a PID alone is reused, a PID with its start time is not.

    ``start_time_ns`` is nanoseconds since boot (CLOCK_BOOTTIME), as the kernel keeps it.
    """

    tgid: int
    start_time_ns: int


class ConnectionId(NamedTuple):
    """One TLS conversation of one process.

    ``handle`` is the address of the TLS object (``SSL *``) and ``generation`` tells its successive
    uses apart. A flat tuple of integers, because it is the key of every lookup on the hot path.
    """

    tgid: int
    process_start_ns: int
    handle: int
    generation: int

    @property
    def process(self) -> ProcessId:
        """The process that owns the TLS object."""
        return ProcessId(self.tgid, self.process_start_ns)


class Direction(IntEnum):
    """Which way bytes went, seen from the observed process. Values are those of bpf/include."""

    EGRESS = 0
    INGRESS = 1


class Role(IntEnum):
    """Which end of the TLS connection the observed process is. Values are those of bpf/include."""

    UNKNOWN = 0
    CLIENT = 1
    SERVER = 2


class PeerSource(StrEnum):
    """What bound the TLS object to its socket (span attribute ``qtap.peer.source``)."""

    NONE = "none"
    NESTED_SYSCALL = "nested_syscall"
    HELLO_RANDOM = "hello_random"
    CIPHERTEXT = "ciphertext"
    DESCRIPTOR = "descriptor"


class Endpoint(NamedTuple):
    """An IP address in its usual text form, and a port."""

    address: str
    port: int


BY_OPERATOR = "operator"
"""``ProcessFacts.instrumentation``: the user says that the process makes spans of its own."""
NOT_INSTRUMENTED = "none"
"""``ProcessFacts.instrumentation``: the user, or the process's own settings, say that it makes none."""
Pairs = tuple[tuple[str, str], ...]
"""Names with values, in an order that means something or in none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFacts:
    """What is known of the container a process runs in, beside its id. Absent facts are empty."""

    runtime: str = ""
    """``docker``, ``containerd``, ``cri-o`` or ``podman``."""
    user_id: int | None = None
    """Whose it is, where a rootless runtime runs it."""
    name: str = ""
    image: str = ""
    """The reference it was started from, such as ``registry.example/shop/web:1.2``."""
    image_id: str = ""
    image_digests: tuple[str, ...] = ()
    """Repository digests, ``name@sha256:...``."""
    labels: Pairs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """What is known of the Kubernetes pod a process runs in. Absent facts are empty."""

    uid: str = ""
    name: str = ""
    namespace: str = ""
    node: str = ""
    container: str = ""
    """Name of the process's container in the pod's specification."""
    owners: Pairs = ()
    """What made the pod, the outermost first: (``deployment``, its name), (``replicaset``, its name)."""
    labels: Pairs = ()
    annotations: Pairs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """What is known of an observed process. Absent facts are empty strings or None.

    ``command_line`` never leaves the agent: it may hold secrets.
    """

    process: ProcessId
    command: str = ""
    """The kernel's name of the process (comm), at most 15 characters."""
    executable: str = ""
    """Path of the executable in the process's own mount namespace."""
    command_line: tuple[str, ...] = ()
    parent_pid: int | None = None
    user_id: int | None = None
    user_name: str = ""
    unit: str = ""
    """The systemd service it belongs to, such as ``nginx.service``."""
    declared: Pairs = ()
    """Resource attributes that the process declares in its environment; an OTEL_SERVICE_NAME among them."""
    container_id: str = ""
    container: ContainerFacts | None = None
    """None outside of containers."""
    pod: PodFacts | None = None
    """None outside of pods."""
    service_name: str = ""
    """The first known name in the order of docs/workloads.md; never empty once it is worked out."""
    service_namespace: str = ""
    service_version: str = ""
    instrumentation: str = ""
    """What shows that the process makes spans of its own; empty: nothing does. NOT_INSTRUMENTED: the user
    says that it makes none."""
    service_instance_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionContext:
    """All that is known of one connection; travels by reference with everything it carried."""

    id: ConnectionId
    role: Role = Role.UNKNOWN
    local: Endpoint | None = None
    remote: Endpoint | None = None
    peer_source: PeerSource = PeerSource.NONE
    tls_library: str = "openssl"
    handshake_seen: bool = False
    """False when the agent attached after this connection was made."""
    client_random: bytes = b""
    """Part of the ClientHello's random; empty: not known."""
    from_handshake: bool = False
    """Stream offsets count every byte of plaintext since the handshake of that random."""
    handshake: HandshakeSummary | None = None
    """None: nothing was seen of the handshake in clear."""
    facts: ProcessFacts = field(
        default_factory=lambda: ProcessFacts(process=ProcessId(0, 0)),
    )
