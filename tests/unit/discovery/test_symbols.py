# SPDX-License-Identifier: Apache-2.0
import struct
from array import array

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from tests.unit.discovery.conftest import CODE_ADDRESS

RETURN = b"\xc3"


@pytest.fixture
def write(tmp_path):
    def to_file(content: bytes) -> str:
        path = tmp_path / "libssl-test.so"
        path.write_bytes(content)
        return str(path)

    return to_file


def test_a_name_that_shares_its_tail_with_another_is_found(make_elf, write):
    image = make_elf({"xSSL_read": RETURN, "yyyyyyyy": b"\x90\xc3"})
    # As a linker does it: the second symbol's name points into the first one's.
    at = image.index(b"\0xSSL_read\0yyyyyyyy\0")
    symbol = image.index(struct.pack("<I", 11) + b"\x12")
    assert image[at + 11 : at + 19] == b"yyyyyyyy"
    with ElfFile(write(image[:symbol] + struct.pack("<I", 2) + image[symbol + 4 :])) as elf:
        found = elf.functions(["SSL_read", "xSSL_read"])
    assert found["SSL_read"].start == CODE_ADDRESS + 1
    assert found["xSSL_read"].start == CODE_ADDRESS


def test_a_string_table_that_repeats_a_name_without_end_is_refused(make_elf, write):
    functions = {f"{number:05d}SSL_read": RETURN for number in range(1000)}
    with ElfFile(write(make_elf(functions))) as elf, pytest.raises(ElfError, match="repeats"):
        elf.functions(["SSL_read"])


class CountedColumn(array):
    """Counts how often all of it is gone through."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()

    def index(self, *arguments):
        self.passes += 1
        return super().index(*arguments)


def test_a_table_is_gone_through_once_however_often_its_strings_repeat_names(make_elf, write):
    functions = {f"{number:05d}SSL_read": RETURN for number in range(200)}
    functions |= {f"{number:05d}SSL_write": RETURN for number in range(200)}
    with ElfFile(write(make_elf(functions | {"SSL_read": b"\x90\xc3"}))) as elf:
        symbols = elf._dynamic_symbols()
        symbols._names = CountedColumn("I", symbols._names)
        assert set(elf.functions(["SSL_read", "SSL_write"])) == {"SSL_read"}
        assert symbols._names.passes == 1


def test_a_name_without_a_string_takes_no_look_at_the_table(make_elf, write):
    with ElfFile(write(make_elf({"f": RETURN}))) as elf:
        symbols = elf._dynamic_symbols()
        symbols._names = CountedColumn("I", symbols._names)
        assert elf.functions(["SSL_read"]) == {}
        assert symbols._names.passes == 0
