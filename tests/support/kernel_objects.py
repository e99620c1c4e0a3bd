# SPDX-License-Identifier: Apache-2.0
"""What a process holds of the kernel: BPF links, descriptors, and what is in the maps."""

import ctypes
import os
import re
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from otel_qtap.capture import syscalls
from otel_qtap.capture.leftovers import OF_PROCESSES, process_of

_PIDFD_GETFD = 438
_HASH, _LRU_HASH = 1, 9


def probed_files(pid: int) -> list[str]:
    """Paths of the files that a process has probes in, one for each link at function entries.

    An inode that two links are attached to is there twice. A kernel that does not tell paths (before
    6.18) is said so of, for no list is no proof.
    """
    links = [text for text in _descriptions(pid).values() if "link_type:\tuprobe_multi" in text]
    paths = [re.search(r"^path:\t(.+)$", text, re.MULTILINE) for text in links]
    if not all(paths):
        pytest.skip("this kernel does not tell which file a uprobe_multi link is attached to")
    return [path[1] for path in paths if path]


def descriptors(pid: int) -> int:
    """Open descriptors of a process but for probes: programs of the host get theirs whenever found."""
    return sum("link_type:\tuprobe_multi" not in text for text in _descriptions(pid).values())


def map_items(pid: int) -> dict[str, list[tuple[bytes, bytes]]]:
    """Keys and values in each hash map of a process, by the name that the kernel keeps (15 characters)."""
    found = {}
    for descriptor, text in _descriptions(pid).items():
        kind = re.search(r"^map_type:\s*(\d+)", text, re.MULTILINE)
        if kind and int(kind[1]) in (_HASH, _LRU_HASH):
            ours = _borrow(pid, descriptor)
            try:
                found[_name(ours)] = list(syscalls.map_items(ours))
            finally:
                os.close(ours)
    return found


def held_for(pid: int, processes: set[int]) -> list[tuple[str, int]]:
    """Elements in the maps of ``pid`` that belong to one of these processes: (map, process)."""
    items = map_items(pid)
    owners = [(name, process_of(name, *item)) for name in OF_PROCESSES for item in items[name[:15]]]
    return [(name, process) for name, process in owners if process in processes]


def marked_inodes(pid: int) -> set[int]:
    """Inode numbers of the files that the maps of a process speak of."""
    return {int.from_bytes(key[:8], "little") for key, _ in map_items(pid)["known_files"]}


def _descriptions(pid: int) -> dict[int, str]:
    """What /proc/PID/fdinfo says of each descriptor."""
    found = {}
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            found[int(path.name)] = path.read_text()
    return found


def _borrow(pid: int, descriptor: int) -> int:
    """The same map, as a descriptor of this process."""
    process = os.pidfd_open(pid)
    try:
        return syscalls.call(_PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)


def _name(map_fd: int) -> str:
    """A map's name (struct bpf_map_info)."""
    info = ctypes.create_string_buffer(64)
    request = ctypes.create_string_buffer(struct.pack("<IIQ", map_fd, len(info), ctypes.addressof(info)), 16)
    syscalls.call(321, 15, request, 16)
    return info.raw[24:40].split(b"\0")[0].decode()
