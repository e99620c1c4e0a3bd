# SPDX-License-Identifier: Apache-2.0
"""The answers of discovery: data, part of it kept on disk, so no disassembler is needed to read it."""

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from otel_qtap.discovery.evidence import Evidence
from otel_qtap.probes.spec import UNKNOWN_LAYOUT, ObjectLayout


class FileIdentity(NamedTuple):
    """What tells one state of one file from any other, by statx."""

    device: int
    inode: int
    mtime_ns: int
    size: int
    birth_ns: int = 0
    """Unix time at which the inode was made; 0 where the file system does not tell."""
    is_stacked: bool = False
    """Whether it lies on an overlay, whose device and inode number are not those of the file below."""

    @property
    def state(self) -> tuple[int, int, int, int]:
        """Device, inode, modification time in ns and size: what fstat tells again before a probe is set."""
        return self[:4]

    @property
    def kernel_device(self) -> int:
        """``device`` in the kernel's form (dev_t): 12 bits of major, 20 bits of minor.

        On btrfs and overlays it is not the s_dev of the file's super block.
        """
        return os.major(self.device) << 20 | os.minor(self.device)


class SiteKind(StrEnum):
    """What was proven of a site (``discovery.sites`` says how)."""

    PAIR = "pair"
    """Entry and return probe cost half a microsecond each; the stack pointer is that of the entry."""
    ENTRY = "entry"
    """An entry probe is cheap; the stack pointer may have moved."""
    CLASSIC = "classic"
    """The first byte of the function: right, and about 10 µs a hit."""


class ProbeSite(NamedTuple):
    """One place to attach at: an entry probe and, if ``needs_return``, a return probe as well."""

    function: str
    cookie: int
    file_offset: int
    needs_return: bool
    kind: SiteKind
    instruction: str
    reason: str
    """Why the site is not cheap; empty when it is."""


class Refusal(NamedTuple):
    """A function that is not probed, and why."""

    function: str
    reason: str
    is_elsewhere: bool = False
    """Whether that is because what passes through here is captured in another library."""


class Cause(StrEnum):
    """What is against probing a library whose functions were found."""

    KERNEL = "kernel"
    """The kernel or a limit of the agent, whatever is in the file."""
    PLAINTEXT = "plaintext"
    """It was probed, and what came out was no plaintext."""


class LeftOut(NamedTuple):
    """A library that could be probed and is not, and why."""

    library: str
    reason: str
    cause: Cause


class Analysis(NamedTuple):
    """All that was found out about one file."""

    sites: tuple[ProbeSite, ...]
    layout: ObjectLayout
    refusals: tuple[Refusal, ...]
    release: str = ""
    """Of the library, or the lowest that the file's symbol versions fit; empty when unknown."""
    by_code: bool = False
    """Whether the functions are known by what their code looks like alone: none of them has its name."""
    evidence: Evidence | None = None
    """None: it is not to be remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryPlan:
    """What to attach in one file. No ``sites`` means: not usable, ``refusals`` say why."""

    path: str
    """What to open to attach, as seen from this process (may be a /proc/PID/map_files entry)."""
    identity: FileIdentity
    library: str
    build_id: str = ""
    release: str = ""
    """As ``Analysis.release``, e.g. ``3.5.0``."""
    sites: tuple[ProbeSite, ...] = ()
    layout: ObjectLayout = UNKNOWN_LAYOUT
    refusals: tuple[Refusal, ...] = ()
    by_code: bool = False
    """As ``Analysis.by_code``."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether nothing is probed here because another library is."""
        return not self.sites and any(refusal.is_elsewhere for refusal in self.refusals)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVerdict:
    """What became of one file that holds TLS, or may: why it is or is not captured."""

    path: str
    """As the processes see it that map it."""
    identity: FileIdentity
    libraries: tuple[str, ...] = ()
    """Names of the libraries (``probes.registry``) that can be probed in it."""
    refusals: tuple[Refusal, ...] = ()
    """Of the libraries that it may hold and that cannot: each by its name, with the reason."""
    left_out: tuple[LeftOut, ...] = ()
    """Of the libraries that could be probed and are not: none of these is in ``libraries``."""
    unsupported: tuple[str, ...] = ()
    """Names of what is recognised and cannot be captured (``probes.unsupported`` has the reasons)."""
    is_awaited: bool = False
    """Whether it is looked at just now: nothing else is known of it then, not even whether it holds TLS."""

    @property
    def is_about_tls(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.libraries or self.refusals or self.left_out or self.unsupported)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlan:
    """What to attach in one file, library by library, and what can be told of it."""

    path: str
    """What to open to attach, as ``LibraryPlan.path``."""
    verdict: FileVerdict
    libraries: tuple[LibraryPlan, ...] = ()
    """Of each library that it may hold; those without sites are not usable."""

    @property
    def identity(self) -> FileIdentity:
        """The file, in the state in which it was looked at."""
        return self.verdict.identity

    @property
    def usable(self) -> tuple[LibraryPlan, ...]:
        """Of the libraries that can be probed."""
        return tuple(plan for plan in self.libraries if plan.sites)
