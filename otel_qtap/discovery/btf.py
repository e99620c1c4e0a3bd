# SPDX-License-Identifier: Apache-2.0
"""Where the running kernel keeps what the BPF programs read, from its BTF.

Format: Documentation/bpf/btf.rst of the kernel. Types have no index, so one pass over their
headers finds the place of each (some 130 000 of them, 30 ms); only the structs that are asked for
are decoded.
"""

import struct
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path

from otel_qtap.errors import CaptureError, PrivilegeError

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_STRUCT, _UNION = 4, 5
_WRAPPERS = frozenset({8, 9, 10, 11, 18})
"""typedef, volatile, const, restrict, type tag: they stand for another type."""

_TAIL_WORDS = {1: 1, 3: 3, 14: 1, 17: 1}
"""32-bit words behind the three of a type's header, by kind; none for kinds not named here."""
_WORDS_PER_ENTRY = {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}
"""The same for each entry of the type."""
_LAST_KIND = 19
_MAX_BYTES = 64 << 20
_MAX_NESTING = 16

OFFSETS: dict[str, tuple[str, ...]] = {
    "OFF_TASK_FILES": ("task_struct", "files"),
    "OFF_TASK_GROUP_LEADER": ("task_struct", "group_leader"),
    "OFF_TASK_REAL_PARENT": ("task_struct", "real_parent"),
    "OFF_TASK_START_BOOTTIME": ("task_struct", "start_boottime"),
    "OFF_TASK_TGID": ("task_struct", "tgid"),
    "OFF_TASK_SIGNAL": ("task_struct", "signal"),
    "OFF_SIGNAL_LIVE": ("signal_struct", "live"),
    "OFF_TASK_MM": ("task_struct", "mm"),
    "OFF_MM_EXE_FILE": ("mm_struct", "exe_file"),
    "OFF_MM_ARG_START": ("mm_struct", "arg_start"),
    "OFF_MM_ARG_END": ("mm_struct", "arg_end"),
    "OFF_FILES_FDT": ("files_struct", "fdt"),
    "OFF_FDT_FD": ("fdtable", "fd"),
    "OFF_FDT_MAX_FDS": ("fdtable", "max_fds"),
    "OFF_FILE_PRIVATE_DATA": ("file", "private_data"),
    "OFF_FILE_INODE": ("file", "f_inode"),
    "OFF_INODE_INO": ("inode", "i_ino"),
    "OFF_INODE_SB": ("inode", "i_sb"),
    "OFF_INODE_MODE": ("inode", "i_mode"),
    "OFF_INODE_SIZE": ("inode", "i_size"),
    # Of kernels from 6.11 on, of 6.7 to 6.10, and before.
    "OFF_INODE_MTIME_S": ("inode", "i_mtime_sec", "__i_mtime.tv_sec", "i_mtime.tv_sec"),
    "OFF_INODE_MTIME_NS": ("inode", "i_mtime_nsec", "__i_mtime.tv_nsec", "i_mtime.tv_nsec"),
    "OFF_SB_DEV": ("super_block", "s_dev"),
    "OFF_SOCKET_SK": ("socket", "sk"),
    "OFF_SOCK_TYPE": ("sock", "sk_type"),
    "OFF_SOCK_SHUTDOWN": ("sock", "sk_shutdown"),
    "OFF_TCP_BYTES_SENT": ("tcp_sock", "bytes_sent"),
    "OFF_TCP_BYTES_RECEIVED": ("tcp_sock", "bytes_received"),
    "OFF_SOCK_DADDR": ("sock_common", "skc_daddr"),
    "OFF_SOCK_RCV_SADDR": ("sock_common", "skc_rcv_saddr"),
    "OFF_SOCK_DPORT": ("sock_common", "skc_dport"),
    "OFF_SOCK_NUM": ("sock_common", "skc_num"),
    "OFF_SOCK_FAMILY": ("sock_common", "skc_family"),
    "OFF_SOCK_STATE": ("sock_common", "skc_state"),
    "OFF_SOCK_V6_DADDR": ("sock_common", "skc_v6_daddr"),
    "OFF_SOCK_V6_RCV_SADDR": ("sock_common", "skc_v6_rcv_saddr"),
}

SOCKET_TRACEPOINTS = "QTAP_SOCKET_TRACEPOINTS"
"""Flag of the BPF programs: the kernel tells sends and receives by socket (>= 6.3), not only by syscall."""

ATTACH_COOKIES = "QTAP_ATTACH_COOKIES"
"""The same: probes by perf events can tell their program what they are for (>= 5.15)."""


