# SPDX-License-Identifier: Apache-2.0
"""Copies of ELF files with less in them than builders mostly leave."""

import shutil
import struct
from pathlib import Path

_PT_NULL, _PT_GNU_EH_FRAME = 0, 0x6474E550


def without_sections(source: Path, target: Path, *, unwind_table: bool = True) -> Path:
    """A copy without section headers, so without any symbol, and perhaps without a table of functions."""
    shutil.copyfile(source, target)
    with target.open("r+b") as file:
        header = file.read(64)
        (segments,) = struct.unpack_from("<Q", header, 32)
        (count,) = struct.unpack_from("<H", header, 56)
        file.seek(40)
        file.write(bytes(8))
        file.seek(58)
        file.write(struct.pack("<HHH", 64, 0, 0))
        for at in range(segments, segments + 56 * count, 56):
            file.seek(at)
            if not unwind_table and file.read(4) == struct.pack("<I", _PT_GNU_EH_FRAME):
                file.seek(at)
                file.write(struct.pack("<I", _PT_NULL))
    return target
