# SPDX-License-Identifier: Apache-2.0
import shutil
import struct
import subprocess

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.relocations import relative_pointers

SOURCE = """
static int one(void) { return 1; }
static int two(void) { return 2; }
int (*table[70])(void) = {[0] = one, [1] = two, [3] = one, [69] = two};
"""


@pytest.fixture
def library(tmp_path):
    def library(*options: str):
        path = tmp_path / "table.so"
        command = ["gcc", "-x", "c", "-shared", "-fPIC", "-o", str(path), *options, "-"]
        subprocess.run(command, input=SOURCE.encode(), check=True, timeout=60)
        return path

    return library


def table(path):
    with ElfFile(str(path)) as elf:
        found = elf.functions(["one", "two"])
        pointers = relative_pointers(elf)
        ours = {p: v for p, v in pointers.items() if v in {f.start for f in found.values()}}
    first = min(ours)
    return {(place - first) // 8: "one" if ours[place] == found["one"].start else "two" for place in ours}


@pytest.mark.parametrize("packing", ["nopack-relative-relocs", "pack-relative-relocs"])
def test_a_table_of_functions_is_read_however_it_is_packed(library, packing):
    if packing not in subprocess.run(["ld", "--help"], capture_output=True, text=True, check=True).stdout:
        packing = "now"  # an older linker
    assert table(library(f"-Wl,-z,{packing}")) == {0: "one", 1: "two", 3: "one", 69: "two"}


def test_packed_places_outside_of_the_file_are_an_error(library):
    path = library("-Wl,-z,pack-relative-relocs")
    image = bytearray(path.read_bytes())
    with ElfFile(str(path)) as elf:
        parts = elf.sections(19)
    assert parts, "the linker packs nothing"
    struct.pack_into("<Q", image, parts[0].offset, 1 << 40)
    other = shutil.copy(path, path.with_name("other.so"))
    path.with_name("other.so").write_bytes(image)
    with ElfFile(str(other)) as elf, pytest.raises(ElfError, match="in no segment"):
        relative_pointers(elf)
