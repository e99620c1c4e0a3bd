# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.golang.buildinfo import go_version
from otel_qtap.discovery.golang.image import GoImage
from tests.support.go_programs import RELEASES


@pytest.mark.parametrize("which", ["1.17/stripped", "1.20/stripped", "1.26/pie", "1.26/no-section-headers"])
def test_the_version_is_read_however_it_was_linked(open_go, which):
    assert go_version(open_go(which)) == RELEASES[which.partition("/")[0]]


@pytest.mark.parametrize(
    "code",
    [
        b"\xc3",
        b"\xff Go buildinf:\x08\x02",
        b"\xff Go buildinf:\x08\x02" + bytes(16) + b"\xff\xff\xff\xff",
        b"\xff Go buildinf:\x08\x00" + b"\x11" * 16,
        b"\xff Go buildinf:\x08\x02" + bytes(16) + b"\x05go\0\n!",
    ],
)
def test_what_tells_no_version_has_none(make_elf, tmp_path, code):
    path = tmp_path / "made"
    path.write_bytes(make_elf({"one": code}))
    with ElfFile(str(path)) as elf:
        assert go_version(GoImage(elf)) == ""
