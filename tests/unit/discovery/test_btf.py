# SPDX-License-Identifier: Apache-2.0
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_qtap.discovery.btf import ATTACH_COOKIES, OFFSETS, SOCKET_TRACEPOINTS, VMLINUX, Btf, kernel_offsets
from otel_qtap.errors import CaptureError, PrivilegeError

BPF = Path(__file__).parents[3] / "bpf"
INT, PTR, STRUCT, UNION, TYPEDEF, CONST = 1, 2, 4, 5, 8, 10


class Builder:
    """Writes BTF, type by type; ids count from 1."""

    def __init__(self) -> None:
        self.types, self.strings, self.count = b"", b"\0", 0

    def string(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def add(
        self, kind: int, name: str = "", *, size: int = 0, members=(), flag: bool = False, tail=b""
    ) -> int:
        info = kind << 24 | len(members) | flag << 31
        self.types += struct.pack("<III", self.string(name), info, size) + tail
        for member, type_id, bits in members:
            self.types += struct.pack("<III", self.string(member), type_id, bits)
        self.count += 1
        return self.count

    def blob(self) -> bytes:
        header = struct.pack(
            "<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings)
        )
        return header + self.types + self.strings


def sample() -> bytes:
    build = Builder()
    integer = build.add(INT, "int", size=4, tail=struct.pack("<I", 32))
    name = build.add(STRUCT, "qstr", size=16, members=[("hash", integer, 0), ("name", integer, 64)])
    constant = build.add(CONST, size=name)
    alias = build.add(TYPEDEF, "qstr_t", size=constant)
    pair = build.add(STRUCT, members=[("daddr", integer, 0), ("saddr", integer, 32)])
    union = build.add(UNION, members=[("both", integer, 0), ("", pair, 0)])
    build.add(STRUCT, "dentry", members=[("flags", integer, 0), ("", union, 64), ("d_name", alias, 256)])
    build.add(STRUCT, "bits", flag=True, members=[("whole", integer, 64), ("part", integer, 3 << 24 | 96)])
    build.add(19, "enumeration", members=[("a", 0, 0)])
    build.add(STRUCT, "last", members=[("x", integer, 8)])
    return build.blob()


def offset_of(blob: bytes, tmp_path: Path, owner: str, member: str) -> int:
    (tmp_path / "btf").write_bytes(blob)
    return kernel_offsets(tmp_path / "btf", {"OFF_X": (owner, member)})["OFF_X"]


@pytest.mark.parametrize(
    ("owner", "member", "offset"),
    [
        ("dentry", "flags", 0),
        ("dentry", "both", 8),
        ("dentry", "saddr", 12),  # in an anonymous struct in an anonymous union
        ("dentry", "d_name.name", 40),  # through typedef and const
        ("bits", "whole", 8),
        ("last", "x", 1),
    ],
)
def test_members_are_resolved(tmp_path, owner, member, offset):
    assert offset_of(sample(), tmp_path, owner, member) == offset


@pytest.mark.parametrize(
    ("owner", "member"),
    [
        ("dentry", "absent"),
        ("absent", "x"),
        ("bits", "part"),
        ("dentry", "d_name.absent"),
        ("dentry", "flags.x"),
    ],
)
def test_a_missing_member_is_named(tmp_path, owner, member):
    with pytest.raises(CaptureError, match=rf"{re.escape(member)} in struct {owner} \(OFF_X\)"):
        offset_of(sample(), tmp_path, owner, member)


def inode_of(release: str) -> bytes:
    """How struct inode tells when a file was written to, in kernels of this age."""
    build = Builder()
    long = build.add(INT, "long", size=8, tail=struct.pack("<I", 64))
    short = build.add(INT, "int", size=4, tail=struct.pack("<I", 32))
    time = build.add(STRUCT, "timespec64", size=16, members=[("tv_sec", long, 0), ("tv_nsec", long, 64)])
    members = {
        "6.1": [("i_mode", short, 0), ("i_mtime", time, 128)],
        "6.7": [("i_mode", short, 0), ("__i_mtime", time, 192)],
        "6.11": [("i_mtime_sec", long, 256), ("i_mtime_nsec", short, 352)],
    }
    build.add(STRUCT, "inode", size=64, members=members[release])
    return build.blob()


@pytest.mark.parametrize(
    ("release", "seconds", "nanoseconds"), [("6.1", 16, 24), ("6.7", 24, 32), ("6.11", 32, 44)]
)
def test_a_member_is_found_by_the_name_that_it_has_in_each_kernel(tmp_path, release, seconds, nanoseconds):
    (tmp_path / "btf").write_bytes(inode_of(release))
    names = {name: OFFSETS[name] for name in ("OFF_INODE_MTIME_S", "OFF_INODE_MTIME_NS")}
    assert kernel_offsets(tmp_path / "btf", names) == {
        "OFF_INODE_MTIME_S": seconds,
        "OFF_INODE_MTIME_NS": nanoseconds,
    }


def test_a_member_with_no_name_that_is_known_is_told_by_all_of_them(tmp_path):
    (tmp_path / "btf").write_bytes(inode_of("6.1"))
    with pytest.raises(CaptureError, match=r"no member i_a or i_mtime\.b in struct inode \(OFF_X\)"):
        kernel_offsets(tmp_path / "btf", {"OFF_X": ("inode", "i_a", "i_mtime.b")})


def test_a_kernel_without_btf_is_told_what_it_needs(tmp_path):
    with pytest.raises(PrivilegeError, match="CONFIG_DEBUG_INFO_BTF"):
        kernel_offsets(tmp_path / "absent")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(sample()) - 1), st.integers(0, 255)), max_size=8),
    st.integers(0, len(sample())),
)
def test_damaged_btf_raises_nothing_but_capture_errors(edits, cut):
    blob = bytearray(sample())
    for at, value in edits:
        blob[at] = value
    for part in (bytes(blob), bytes(blob[:cut])):
        try:
            btf = Btf(part)
            for type_id in btf.structs(["dentry", "bits", "last"]).values():
                btf.members(type_id)
        except CaptureError:
            pass