class Btf:
    """A BTF blob (little-endian). Raises CaptureError where it is not what the format says."""

    def __init__(self, blob: bytes) -> None:
        try:
            magic, version, _, header, types, types_size, strings, strings_size = struct.unpack_from(
                "<HBBIIIII", blob
            )
        except struct.error:
            raise CaptureError("BTF: too short") from None
        if magic != _MAGIC or version != 1 or types_size % 4:
            raise CaptureError("BTF: not little-endian BTF of version 1")
        words = blob[header + types :][:types_size]
        self._strings = blob[header + strings :][:strings_size]
        if len(words) != types_size or len(self._strings) != strings_size:
            raise CaptureError("BTF: cut off")
        self._words = array("I", words)
        self._places = self._index()

    def _index(self) -> list[int]:
        """Place of each type by its id; id 0 is void."""
        words = self._words
        end = len(words) - 2
        length = _Lengths()
        places = [0]
        add = places.append
        at = 0
        while at < end:
            add(at)
            at += length[words[at + 1] & 0x1F00FFFF]
        if at != len(words):
            raise CaptureError("BTF: a type is cut off")
        return places

    def structs(self, names: Iterable[str]) -> dict[str, int]:
        """Type ids of structs by name; of several with one name the first."""
        offsets = {self._strings.find(b"\0" + name.encode() + b"\0") + 1: name for name in names}
        offsets.pop(0, None)
        words = self._words
        found: dict[str, int] = {}
        for type_id, at in enumerate(self._places):
            if words[at] in offsets and type_id and words[at + 1] >> 24 & 31 == _STRUCT:
                found.setdefault(offsets[words[at]], type_id)
        return found

    def members(self, type_id: int) -> dict[str, tuple[int, int]]:
        """Members of a struct or union: name -> (byte offset, type id).

        Those of anonymous members count as its own. Bit fields are left out: they have no byte offset
        that means anything.
        """
        found: dict[str, tuple[int, int]] = {}
        self._collect(type_id, 0, found, 0)
        return found

    def _collect(self, type_id: int, base: int, found: dict[str, tuple[int, int]], depth: int) -> None:
        words = self._words
        at = self._places[type_id]
        info = words[at + 1]
        if info >> 24 & 31 not in (_STRUCT, _UNION) or depth > _MAX_NESTING:
            return
        for member in range(at + 3, at + 3 + 3 * (info & 0xFFFF), 3):
            name, kind, position = words[member : member + 3]
            if info >> 31:
                if position >> 24:
                    continue
                position &= 0xFFFFFF
            if position % 8:
                continue
            kind = self._unwrap(kind)
            offset = base + position // 8
            if name:
                found.setdefault(self._name(name), (offset, kind))
            else:
                self._collect(kind, offset, found, depth + 1)

    def _unwrap(self, type_id: int) -> int:
        for _ in range(_MAX_NESTING):
            if type_id >= len(self._places):
                raise CaptureError("BTF: a type id is out of range")
            at = self._places[type_id]
            if not type_id or self._words[at + 1] >> 24 & 31 not in _WRAPPERS:
                break
            type_id = self._words[at + 2]
        return type_id

    def _name(self, offset: int) -> str:
        return self._strings[offset : self._strings.find(b"\0", offset)].decode("ascii", "replace")


class _Lengths(dict[int, int]):
    """Length of a type in words, by the kind and entry count in its header; filled as they are met."""

    def __missing__(self, info: int) -> int:
        kind = info >> 24
        if not 0 < kind <= _LAST_KIND:
            raise CaptureError(f"BTF: unknown kind {kind}: this kernel is newer than the reader")
        length = 3 + _TAIL_WORDS.get(kind, 0) + _WORDS_PER_ENTRY.get(kind, 0) * (info & 0xFFFF)
        self[info] = length
        return length


def kernel_offsets(path: Path = VMLINUX, wanted: Mapping[str, tuple[str, ...]] = OFFSETS) -> dict[str, int]:
    """Byte offsets by the names that bpf/ uses, for its -D flags; and SOCKET_TRACEPOINTS and ATTACH_COOKIES,
    as 1, where the kernel has those.

    ``wanted`` maps a name to a struct and the names that a member of it has had, of which the first that is
    there counts. A member may be a path through named structs (``d_name.name``). Raises PrivilegeError when
    the kernel offers no readable BTF, CaptureError when a struct or member does not exist or the blob is
    damaged.
    """
    try:
        with path.open("rb") as file:
            blob = file.read(_MAX_BYTES)
    except OSError as error:
        raise PrivilegeError(
            f"{path} cannot be read ({error.strerror}): the kernel must be built with "
            "CONFIG_DEBUG_INFO_BTF=y, and /sys must be visible to the agent"
        ) from None
    btf = Btf(blob)
    structs = btf.structs({owner for owner, *_ in wanted.values()})
    members = {name: btf.members(type_id) for name, type_id in structs.items()}
    offsets = {}
    for name, (owner, *member_paths) in wanted.items():
        found = (_offset(btf, members.get(owner, {}), member_path) for member_path in member_paths)
        offset = next((place for place in found if place is not None), None)
        if offset is None:
            raise CaptureError(
                f"BTF: this kernel has no member {' or '.join(member_paths)} in struct {owner} ({name})"
            )
        offsets[name] = offset
    if all(b"\0btf_trace_%s\0" % name in blob for name in (b"sock_send_length", b"sock_recv_length")):
        offsets[SOCKET_TRACEPOINTS] = 1
    if b"\0BPF_FUNC_get_attach_cookie\0" in blob:
        offsets[ATTACH_COOKIES] = 1
    return offsets


def _offset(btf: Btf, members: Mapping[str, tuple[int, int]], member_path: str) -> int | None:
    """Where a member is, by its path through the structs that these are in; None: there is none."""
    offset = 0
    for member in member_path.split("."):
        if member not in members:
            return None
        step, type_id = members[member]
        offset += step
        members = btf.members(type_id)
    return offset
