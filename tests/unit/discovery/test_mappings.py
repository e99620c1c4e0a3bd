# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.mappings import LibraryFiles, library_mappings
from otel_qtap.probes.openssl import LIBRARY

MAPS = b"""\
00400000-0040b000 r-xp 00000000 fe:00 77 /opt/app/libssl-0badf00d.so.3
7f0000000000-7f0000001000 r--p 00000000 fe:00 15630351 /usr/lib/libssl.so.3
7f0000001000-7f0000002000 r-xp 00001000 fe:00 15630351 /usr/lib/libssl.so.3
7f0000002000-7f0000003000 r-xp 00002000 fe:00 15630351 /usr/lib/libssl.so.3
7f0000010000-7f0000011000 r-xp 00000000 00:2a 9 /usr/lib/libssl.so.1.1 (deleted)
7f0000020000-7f0000021000 r--p 00000000 fe:00 10 /usr/lib/with blank/libssl.so.3
7f0000030000-7f0000031000 r-xp 00000000 fe:00 11 /usr/lib/libcrypto.so.3
7f0000040000-7f0000041000 r-xp 00000000 fe:00 12 /srv/libssl.so/plugin.bin
7f0000050000-7f0000051000 r-xp 00000000 fe:00 xx /usr/lib/libssl.so.9
7f0000060000 libssl.so
7ffd00000000-7ffd00001000 rw-p 00000000 00:00 0 [stack]
"""


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "maps").write_bytes(MAPS)
    return str(tmp_path)


FILES = LibraryFiles((LIBRARY,))


def found(proc, *, executable, files=FILES):
    return [
        (mapping.address_range, mapping.device, mapping.inode, mapping.path)
        for mapping in library_mappings(proc, 42, files, executable=executable)
    ]


def test_code_mappings_are_found_once_a_file(proc):
    assert found(proc, executable=True) == [
        ("400000-40b000", "fe:00", 77, "/opt/app/libssl-0badf00d.so.3"),
        ("7f0000001000-7f0000002000", "fe:00", 15630351, "/usr/lib/libssl.so.3"),
        ("7f0000010000-7f0000011000", "00:2a", 9, "/usr/lib/libssl.so.1.1"),
    ]


def test_mappings_of_any_kind_are_found_when_asked_for(proc):
    assert [(inode, path) for _, _, inode, path in found(proc, executable=False)] == [
        (77, "/opt/app/libssl-0badf00d.so.3"),
        (15630351, "/usr/lib/libssl.so.3"),
        (9, "/usr/lib/libssl.so.1.1"),
        (10, "/usr/lib/with blank/libssl.so.3"),
    ]


def test_a_process_that_is_gone_maps_nothing(proc):
    assert list(library_mappings(proc, 43, FILES, executable=True)) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/lib/libssl.so.3", LIBRARY),
        ("/a/psycopg2_binary.libs/libssl-6a9b88ec.so.1.1.1k", LIBRARY),
        ("/usr/lib/libssl.a", None),
        ("/usr/lib/libcrypto.so.3", None),
        ("/opt/libssl/plugin.so", None),
    ],
)
def test_a_library_is_known_by_its_file_name(path, expected):
    assert FILES.library(path) is expected
    assert FILES.contain(path) is (expected is not None)


def test_a_file_that_the_user_named_is_found_by_its_whole_path(proc):
    files = LibraryFiles((LIBRARY,), ("/srv/libssl.so/plugin.bin", "/elsewhere/libcrypto.so.3"))
    inodes = {inode for _, _, inode, _ in found(proc, executable=True, files=files)}
    assert inodes == {77, 15630351, 9, 12}


def test_a_device_is_also_told_as_the_kernel_keeps_it(proc):
    devices = [mapping.kernel_device for mapping in library_mappings(proc, 42, FILES, executable=True)]
    assert devices == [0xFE << 20, 0xFE << 20, 0x2A]


def test_marks_are_what_a_name_must_hold():
    assert LibraryFiles((LIBRARY,), ("/usr/bin/node",)).marks == (b"libssl", b"node")
