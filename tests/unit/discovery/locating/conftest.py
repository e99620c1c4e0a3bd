# SPDX-License-Identifier: Apache-2.0
"""Small ELF files from assembly, with what compilers and linkers put into real ones."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from otel_qtap.discovery.elf import ElfFile

Assemble = Callable[..., ElfFile]


@pytest.fixture
def assemble(tmp_path: Path) -> Iterator[Assemble]:
    """An open ELF file of the given assembly (Intel syntax), without symbols unless ``symbols``."""
    opened: list[ElfFile] = []

    def assemble(source: str, *, symbols: bool = False, unwind: bool = True, fixed: bool = False) -> ElfFile:
        path = tmp_path / f"assembled-{len(opened)}"
        (tmp_path / "source.S").write_text(".intel_syntax noprefix\n.text\n" + source)
        options = ["-static", "-no-pie", "-Wl,-e,0"] if fixed else ["-shared"]
        options += [] if symbols else ["-Wl,--strip-all"]
        options += [] if unwind else ["-Wl,--no-eh-frame-hdr"]
        subprocess.run(
            ["gcc", *options, "-nostdlib", "-o", path, tmp_path / "source.S"],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        opened.append(ElfFile(str(path)))
        return opened[-1]

    yield assemble
    for elf in opened:
        elf.__exit__()


def function(name: str, body: str, *, exported: bool = False) -> str:
    """Assembly of one function with an entry in the unwind table."""
    kind = f".globl {name}\n" if exported else ""
    return f"""
    .p2align 4
    {kind}.type {name}, @function
{name}:
    .cfi_startproc
    {body}
    .cfi_endproc
    .size {name}, . - {name}
"""


EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9)), min_size=1, max_size=12
)
"""Damage to a file: places, as parts of its length, and bytes to put there."""


def damaged(image: bytes, edits: list[tuple[float, bytes]], path: Path) -> Path:
    """Write a copy of an image with the edits made."""
    copy = bytearray(image)
    for place, replaced in edits:
        at = int(place * len(copy))
        copy[at : at + len(replaced)] = replaced
    path.write_bytes(copy[: len(image)])
    return path
