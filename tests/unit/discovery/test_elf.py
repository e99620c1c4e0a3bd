# SPDX-License-Identifier: Apache-2.0
import os
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.libraries import LibraryLocator
from tests.unit.discovery.conftest import CODE_ADDRESS, CODE_OFFSET

RETURN = b"\xc3"


def write(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "libssl-test.so"
    path.write_bytes(content)
    return str(path)


def readelf(option: str, path: Path) -> str:
    return subprocess.run(["readelf", option, "-W", path], capture_output=True, text=True, check=True).stdout


def test_functions_of_a_real_library_are_where_readelf_sees_them(system_libssl):
    seen = {}
    for line in readelf("--dyn-syms", system_libssl).splitlines():
        fields = line.split()
        if len(fields) == 8 and fields[3] == "FUNC" and fields[6] != "UND":
            seen[fields[7].partition("@")[0]] = (int(fields[1], 16), int(fields[2]))
    for name, (address, size) in seen.items():
        with ElfFile(str(system_libssl)) as elf:
            found = elf.functions([name])[name]
            assert (found.start, found.end - found.start) == (address, min(size, 16384))
    assert len(seen) > 400


def test_build_id_and_release_of_a_real_library(system_libssl):
    with ElfFile(str(system_libssl)) as elf:
        assert f"Build ID: {elf.build_id}\n" in readelf("-n", system_libssl)
        assert elf.release.startswith("3.")


def test_code_is_read_through_the_program_headers(make_elf, tmp_path):
    with ElfFile(write(tmp_path, make_elf({"SSL_a": b"\x90\x90\xc3", "SSL_b": b"\x50\xc3"}))) as elf:
        found = elf.functions(["SSL_b"])["SSL_b"]
        assert found.start == CODE_ADDRESS + 3
        assert elf.file_offset(found.start) == CODE_OFFSET + 3
        assert elf.code(found.start, found.end) == b"\x50\xc3"
        assert elf.code(found.start, found.end + 999) == b"\x50\xc3"
        with pytest.raises(ElfError, match="executable"):
            elf.file_offset(CODE_ADDRESS + 5)


def test_addresses_and_places_in_the_file_belong_together(make_elf, tmp_path):
    with ElfFile(write(tmp_path, make_elf({"f": b"\x90\x90\xc3"}))) as elf:
        assert elf.code_parts() == [(CODE_ADDRESS, (CODE_OFFSET, 3))]
        assert elf.code_around(CODE_ADDRESS + 1, 1) == (CODE_ADDRESS, CODE_ADDRESS + 2)
        assert elf.code_around(CODE_ADDRESS + 1, 99) == (CODE_ADDRESS, CODE_ADDRESS + 3)
        assert elf.address_of(CODE_OFFSET + 2) == CODE_ADDRESS + 2
        assert elf.address_of(CODE_OFFSET + 3) is None
        assert elf.read_at(CODE_ADDRESS + 1, 2) == b"\x90\xc3"
        assert not elf.has_fixed_addresses
        for address, size in ((CODE_ADDRESS + 2, 2), (CODE_ADDRESS - 1, 1)):
            with pytest.raises(ElfError, match="not in the file"):
                elf.read_at(address, size)


def test_a_function_without_a_size_ends_at_the_next_one(make_elf, tmp_path):
    with ElfFile(write(tmp_path, make_elf({"a": b"\x90\x90\xc3", "b": RETURN}, sizes=False))) as elf:
        found = elf.functions(["a"])["a"]
    assert found.end - found.start == 3


def test_an_unnamed_function_ends_where_its_unwind_entry_says(system_libssl):
    with ElfFile(str(system_libssl)) as elf:
        named = elf.functions(["SSL_shutdown"])["SSL_shutdown"]
        assert elf.function_at("SSL_shutdown", named.start) == named


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: b"", "outside"),
        (lambda image: b"\x7fEL" + b"\0" * 200, "not an ELF"),
        (lambda image: image[:4] + b"\1" + image[5:], "64-bit little-endian"),
        (lambda image: image[:5] + b"\2" + image[6:], "64-bit little-endian"),
        (lambda image: image[:18] + struct.pack("<H", 183) + image[20:], "machine 183"),
        (lambda image: image[:-1], "outside"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(make_elf, tmp_path, change, message):
    with pytest.raises(ElfError, match=message):
        ElfFile(write(tmp_path, change(make_elf({"a": RETURN}))))


def test_missing_files_and_other_kinds_of_file_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "pipe", "\0"):
        with pytest.raises(ElfError):
            ElfFile(str(path))


def test_no_descriptor_is_left_open_by_a_refusal(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with pytest.raises(ElfError):
            ElfFile(write(tmp_path, b"garbage"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9)), min_size=1, max_size=12
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=edits, cut=st.floats(0, 1), whole=st.booleans())
def test_a_damaged_file_raises_nothing_but_elf_errors(make_elf, tmp_path, edits, cut, whole):
    call = b"\xe8" + struct.pack("<i", -11)
    image = bytearray(
        make_elf(
            {".inner": b"\x50\x58\xc3", "SSL_read_ex": call + RETURN, "SSL_is_server": b"\x8b\x47\x38\xc3"}
        )
    )
    del image[64 + 112 : CODE_OFFSET - 64]  # most of the file is then worth damaging
    for place, bytes_ in edits:
        at = int(place * len(image))
        image[at : at + len(bytes_)] = bytes_
    path = write(tmp_path, bytes(image if whole else image[: int(cut * len(image))]))
    with suppress(ElfError):
        LibraryLocator(None).locate(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=edits, cut=st.one_of(st.just(1.0), st.floats(0, 1)), head=st.booleans())
def test_a_damaged_real_library_raises_nothing_but_elf_errors(system_libssl, tmp_path, edits, cut, head):
    image = bytearray(system_libssl.read_bytes())
    for place, bytes_ in edits:
        at = int(place * (0x20000 if head else len(image)))
        image[at : at + len(bytes_)] = bytes_
    path = write(tmp_path, bytes(image[: int(cut * len(image))]))
    with suppress(ElfError):
        LibraryLocator(None).locate(path)
