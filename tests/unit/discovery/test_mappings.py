# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Iterable
from pathlib import Path

from otel_qtap.discovery.mappings import Mapping, code_mappings, inode_mappings, read_maps

MAPS = b"""\
00400000-0040b000 r-xp 00000000 fe:00 77 /opt/app/program
7f0000000000-7f0000001000 r--p 00000000 fe:00 15630351 /usr/lib/libssl.so.3
7f0000001000-7f0000002000 r-xp 00001000 fe:00 15630351 /usr/lib/libssl.so.3
7f0000002000-7f0000003000 r-xp 00002000 fe:00 15630351 /usr/lib/libssl.so.3
7f0000010000-7f0000011000 r-xp 00000000 00:2a 9 /usr/lib/libssl.so.1.1 (deleted)
7f0000020000-7f0000021000 r--p 00000000 fe:00 10 /usr/lib/with blank/libssl.so.3
7f0000040000-7f0000041000 rwxs 00000000 fe:00 12 /srv/with blank/plugin.bin
7f0000050000-7f0000051000 r-xp 00000000 fe:00 xx /usr/lib/libssl.so.9
7f0000060000 libssl.so
7f0000070000-7f0000071000 r-xp 00000000 00:00 0
7ffd00000000-7ffd00001000 rw-p 00000000 00:00 0 [stack]
7ffd00002000-7ffd00003000 r-xp 00000000 00:00 0 [vdso]
"""


def fields(mappings: Iterable[Mapping]) -> list[tuple[str, str, int, str]]:
    return [(each.address_range, each.device, each.inode, each.path) for each in mappings]


def test_code_is_found_once_a_file() -> None:
    assert fields(code_mappings(MAPS, 42)) == [
        ("400000-40b000", "fe:00", 77, "/opt/app/program"),
        ("7f0000001000-7f0000002000", "fe:00", 15630351, "/usr/lib/libssl.so.3"),
        ("7f0000010000-7f0000011000", "00:2a", 9, "/usr/lib/libssl.so.1.1"),
        ("7f0000040000-7f0000041000", "fe:00", 12, "/srv/with blank/plugin.bin"),
    ]


def test_one_file_is_found_in_whatever_way_it_is_mapped() -> None:
    assert fields(inode_mappings(MAPS, 42, [10])) == [
        ("7f0000020000-7f0000021000", "fe:00", 10, "/usr/lib/with blank/libssl.so.3")
    ]
    assert [each.address_range for each in inode_mappings(MAPS, 42, [15630351])] == [
        "7f0000000000-7f0000001000"
    ]
    assert list(inode_mappings(MAPS, 42, [1])) == []


def test_a_device_is_also_told_as_the_kernel_keeps_it() -> None:
    devices = [mapping.kernel_device for mapping in code_mappings(MAPS, 42)]
    assert devices == [0xFE << 20, 0xFE << 20, 0x2A, 0xFE << 20]


def test_a_process_that_is_gone_maps_nothing(tmp_path: Path) -> None:
    assert read_maps(str(tmp_path), 43) == b""


def test_this_process_maps_its_program() -> None:
    program = Path("/proc/self/exe").stat()
    maps = read_maps("/proc", os.getpid())
    assert program.st_ino in {mapping.inode for mapping in code_mappings(maps, os.getpid())}
