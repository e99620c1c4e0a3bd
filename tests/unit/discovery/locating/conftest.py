# SPDX-License-Identifier: Apache-2.0
"""Small ELF files from assembly, with what compilers and linkers put into real ones."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