@pytest.mark.skipif(not VMLINUX.exists(), reason="this kernel offers no BTF")
def test_the_running_kernel_has_all_that_is_asked_for():
    offsets = kernel_offsets()
    assert offsets.keys() - {SOCKET_TRACEPOINTS, ATTACH_COOKIES} == OFFSETS.keys()
    # What the layout of these structs has been since long before kernel 5.8.
    assert offsets["OFF_SOCK_DADDR"] == 0
    assert offsets["OFF_SOCK_RCV_SADDR"] == 4
    assert offsets["OFF_SOCK_NUM"] == offsets["OFF_SOCK_DPORT"] + 2
    assert offsets["OFF_MM_ARG_END"] == offsets["OFF_MM_ARG_START"] + 8
    assert offsets["OFF_FDT_MAX_FDS"] == 0
    assert offsets["OFF_INODE_MODE"] == 0


def test_socket_tracepoints_are_used_where_the_kernel_has_both(tmp_path: Path):
    build = Builder()
    build.add(STRUCT, "s", members=[("m", build.add(INT, "int", size=4, tail=bytes(4)), 0)])
    build.add(TYPEDEF, "btf_trace_sock_send_length", size=1)
    (tmp_path / "older").write_bytes(build.blob())
    build.add(TYPEDEF, "btf_trace_sock_recv_length", size=1)
    (tmp_path / "newer").write_bytes(build.blob())

    assert kernel_offsets(tmp_path / "older", {"OFF_X": ("s", "m")}) == {"OFF_X": 0}
    assert kernel_offsets(tmp_path / "newer", {"OFF_X": ("s", "m")}) == {"OFF_X": 0, SOCKET_TRACEPOINTS: 1}


def test_every_offset_that_the_programs_use_is_offered():
    used = set()
    for path in BPF.rglob("*.[ch]"):
        used |= set(re.findall(r"\bOFF_[A-Z0-9_]+", path.read_text()))
    assert used - {"OFF_"} <= OFFSETS.keys()
