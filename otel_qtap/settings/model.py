# SPDX-License-Identifier: Apache-2.0
"""The agent's own settings: one class per room, variable ``OTEL_QTAP_<ROOM>_<FIELD>``.

Values are read once, by ``loading.load_settings``; rooms never see these classes, they get plain
constructor arguments from the agent. ``docs/settings.md`` is generated from what stands here.
"""

import pwd
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from otel_qtap.settings.values import (
    AbsolutePath,
    AbsolutePaths,
    Bytes,
    CommaList,
    Count,
    Flag,
    HeaderNames,
    HostPort,
    KeyValues,
    ListenAddress,
    ProcessSelectors,
    Secret,
    StoreUrl,
    Wants,
    word,
)
from otel_qtap.settings.variables import Variables

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

PIPELINE_ACCOUNT = "otel-qtap"
PIPELINE_UID = 60913
"""Used where no account is named: in a range (60578 to 61183) that distributions leave unused."""

SMALLEST_AUTOMATIC_RING = 32 * MIB


def _power_of_two(value: int) -> int:
    if value & (value - 1) or 0 < value < 4096:
        raise ValueError("a number that is no power of two of at least 4096")
    return value


def _unprivileged_user(value: object) -> object:
    """An account's name or a uid, to a (uid, gid); root is refused."""
    if not isinstance(value, str):
        return value
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


class Room(BaseModel):
    """Settings of one room."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Objects(Room):
    """Where payloads go, and in what portions."""

    url: StoreUrl = Field(
        "file:///var/lib/otel-qtap/objects",
        description="Object store for payloads: a local directory, an S3 bucket with an optional prefix, "
        "the agent's own memory (for trials), or none, which captures metadata only.",
    )
    segment_bytes: Bytes = Field(
        16 * MIB,
        ge=64 * KIB,
        le=GIB,
        description="A segment is closed and uploaded when it reaches this size.",
    )
    segment_seconds: float = Field(
        5.0, ge=0.1, le=3600, description="A segment is closed and uploaded when it reaches this age."
    )
    max_disk_bytes: Bytes = Field(
        GIB,
        ge=MIB,
        description="Most local disk that segments may take while the store cannot be reached; beyond it "
        "the oldest are dropped and counted.",
    )
    sse: Annotated[Literal["none", "aes256", "aws:kms"], BeforeValidator(word)] = Field(
        "none", description="Server-side encryption that uploads to S3 ask for."
    )
    sse_kms_key_id: Annotated[str, Wants("the id, ARN or alias of a KMS key"), Secret()] = Field(
        "", repr=False, description="KMS key for `aws:kms`; unset means the bucket's own key."
    )
    tags: KeyValues = Field(
        {}, max_length=10, description="Object tags for uploads to S3; S3 takes at most ten."
    )

    @model_validator(mode="after")
    def _key_needs_kms(self) -> Self:
        if self.sse_kms_key_id and self.sse != "aws:kms":
            raise ValueError("OTEL_QTAP_OBJECTS_SSE_KMS_KEY_ID needs OTEL_QTAP_OBJECTS_SSE=aws:kms")
        return self


class State(Room):
    """What the agent keeps on this machine."""

    directory: AbsolutePath = Field(
        Path("/var/lib/otel-qtap/state"),
        description="Directory of open segments and of what waits for upload.",
    )


class Capture(Room):
    """What is tapped, and how much of it."""

    max_body_bytes: Bytes = Field(
        8 * MIB,
        ge=0,
        le=512 * MIB,
        description="Most bytes kept of one body; the rest is cut, and the span says so.",
    )
    include: ProcessSelectors = Field(
        (), description="Processes to capture; unset means all. A bare glob is an executable's name or path."
    )
    exclude: ProcessSelectors = Field((), description="Processes to leave alone; wins over `INCLUDE`.")
    ring_bytes: Annotated[Bytes, AfterValidator(_power_of_two)] = Field(
        0,
        ge=0,
        le=2 * GIB,
        description="Size of the kernel ring buffer that carries plaintext, a power of two; 0 chooses the "
        "next power of two above three bodies of the largest size, and at least 32 MiB.",
    )
    attach: Annotated[Literal["auto", "multi", "perf"], BeforeValidator(word)] = Field(
        "auto",
        description="How probes are attached: `multi` needs kernel 6.6, `perf` works everywhere; `auto` "
        "chooses.",
    )
    sites: Annotated[Literal["auto", "classic"], BeforeValidator(word)] = Field(
        "auto",
        description="Where probes are placed: `auto` takes cheap instructions where disassembly proves them "
        "safe, `classic` always function entries and returns.",
    )
    libraries: AbsolutePaths = Field(
        (),
        description="TLS libraries to probe beside those found by their file names.",
    )
    python: AbsolutePath = Field(
        Path("/usr/bin/python3"), description="Python interpreter that has the distribution's BCC."
    )

    def effective_ring_bytes(self) -> int:
        """Size of the ring in bytes, with 0 resolved."""
        if self.ring_bytes:
            return self.ring_bytes
        wanted = max(SMALLEST_AUTOMATIC_RING, 3 * self.max_body_bytes)
        return 1 << (wanted - 1).bit_length()


class Health(Room):
    """The agent's own health endpoint."""

    address: ListenAddress = Field(
        HostPort("127.0.0.1", 13133),
        description="Where `/livez`, `/readyz` and `/metrics` are served. Port 0 takes a free one.",
    )


