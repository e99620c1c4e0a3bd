# SPDX-License-Identifier: Apache-2.0
import subprocess

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.golang import image as image_module
from otel_qtap.discovery.golang.image import GoImage
from tests.support.go_programs import go_program
from tests.unit.discovery.conftest import CODE_ADDRESS, CODE_OFFSET


@pytest.fixture
def made(make_elf, tmp_path):
    path = tmp_path / "made"
    path.write_bytes(make_elf({"one": b"\xc3" * 100, "two": b"needle\xc3"}))
    with ElfFile(str(path)) as elf:
        yield GoImage(elf)


def test_places_and_addresses_follow_the_program_headers(made):
    assert made.offset(CODE_ADDRESS + 7) == CODE_OFFSET + 7
    assert made.address(CODE_OFFSET + 7) == CODE_ADDRESS + 7
    with pytest.raises(ElfError, match="not in the file"):
        made.offset(CODE_ADDRESS - 1)
    with pytest.raises(ElfError, match="not mapped"):
        made.address(0)


@pytest.mark.parametrize("piece", [7, 64, 4 << 20])
def test_strings_are_found_across_the_pieces_that_are_read(made, monkeypatch, piece):
    monkeypatch.setattr(image_module, "_PIECE", piece)

    assert list(made.find(b"needle", 0, made.size)) == [CODE_OFFSET + 100]
    assert list(made.find(b"needle", 0, CODE_OFFSET + 105)) == []
    assert len(list(made.find(b"\xc3\xc3", CODE_OFFSET, CODE_OFFSET + 100))) == 99


def test_a_search_without_end_is_given_up(made, monkeypatch):
    monkeypatch.setattr(image_module, "_MAX_SEARCHED", 10)
    image = GoImage(made.elf)

    with pytest.raises(ElfError, match="too large"):
        list(image.find(b"needle", 0, image.size))


def test_pointers_are_read_from_relocations(open_go):
    image = open_go("1.26/pie")
    relocations = subprocess.run(
        ["readelf", "-rW", go_program("1.26", "pie")], capture_output=True, text=True, check=True
    ).stdout
    lines = [line.split() for line in relocations.splitlines() if "R_X86_64_RELATIVE" in line]
    for place, _, _, target in lines[:: len(lines) // 20]:
        assert image.pointer(int(place, 16)) == int(target, 16)
        assert int(place, 16) in list(image.pointers_to(int(target, 16), 1_000_000))
    assert len(lines) > 1_000


def test_sections_are_found_by_any_of_their_names(open_go):
    image = open_go("1.26/pie")

    assert image.section(".none", ".go.buildinfo") == image.elf.section(".go.buildinfo")
    assert image.section(".none") is None
    assert open_go("1.26/no-section-headers").section(".text") is None
