# SPDX-License-Identifier: Apache-2.0
"""The agent's own settings: one class per room, variable ``OTEL_QTAP_<ROOM>_<FIELD>``.

Values are read once, by ``loading.load_settings``; rooms never see these classes, they get plain
constructor arguments from the agent. ``docs/settings.md`` is generated from what stands here.
"""

import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from otel_qtap.errors import SettingsError
from otel_qtap.settings.fields import Kind, setting
from otel_qtap.settings.values import (
    ABSOLUTE_PATH,
    ABSOLUTE_PATHS,
    BYTES,
    COMMA_LIST,
    COUNT,
    EXISTING_FILE,
    FLAG,
    HEADER_NAME,
    HEADER_NAMES,
    KEY_VALUES,
    KUBELET,
    LISTEN_ADDRESS,
    NETWORKS,
    NUMBER,
    PROCESS_SELECTORS,
    SECRET_TOKEN,
    STORE_URL,
    HostPort,
    ProcessSelector,
    byte_count,
    one_of,
)

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

PIPELINE_ACCOUNT = "otel-qtap"
PIPELINE_UID = 60913
"""Used where no account is named: in a range (60578 to 61183) that distributions leave unused."""

SMALLEST_AUTOMATIC_RING = 32 * MIB


def _ring_size(value: str) -> int:
    size = byte_count(value)
    if size & (size - 1) or 0 < size < 4096:
        raise ValueError("a number that is no power of two of at least 4096")
    return size


def _unprivileged_user(value: str) -> tuple[int, int]:
    """An account's name or a uid, to a (uid, gid); root is refused."""
    user = value.strip()
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        identity = (entry.pw_uid, entry.pw_gid)
    except (KeyError, OverflowError):
        if not user.isdecimal() or int(user) >= 2**32 - 1:
            raise ValueError("the name of no account of this machine") from None
        identity = (int(user), int(user))
    if 0 in identity:
        raise ValueError("a user with the uid or the gid of root")
    return identity


def _default_user() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(PIPELINE_ACCOUNT)
    except KeyError:
        return PIPELINE_UID, PIPELINE_UID
    return entry.pw_uid, entry.pw_gid


DEFAULT_FILE = Path("/etc/otel-qtap/config.yaml")

