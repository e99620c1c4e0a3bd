# SPDX-License-Identifier: Apache-2.0
"""How a TLS library is described to the locator and to the BPF programs: data, no code.

One entry program and one return program serve every site; the 64-bit cookie of a site tells them
what they were called for. Its layout is shared with bpf/ and must not change on one side only.
"""

from dataclasses import dataclass
from enum import IntEnum

_MAX_FIELD = 0xFFFF
"""Largest value of a 16-bit part of a cookie."""


class Hook(IntEnum):
    """What a probed function does to the conversation (cookie bits 0-7)."""

    READ = 1
    WRITE = 2
    HANDSHAKE = 3
    SHUTDOWN = 4
    FREE = 5
    SET_FD = 6
    SET_BIO = 7
    CLEAR = 8


class Count(IntEnum):
    """Where the number of plaintext bytes is after the call (cookie bits 8-15)."""

    RC = 0
    """The return value, when it is positive."""
    ARG4 = 1
    """``*(size_t *)`` of the fourth argument, when the return value is positive."""
    ARG5 = 2
    """The same of the fifth argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFunction:
    """One function to probe. ``nargs`` leading arguments must be intact where the probe sits."""

    symbol: str
    hook: Hook
    nargs: int
    needs_return: bool
    count: Count = Count.RC

    def cookie(self, library_id: int, role_offset: int | None = None, type_offset: int | None = None) -> int:
        """The value that ``bpf_get_attach_cookie`` returns at this function's sites.

        Bits 32-47 hold the offset of the role in the TLS object, 0 when it is not known; bits 48-63
        the offset, plus one, of a u32 that is 0 in every object that has the role there, 0 when
        nothing is to be checked. Offsets that do not fit count as not known.
        """
        cookie = self.hook | self.count << 8 | library_id << 16
        type_field = 0 if type_offset is None else type_offset + 1
        if role_offset is None or role_offset > _MAX_FIELD or type_field > _MAX_FIELD:
            return cookie
        return cookie | role_offset << 32 | type_field << 48


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerFunction:
    """A function below the public ones, through which all of them pass.

    It is often a local symbol. A stripped file does not name it: there it is the first function
    that ``forwarder`` calls, with its own arguments still untouched. Either way it is believed only
    if every function of ``callers`` that the file has reaches it and none of ``strangers`` does.
    """

    function: ProbeFunction
    forwarder: str
    callers: tuple[str, ...]
    strangers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPath:
    """One way that plaintext takes: probe one inner function, or else the public ones, never both.

    The first of ``inner`` whose forwarder the file has is the one to look for.
    """

    inner: tuple[InnerFunction, ...]
    public: tuple[ProbeFunction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAccessor:
    """A public function that only returns the role of a connection (0 client, else server)."""

    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsLibrary:
    """A TLS library: how its files are recognised and what to probe in them."""

    name: str
    library_id: int
    """Cookie bits 16-23."""
    path_marks: tuple[str, ...]
    """Substrings that a mapped path must all contain; loose, because wheels rename libraries."""
    data_paths: tuple[DataPath, ...]
    lifecycle: tuple[ProbeFunction, ...]
    role: RoleAccessor
