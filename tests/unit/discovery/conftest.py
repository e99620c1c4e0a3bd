# SPDX-License-Identifier: Apache-2.0
"""Real libraries of several OpenSSL releases, and made-up ones of a few instructions each."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.packages import wheel

CODE_ADDRESS = 0x401000
CODE_OFFSET = 0x1000
GOT_ADDRESS = 0x600000
WHEELS = {
    "psycopg2-binary": "2.9.13",  # OpenSSL 3.5, stripped
    "psycopg-binary": "3.3.9",  # OpenSSL 3.5, stripped and without unwind tables
    "pycurl": "7.49.0",  # OpenSSL 3.6, with .symtab
    "pymssql": "2.4.6",  # OpenSSL 1.1.1
}


@pytest.fixture(scope="session")
def system_libssl() -> Path:
    for directory in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"):
        path = Path(directory) / "libssl.so.3"
        if path.exists():
            return path
    raise FileNotFoundError("libssl.so.3: install the distribution's OpenSSL 3 library")


@pytest.fixture(scope="session")
def wheel_libssl() -> Callable[[str], Path]:
    """Path of the libssl that a wheel bundles, with its libcrypto beside it."""

    def fetch(name: str) -> Path:
        (path,) = wheel(name, WHEELS[name]).glob("*.libs/libssl*")
        return path

    return fetch


@pytest.fixture(scope="session")
def make_elf() -> Callable[..., bytes]:
    """An ELF64 shared object: functions one after the other from CODE_ADDRESS.

    ``functions`` maps a name to its code; a name that starts with a dot gets no symbol.
    ``imports`` maps a GOT slot (address) to the name of a symbol.
    """

    def make(
        functions: dict[str, bytes],
        *,
        imports: dict[int, str] | None = None,
        build_id: bytes = b"\xab" * 20,
        sizes: bool = True,
    ) -> bytes:
        strings, symbols, code, indexes = b"\0", b"\0" * 24, b"", {}
        for name, body in functions.items():
            if not name.startswith("."):
                indexes[name] = len(symbols) // 24
                symbols += struct.pack(
                    "<IBBHQQ", len(strings), 0x12, 0, 1, CODE_ADDRESS + len(code), len(body) if sizes else 0
                )
                strings += name.encode() + b"\0"
            code += body
        relocations = b"".join(
            struct.pack("<QQq", slot, indexes[name] << 32 | 7, 0) for slot, name in (imports or {}).items()
        )
        note = struct.pack("<III", 4, len(build_id), 3) + b"GNU\0" + build_id if build_id else b""
        blob = code
        places = {}
        for name, part in (("sym", symbols), ("str", strings), ("rela", relocations), ("note", note)):
            blob += b"\0" * (-len(blob) % 8)
            places[name] = (CODE_OFFSET + len(blob), len(part))
            blob += part
        blob += b"\0" * (-len(blob) % 8)
        program_headers = struct.pack(
            "<IIQQQQQQ", 1, 5, CODE_OFFSET, CODE_ADDRESS, 0, len(code), len(code), 4096
        ) + struct.pack("<IIQQQQQQ", 4, 4, *places["note"][:1], 0, 0, *places["note"][1:] * 2, 4)
        sections = b"\0" * 64
        for kind, name, link, entry in ((11, "sym", 2, 24), (3, "str", 0, 0), (4, "rela", 1, 24)):
            sections += struct.pack("<IIQQQQIIQQ", 0, kind, 0, 0, *places[name], link, 0, 8, entry)
        header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
            "<HHIQQQIHHHHHH",
            3,
            62,
            1,
            0,
            64,
            CODE_OFFSET + len(blob),
            0,
            64,
            56,
            2,
            64,
            len(sections) // 64,
            0,
        )
        return (header + program_headers).ljust(CODE_OFFSET, b"\0") + blob + sections

    return make
