# SPDX-License-Identifier: Apache-2.0
"""bpf(2) and perf_event_open(2): the few commands that this agent needs, on x86-64.

Numbers and layouts: include/uapi/linux/bpf.h and perf_event.h of the kernel.
"""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

PAGE_BYTES = 4096

SYS_BPF = 321
SYS_PERF_EVENT_OPEN = 298
_MAP_CREATE = 0
_MAP_LOOKUP_ELEM = 1
_MAP_UPDATE_ELEM = 2
_MAP_DELETE_ELEM = 3
_PROG_LOAD = 5
_OBJ_GET_INFO_BY_FD = 15
_RAW_TRACEPOINT_OPEN = 17
_MAP_LOOKUP_BATCH = 24
_LINK_CREATE = 28
_PERF_EVENT = 41
_UPROBE_MULTI = 48
_UPROBE_MULTI_RETURN = 1
_IOC_ENABLE = 0x2400
_IOC_SET_BPF = 0x40042408
_PERF_TYPE_TRACEPOINT = 2
_PERF_FLAG_FD_CLOEXEC = 8
_BATCH = 1024
"""Elements of a map that are read at once."""

_libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: object) -> int:
    """syscall(2) by its number; raises OSError."""
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    return call(SYS_BPF, ctypes.c_int(command), buffer, ctypes.c_uint(128))


def map_update(map_fd: int, key: bytes, value: bytes) -> None:
    """Set one element of a map; raises OSError."""
    k, v = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
    _bpf(_MAP_UPDATE_ELEM, struct.pack("<IxxxxQQQ", map_fd, ctypes.addressof(k), ctypes.addressof(v), 0))


class MapDefinition(NamedTuple):
    """What a map is made from (the head of struct bpf_map_info)."""

    kind: int
    key_bytes: int
    value_bytes: int
    max_entries: int
    flags: int


def map_definition(map_fd: int) -> MapDefinition:
    """What an existing map was made from; raises OSError."""
    info = ctypes.create_string_buffer(24)
    _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", map_fd, len(info), ctypes.addressof(info)))
    kind, _, *rest = struct.unpack("<6I", info.raw)
    return MapDefinition(kind, *rest)


def map_create(name: str, definition: MapDefinition) -> int:
    """Make a map; returns its descriptor. Raises OSError."""
    return _bpf(_MAP_CREATE, struct.pack("<5I8x16s", *definition, _object_name(name)))


def program_load(name: str, kind: int, attach_type: int, code: bytes) -> int:
    """Load a program of these instructions; returns its descriptor. Raises OSError."""
    text, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "<IIQQ24x16sII",
        kind,
        len(code) // 8,
        ctypes.addressof(text),
        ctypes.addressof(licence),
        _object_name(name),
        0,
        attach_type,
    )
    return _bpf(_PROG_LOAD, attributes)


def _object_name(name: str) -> bytes:
    return name.encode()[:15]


def map_lookup(map_fd: int, key: bytes, value_bytes: int) -> bytes:
    """One element of a map; raises OSError."""
    k, v = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value_bytes)
    _bpf(_MAP_LOOKUP_ELEM, struct.pack("<IxxxxQQQ", map_fd, ctypes.addressof(k), ctypes.addressof(v), 0))
    return v.raw


def map_delete(map_fd: int, key: bytes) -> None:
    """Remove one element of a map; raises OSError (ENOENT when it is not there)."""
    k = ctypes.create_string_buffer(key, len(key))
    _bpf(_MAP_DELETE_ELEM, struct.pack("<IxxxxQ", map_fd, ctypes.addressof(k)))


def map_sizes(map_fd: int) -> tuple[int, int]:
    """Bytes of a key and of a value of a map (the head of struct bpf_map_info)."""
    info = ctypes.create_string_buffer(16)
    _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", map_fd, len(info), ctypes.addressof(info)))
    _, _, key_bytes, value_bytes = struct.unpack("<IIII", info.raw)
    return key_bytes, value_bytes


