# SPDX-License-Identifier: Apache-2.0
"""Asks the kernel what it can do by doing it, with bpf(2), and takes it back at once.

Numbers and layouts: include/uapi/linux/bpf.h. All functions raise OSError.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from otel_qtap.capture.syscalls import call

_SYS_BPF = {"x86_64": 321, "aarch64": 280}
_MAP_CREATE, _PROG_LOAD, _LINK_CREATE = 0, 5, 28
_MAP_TYPE_RINGBUF = 27
_PROG_TYPE_KPROBE = 2
_TRACE_UPROBE_MULTI = 48
_ATTRIBUTES = 128

_RETURN_0 = bytes.fromhex("b7000000000000009500000000000000")
"""r0 = 0; exit"""


def _bpf(command: int, attributes: bytes) -> int:
    number = _SYS_BPF.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    return call(number, ctypes.c_int(command), buffer, ctypes.c_uint(_ATTRIBUTES))


def make_ring_buffer() -> None:
    """Make the smallest ring buffer; EINVAL from kernels that have none (before 5.8)."""
    os.close(_bpf(_MAP_CREATE, struct.pack("<IIII", _MAP_TYPE_RINGBUF, 0, 0, os.sysconf("SC_PAGE_SIZE"))))


@contextmanager
def _kprobe_program(expected_attach_type: int) -> Iterator[int]:
    """The descriptor of a loaded program of the kind that uprobes run; it does nothing."""
    code = ctypes.create_string_buffer(_RETURN_0, len(_RETURN_0))
    licence = ctypes.create_string_buffer(b"GPL")
    # type, instructions, their address, licence, log level, log size, log, kernel version, flags,
    # name, interface, expected attach type
    attributes = struct.pack(
        "<IIQQIIQII16sII",
        _PROG_TYPE_KPROBE,
        len(_RETURN_0) // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        *(0, 0, 0, 0, 0),
        b"qtap_doctor",
        0,
        expected_attach_type,
    )
    descriptor = _bpf(_PROG_LOAD, attributes)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def load_program() -> None:
    """Load a program that does nothing."""
    with _kprobe_program(0):
        pass


def has_uprobe_multi() -> bool:
    """Whether one link can carry many uprobes (kernel 6.6).

    The link is asked for on a directory. A kernel that knows such links refuses that with EBADF, and
    attaches nothing; one that does not refuses the program or the kind of link before it looks.
    """
    path = ctypes.create_string_buffer(b"/")
    offset = ctypes.c_uint64(0)
    try:
        with _kprobe_program(_TRACE_UPROBE_MULTI) as program:
            # program, target, attach type, flags, path, offsets, reference counters, cookies, count
            attributes = struct.pack(
                "<IIIIQQQQI",
                program,
                0,
                _TRACE_UPROBE_MULTI,
                0,
                ctypes.addressof(path),
                ctypes.addressof(offset),
                0,
                0,
                1,
            )
            os.close(_bpf(_LINK_CREATE, attributes))
    except OSError as error:
        if error.errno == errno.EPERM:
            raise
        return error.errno == errno.EBADF
    return False
