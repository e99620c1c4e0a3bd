# SPDX-License-Identifier: Apache-2.0
import struct

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.golang.image import GoImage
from otel_qtap.discovery.golang.moduledata import text_start
from otel_qtap.discovery.golang.pclntab import find_pclntab
from tests.support.go_programs import go_program


@pytest.mark.parametrize("which", ["1.26/stripped", "1.26/pie", "1.26/no-section-headers", "1.23/plain"])
def test_the_text_starts_with_its_section_where_go_links(open_go, which):
    image = open_go(which)
    reference = open_go("1.26/stripped" if which == "1.26/no-section-headers" else which)

    assert text_start(image, find_pclntab(image)) == reference.elf.section(".text").address


def test_the_text_starts_behind_what_c_brings(open_go):
    image = open_go("1.26/external-pie")

    assert text_start(image, find_pclntab(image)) > image.elf.section(".text").address


def test_the_old_form_needs_none(open_go):
    image = open_go("1.17/stripped")

    assert text_start(image, find_pclntab(image)) == 0


def test_what_nothing_tells_is_refused(open_go, tmp_path):
    image = open_go("1.26/no-section-headers")
    table = image.address(find_pclntab(image).offset)
    content = bytearray(go_program("1.26", "no-section-headers").read_bytes())
    for place in image.pointers_to(table, 64):
        struct.pack_into("<Q", content, image.offset(place), table + 1)
    path = tmp_path / "program"
    path.write_bytes(content)

    with ElfFile(str(path)) as elf, pytest.raises(ElfError, match="text starts"):
        text_start(GoImage(elf), find_pclntab(GoImage(elf)))