def map_items(map_fd: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a hash map, which others may write to meanwhile; raises OSError."""
    key_bytes, value_bytes = map_sizes(map_fd)
    place, following = ctypes.c_uint32(), ctypes.c_uint32()
    room, is_first, is_last = _BATCH, True, False
    while not is_last:
        keys = ctypes.create_string_buffer(room * key_bytes)
        values = ctypes.create_string_buffer(room * value_bytes)
        attributes = ctypes.create_string_buffer(128)
        where = 0 if is_first else ctypes.addressof(place)
        addresses = (ctypes.addressof(item) for item in (following, keys, values))
        struct.pack_into("<QQQQII", attributes, 0, where, *addresses, room, map_fd)
        try:
            call(SYS_BPF, ctypes.c_int(_MAP_LOOKUP_BATCH), attributes, ctypes.c_uint(128))
        except OSError as error:
            if error.errno == errno.ENOSPC:  # one bucket of the table holds more than this
                room *= 2
                continue
            if error.errno != errno.ENOENT:
                raise
            is_last = True
        (count,) = struct.unpack_from("<I", attributes, 32)
        all_keys, all_values = keys.raw, values.raw
        for index in range(count):
            yield (
                all_keys[index * key_bytes : (index + 1) * key_bytes],
                all_values[index * value_bytes : (index + 1) * value_bytes],
            )
        place.value, is_first = following.value, False


def raw_tracepoint(program_fd: int, name: str) -> int:
    """Attach to a raw tracepoint (needs no tracefs); returns the descriptor that holds it."""
    text = ctypes.create_string_buffer(name.encode())
    return _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("<QI", ctypes.addressof(text), program_fd))


def uprobe_multi(
    program_fd: int, path: str, offsets: list[int], cookies: list[int], *, on_return: bool, pid: int = 0
) -> int:
    """One link for many offsets of one file (kernel >= 6.6); returns the descriptor that holds it.

    ``pid``: in this process only.
    """
    count = len(offsets)
    name = ctypes.create_string_buffer(os.fsencode(path))
    places, labels = (ctypes.c_uint64 * count)(*offsets), (ctypes.c_uint64 * count)(*cookies)
    attributes = struct.pack(
        "<IIIIQQQQIII",
        program_fd,
        0,
        _UPROBE_MULTI,
        0,
        ctypes.addressof(name),
        ctypes.addressof(places),
        0,
        ctypes.addressof(labels),
        count,
        _UPROBE_MULTI_RETURN if on_return else 0,
        pid,
    )
    return _bpf(_LINK_CREATE, attributes)


def _perf_event(kind: int, config: int, config1: int, config2: int, pid: int = 0) -> int:
    # struct perf_event_attr: type, size, config, sample_period, sample_type, read_format, flags,
    # wakeup_events, bp_type, config1, config2
    attributes = struct.pack("<IIQQQQQIIQQ", kind, 128, config, 1, 0, 0, 0, 1, 0, config1, config2).ljust(
        128, b"\0"
    )
    buffer = ctypes.create_string_buffer(attributes, 128)
    flags = ctypes.c_ulong(_PERF_FLAG_FD_CLOEXEC)
    # pid -1, cpu 0: a uprobe or tracepoint event with a BPF program fires on every CPU. With a pid, a uprobe
    # is put into that process's memory alone, and fires in all of its threads.
    task, cpu = ctypes.c_int(pid or -1), ctypes.c_int(-1 if pid else 0)
    return call(SYS_PERF_EVENT_OPEN, buffer, task, cpu, ctypes.c_int(-1), flags)


def _with_program(descriptor: int, program_fd: int) -> int:
    try:
        fcntl.ioctl(descriptor, _IOC_SET_BPF, program_fd)
        fcntl.ioctl(descriptor, _IOC_ENABLE, 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def perf_tracepoint(program_fd: int, tracepoint_id: int) -> int:
    """Attach to a tracepoint by its tracefs id; returns the descriptor that holds it."""
    return _with_program(_perf_event(_PERF_TYPE_TRACEPOINT, tracepoint_id, 0, 0), program_fd)


def perf_uprobe(program_fd: int, pmu_type: int, path: str, offset: int, *, on_return: bool) -> int:
    """Attach to one offset of a file by a perf event; returns the descriptor that holds it.

    ``pmu_type`` is the number in /sys/bus/event_source/devices/uprobe/type.
    """
    name = ctypes.create_string_buffer(os.fsencode(path))
    return _with_program(_perf_event(pmu_type, int(on_return), ctypes.addressof(name), offset), program_fd)


def perf_uprobe_link(
    program_fd: int, pmu_type: int, path: str, offset: int, cookie: int, *, on_return: bool, pid: int = 0
) -> tuple[int, int]:
    """The same with a cookie (kernel >= 5.15), and in one process only with a ``pid``.

    Returns the two descriptors that hold it, link and event.
    """
    name = ctypes.create_string_buffer(os.fsencode(path))
    event = _perf_event(pmu_type, int(on_return), ctypes.addressof(name), offset, pid)
    try:
        link = _bpf(_LINK_CREATE, struct.pack("<IIIIQ", program_fd, event, _PERF_EVENT, 0, cookie))
    except OSError:
        os.close(event)
        raise
    return link, event