Encryption = Literal["none", "aes256", "aws:kms"]
Attachment = Literal["auto", "multi", "perf"]
Sites = Literal["auto", "classic"]
TraceMode = Literal["auto", "child", "link", "root", "enrich"]
CaptureSpan = Literal["both", "client", "none"]
Join = Literal["auto", "headerless", "always", "off"]
LogLevel = Literal["", "debug", "info", "warn", "error"]
LogFormat = Literal["auto", "text", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration file."""

    file: Path | None = setting(
        ABSOLUTE_PATH,
        "YAML file of settings, read again when it changes. Unset means "
        f"`{DEFAULT_FILE}` if there is one; the option `--config` wins.",
        default=None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Where payloads go, and in what portions."""

    url: str = setting(
        STORE_URL,
        "Object store for payloads: a local directory, an S3 bucket with an optional prefix, "
        "the agent's own memory (for trials), or none, which captures metadata only.",
        default="file:///var/lib/otel-qtap/objects",
    )
    segment_bytes: int = setting(
        BYTES,
        "A segment is closed and uploaded when it reaches this size.",
        default=16 * MIB,
        at_least=64 * KIB,
        at_most=GIB,
    )
    segment_seconds: float = setting(
        NUMBER,
        "A segment is closed and uploaded when it reaches this age.",
        default=5.0,
        at_least=0.1,
        at_most=3600,
    )
    max_disk_bytes: int = setting(
        BYTES,
        "Most local disk that segments may take while the store cannot be reached; beyond it "
        "the oldest are dropped and counted.",
        default=GIB,
        at_least=MIB,
    )
    sse: Encryption = setting(
        one_of(Encryption), "Server-side encryption that uploads to S3 ask for.", default="none"
    )
    sse_kms_key_id: str = setting(
        Kind(str, "the id, ARN or alias of a KMS key", secret=True),
        "KMS key for `aws:kms`; unset means the bucket's own key.",
        default="",
    )
    tags: dict[str, str] = setting(
        KEY_VALUES,
        "Object tags for uploads to S3; S3 takes at most ten.",
        default_factory=dict,
        most_items=10,
    )

    def __post_init__(self) -> None:
        if self.sse_kms_key_id and self.sse != "aws:kms":
            raise SettingsError("OTEL_QTAP_OBJECTS_SSE_KMS_KEY_ID needs OTEL_QTAP_OBJECTS_SSE=aws:kms")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the agent keeps on this machine."""

    directory: Path = setting(
        ABSOLUTE_PATH,
        "Directory of open segments and of what waits for upload.",
        default=Path("/var/lib/otel-qtap/state"),
        takes_restart=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What is tapped, and how much of it."""

    max_body_bytes: int = setting(
        BYTES,
        "Most bytes kept of one body; the rest is cut, and the span says so.",
        default=8 * MIB,
        at_least=0,
        at_most=512 * MIB,
    )
    include: tuple[ProcessSelector, ...] = setting(
        PROCESS_SELECTORS,
        "Processes to capture; unset means all. A bare glob is an executable's name or path.",
        default=(),
    )
    exclude: tuple[ProcessSelector, ...] = setting(
        PROCESS_SELECTORS, "Processes to leave alone; wins over `INCLUDE`.", default=()
    )
    ring_bytes: int = setting(
        Kind(_ring_size, BYTES.wants),
        "Size of the kernel ring buffer that carries plaintext, a power of two; 0 chooses the "
        "next power of two above three bodies of the largest size, and at least 32 MiB.",
        default=0,
        at_least=0,
        at_most=2 * GIB,
        takes_restart=True,
    )
    attach: Attachment = setting(
        one_of(Attachment),
        "How probes are attached: `multi` needs kernel 6.6, `perf` works everywhere; `auto` chooses.",
        default="auto",
        takes_restart=True,
    )
    sites: Sites = setting(
        one_of(Sites),
        "Where probes are placed: `auto` takes cheap instructions where disassembly proves them "
        "safe, `classic` always function entries and returns.",
        default="auto",
        takes_restart=True,
    )
    libraries: tuple[Path, ...] = setting(
        ABSOLUTE_PATHS,
        "Files to search for TLS libraries beside those in which one is recognised.",
        default=(),
        takes_restart=True,
    )
    otlp: bool = setting(
        FLAG,
        "Capture calls that carry OpenTelemetry data to a collector too, like any other traffic.",
        default=False,
    )
    rescan_seconds: float = setting(
        NUMBER,
        "How often all processes are looked at, for what no kernel notice told of. A library file that "
        "no process has mapped for as long is let go.",
        default=30.0,
        at_least=1,
        at_most=3600,
        takes_restart=True,
    )
    python: Path = setting(
        ABSOLUTE_PATH,
        "Python interpreter that has the distribution's BCC.",
        default=Path("/usr/bin/python3"),
        takes_restart=True,
    )

    def effective_ring_bytes(self) -> int:
        """Size of the ring in bytes, with 0 resolved."""
        if self.ring_bytes:
            return self.ring_bytes
        wanted = max(SMALLEST_AUTOMATIC_RING, 3 * self.max_body_bytes)
        return 1 << (wanted - 1).bit_length()


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The agent's own health endpoint."""

    address: HostPort = setting(
        LISTEN_ADDRESS,
        "Where `/livez`, `/readyz`, `/metrics` and `/coverage` are served. Nobody has to log in: "
        "`/coverage` tells process ids, executables, container ids and service names of what is not "
        "captured. Do not take 0.0.0.0 or another address that strangers reach. Port 0 takes a free one.",
        default=HostPort("127.0.0.1", 13133),
        takes_restart=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """The viewer of stored payloads, `otel-qtap serve`."""

    address: HostPort = setting(
        LISTEN_ADDRESS,
        "Where the viewer is served. Beyond loopback it takes a token or a proxy that logs people in.",
        default=HostPort("127.0.0.1", 13134),
    )
    hosts: tuple[str, ...] = setting(
        COMMA_LIST,
        "Names by which browsers reach the viewer, beside `localhost` and addresses, which always work.",
        default=(),
    )
    token: str = setting(
        SECRET_TOKEN,
        "Secret that lets in. Where neither it, nor a file, nor a proxy is set, each start makes one and "
        "prints it.",
        default="",
    )
    token_file: Path | None = setting(
        EXISTING_FILE, "File that holds the token, readable for its owner only.", default=None
    )
    proxy_header: str = setting(
        HEADER_NAME,
        "Header field in which an authenticating (OIDC) proxy names the user, such as `X-Forwarded-User`.",
        default="",
    )
    proxy_addresses: tuple[IPv4Network | IPv6Network, ...] = setting(
        NETWORKS,
        "Where that proxy connects from. Whoever can connect from there can claim to be anybody: on a "
        "machine that others use too, name another address than loopback.",
        default=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
    )
    tls_certificate: Path | None = setting(
        EXISTING_FILE, "Certificate chain in PEM; with it the viewer speaks HTTPS.", default=None
    )
    tls_key: Path | None = setting(EXISTING_FILE, "Key of the certificate in PEM.", default=None)

    def __post_init__(self) -> None:
        if self.token and self.token_file:
            raise SettingsError("OTEL_QTAP_SERVE_TOKEN and OTEL_QTAP_SERVE_TOKEN_FILE: set one of them")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError(
                "OTEL_QTAP_SERVE_TLS_CERTIFICATE and OTEL_QTAP_SERVE_TLS_KEY: set both or neither"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """What of HTTP may stand in telemetry. Payloads in the object store are whole regardless."""

    query_allow: tuple[str, ...] = setting(
        COMMA_LIST, "Query parameters whose values are kept in URLs; others are redacted.", default=()
    )
    request_headers: tuple[str, ...] = setting(
        HEADER_NAMES, "Request header fields that become span attributes.", default=()
    )
    response_headers: tuple[str, ...] = setting(
        HEADER_NAMES, "Response header fields that become span attributes.", default=()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """How spans join traces."""

    mode: TraceMode = setting(
        one_of(TraceMode),
        "What a trace context seen on the wire becomes: the parent (`child`), a span link "
        "(`link`), nothing (`root`), the span itself, to which only a log event is added (`enrich`), or "
        "`enrich` for processes that make spans of their own and `child` for the others (`auto`).",
        default="auto",
    )
    instrumented: tuple[ProcessSelector, ...] = setting(
        PROCESS_SELECTORS,
        "Processes that make spans of their own, beside those that are found to; for mode `auto`.",
        default=(),
    )
    uninstrumented: tuple[ProcessSelector, ...] = setting(
        PROCESS_SELECTORS,
        "Processes that make no spans of their own, whatever is found; wins over `INSTRUMENTED`.",
        default=(),
    )
    capture_span: CaptureSpan = setting(
        one_of(CaptureSpan),
        "Which ends of an exchange whose span is the process's own get a span `qtap.capture` of kind "
        "INTERNAL below it, which shows the payload in a trace view.",
        default="both",
    )
    join: Join = setting(
        one_of(Join),
        "Whether both ends of a TLS connection get ids that their agents derive alike, so that they are in "
        "one trace without a header, a server's span below its client's where that is observed, or may be: "
        "on another host, at an address that is not public (`auto`), or at any (`always`). With "
        "`headerless`, a context on the wire is the parent wherever there is one; `off`: ids are random.",
        default="auto",
    )
    ignore_parent_sampling: bool = setting(
        FLAG, "Export spans, in a new trace, also where the caller decided against sampling.", default=False
    )
    adoption_limit: int = setting(
        COUNT,
        "Spans that may join one observed parent before a new trace is started.",
        default=100,
        at_least=1,
    )
    adoption_seconds: float = setting(
        NUMBER,
        "Time for which one observed parent is joined before a new trace is started.",
        default=60.0,
        above=0,
        at_most=86_400,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Workloads:
    """How observed processes are told apart and named; [workloads.md](workloads.md) has the whole of it."""

    runtimes: bool = setting(
        FLAG, "Ask container runtimes whose socket is there for names, images and labels.", default=True
    )
    sockets: tuple[Path, ...] = setting(
        ABSOLUTE_PATHS,
        "Sockets of container runtimes, in place of the usual ones of Docker, Podman, containerd and CRI-O.",
        default=(),
    )
    kubelet: str = setting(
        KUBELET,
        "The kubelet that is asked for pods: where the agent runs in a pod, `auto` takes that of the node "
        "which NODE_IP or NODE_NAME names; `none` asks nobody.",
        default="auto",
    )
    kubelet_certificate: Path | None = setting(
        EXISTING_FILE,
        "Authorities that sign the kubelet's certificate; unset means those of the agent's service account.",
        default=None,
    )
    kubelet_verify: bool = setting(
        FLAG,
        "Whether the kubelet's certificate is verified. Where it is not, whoever answers in its place gets "
        "the service account's token.",
        default=True,
    )
    kubernetes_labels: bool = setting(
        FLAG,
        "Name services by the well-known labels of their pods, such as `app.kubernetes.io/name`.",
        default=True,
    )
    container_labels: tuple[str, ...] = setting(
        COMMA_LIST,
        "Labels of containers that become resource attributes, as `container.label.<name>`.",
        default_factory=tuple,
        most_items=16,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The process that parses what was captured."""

    user: tuple[int, int] = setting(
        Kind(_unprivileged_user, "the name or uid of an unprivileged account"),
        "Account of the unprivileged process: shown as uid and gid. Unset means the account "
        f"`{PIPELINE_ACCOUNT}` if there is one, else uid and gid {PIPELINE_UID}.",
        default_factory=_default_user,
        takes_restart=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The agent's own log, on standard error."""

    level: LogLevel = setting(
        one_of(LogLevel), "Least severe level that is logged. Unset means `OTEL_LOG_LEVEL`.", default=""
    )
    format: LogFormat = setting(
        one_of(LogFormat),
        "Form of log lines; `auto` is text on a terminal and JSON otherwise.",
        default="auto",
    )


ROOMS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "config": Config,
        "objects": Objects,
        "state": State,
        "capture": Capture,
        "health": Health,
        "serve": Serve,
        "http": Http,
        "trace": Trace,
        "workloads": Workloads,
        "pipeline": Pipeline,
        "log": Log,
    }
)
"""All rooms by the word that stands for them in names of variables and in ``Settings``."""