class Http(Room):
    """What of HTTP may stand in telemetry. Payloads in the object store are whole regardless."""

    query_allow: CommaList = Field(
        (), description="Query parameters whose values are kept in URLs; others are redacted."
    )
    request_headers: HeaderNames = Field((), description="Request header fields that become span attributes.")
    response_headers: HeaderNames = Field(
        (), description="Response header fields that become span attributes."
    )


class Trace(Room):
    """How spans join traces."""

    mode: Annotated[Literal["auto", "child", "link", "root"], BeforeValidator(word)] = Field(
        "auto",
        description="What a trace context seen on the wire becomes: the parent (`child`), a span link "
        "(`link`), nothing (`root`), or what fits the workload (`auto`).",
    )
    ignore_parent_sampling: Flag = Field(
        False, description="Export spans, in a new trace, also where the caller decided against sampling."
    )
    adoption_limit: Count = Field(
        100, ge=1, description="Spans that may join one observed parent before a new trace is started."
    )
    adoption_seconds: float = Field(
        60.0,
        gt=0,
        le=86_400,
        description="Time for which one observed parent is joined before a new trace is started.",
    )


class Pipeline(Room):
    """The process that parses what was captured."""

    user: Annotated[
        tuple[int, int],
        BeforeValidator(_unprivileged_user),
        Wants("the name or uid of an unprivileged account"),
    ] = Field(
        default_factory=_default_user,
        description="Account of the unprivileged process: shown as uid and gid. Unset means the account "
        f"`{PIPELINE_ACCOUNT}` if there is one, else uid and gid {PIPELINE_UID}.",
    )


class Log(Room):
    """The agent's own log, on standard error."""

    level: Annotated[Literal["", "debug", "info", "warn", "error"], BeforeValidator(word)] = Field(
        "", description="Least severe level that is logged. Unset means `OTEL_LOG_LEVEL`."
    )
    format: Annotated[Literal["auto", "text", "json"], BeforeValidator(word)] = Field(
        "auto", description="Form of log lines; `auto` is text on a terminal and JSON otherwise."
    )


class QtapVariables(Variables):
    """All ``OTEL_QTAP_*`` variables: the room is the word after the prefix, the field all after it."""

    model_config = SettingsConfigDict(
        env_prefix="OTEL_QTAP_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        enable_decoding=False,
        frozen=True,
        extra="forbid",
    )

    objects: Objects = Field(default_factory=Objects)
    state: State = Field(default_factory=State)
    capture: Capture = Field(default_factory=Capture)
    health: Health = Field(default_factory=Health)
    http: Http = Field(default_factory=Http)
    trace: Trace = Field(default_factory=Trace)
    pipeline: Pipeline = Field(default_factory=Pipeline)
    log: Log = Field(default_factory=Log)
