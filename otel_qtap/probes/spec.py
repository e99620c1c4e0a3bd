# SPDX-License-Identifier: Apache-2.0
"""How a TLS library is described to the locator and to the BPF programs: data, no code.

One entry program and one return program serve every site; the 64-bit cookie of a site tells them
what they were called for. Its layout is shared with bpf/ and must not change on one side only.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

MAX_FILES = 4096
"""Entries of the map ``layouts`` (QTAP_MAX_FILES); number 0 stands for a file of which nothing is known."""
_LAYOUT = struct.Struct("<HHHHHH4x")
_LARGEST_OFFSET = 0xFFFE


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
    FLUSH = 9
    """Sends what earlier writes have left behind: what it calls is no write of its own."""
    GO_READ = 16
    """Where a register has what is read, another the Conn, a stack slot the buffer."""
    GO_WRITE = 17
    GO_CALL = 18
    """Entry of a method whose returns have one of the next three."""
    GO_READ_RETURN = 19
    GO_WRITE_RETURN = 20
    GO_HANDSHAKE_RETURN = 21
    BIO_WRITE = 24
    """``BIO_write``: what the library would send."""


DATA_HOOKS = frozenset(
    (Hook.READ, Hook.WRITE, Hook.GO_READ, Hook.GO_WRITE, Hook.GO_READ_RETURN, Hook.GO_WRITE_RETURN)
)
"""Of what each call that carries data passes."""


class Count(IntEnum):
    """Where the number of plaintext bytes is after the call (cookie bits 8-15)."""

    RC = 0
    """The return value, when it is positive."""
    ARG4 = 1
    """``*(size_t *)`` of the fourth argument, when the return value is positive."""
    ARG5 = 2
    """The same of the fifth argument."""
    NONE = 3
    """The call carries no plaintext, and returns 0 when it succeeded."""


class Shape(IntEnum):
    """Which arguments a call has (cookie bits 24-31)."""

    PLAIN = 0
    """The TLS object, a buffer and its length come first."""
    GNUTLS_RECEIVE = 1
    """The buffer comes third, after the type of record that is wanted."""
    NSS = 2
    """A read has flags fourth, which may say that it is a peek. A handshake may end well elsewhere."""
    IOVEC = 3
    """The second argument is an array of buffers, the fourth how many bytes of them are left out."""
    GNUTLS_SEND = 4
    """Without a buffer the call goes on with what an earlier one was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectLayout:
    """Where the TLS objects of one file keep what they know, in bytes; None: not known.

    ``type``: a u32 that must be 0, or the object is no TLS connection. ``role``: a u32, 0 client, else
    server; ``role_mask``: the bits of it that count, None for all. ``client_random`` and ``server_random``:
    32 bytes each, in the object or, where ``randoms`` is the place of a pointer in the object, behind that.
    """

    role: int | None = None
    type: int | None = None
    randoms: int | None = None
    client_random: int | None = None
    server_random: int | None = None
    role_mask: int | None = None

    def pack(self) -> bytes:
        """struct qtap_layout; an offset that does not fit leaves its group not known."""
        fields = (self.role, self.type, self.randoms, self.client_random, self.server_random)
        role, kind, *randoms = fields
        mask = self.role_mask
        if any(offset is not None and offset > _LARGEST_OFFSET for offset in (role, kind, mask)):
            role = kind = mask = None
        if any(offset is not None and offset > _LARGEST_OFFSET for offset in randoms):
            randoms = [None, None, None]
        places = (0 if offset is None else offset + 1 for offset in (role, kind, *randoms))
        return _LAYOUT.pack(*places, mask or 0)


UNKNOWN_LAYOUT = ObjectLayout()

AT_BRANCH = 1
"""In place of the count at entries of Go methods: the site is the branch of the stack check."""


def go_cookie(
    hook: Hook, library_id: int, *, at_branch: bool = False, count: int = 0, conn: int = 0, slot: int = 0
) -> int:
    """The cookie of a site in a Go method.

    ``count``, ``conn``: the registers of a delivery site as words of struct pt_regs, in place of count and
    shape; ``slot``: where its buffer's address is above the stack pointer, at most 65535 bytes (bits 48-63).
    """
    return hook | (AT_BRANCH if at_branch else count) << 8 | library_id << 16 | conn << 24 | slot << 48


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFunction:
    """One function to probe. ``nargs`` leading arguments must be intact where the probe sits."""

    symbol: str
    hook: Hook
    nargs: int
    needs_return: bool
    count: Count = Count.RC
    shape: Shape = Shape.PLAIN

    def cookie(self, library_id: int) -> int:
        """What ``bpf_get_attach_cookie`` returns at this function's sites, but for ``with_file``."""
        return self.hook | self.count << 8 | library_id << 16 | self.shape << 24


def with_file(cookie: int, file: int) -> int:
    """A cookie that also tells which probed file the site is in: an index in the map ``layouts``."""
    return cookie | file << 32


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
class Accessors:
    """Functions that only tell what a TLS object holds; their code shows where. Empty: there is none.

    ``role`` returns 0 for a client, else something else; the others copy a hello random to a buffer:
    ``size_t client_random(object, buffer, size)``.
    """

    role: str = ""
    client_random: str = ""
    server_random: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """By what a file shows that it may hold a library: one of these is enough."""

    symbols: tuple[tuple[str, ...], ...] = ()
    """Functions of one group that it defines, all of them, exported or not."""
    strings: tuple[bytes, ...] = ()
    """One of these is in its data, where no stripping reaches it."""
    unless: tuple[str, ...] = ()
    """Names of libraries that have the same signs and more: where one of them is seen, this one is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsLibrary:
    """A TLS library: how its files are recognised and what to probe in them."""

    name: str
    library_id: int
    """Cookie bits 16-23."""
    path_marks: tuple[str, ...]
    """Substrings that a file's name must all contain to tell without a look into the file; loose, because
    wheels rename libraries. None: no name tells."""
    signs: Signs = Signs()
    data_paths: tuple[DataPath, ...]
    lifecycle: tuple[ProbeFunction, ...]
    accessors: Accessors = Accessors()
