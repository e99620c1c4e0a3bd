# SPDX-License-Identifier: Apache-2.0
"""Real files, made-up ones, and files that want to keep the agent busy."""

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_qtap.discovery import byte_search
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.recognition import Recognition, recognise
from otel_qtap.probes.registry import LIBRARIES
from otel_qtap.probes.unsupported import REASONS, UNSUPPORTED
from tests.support.packages import npm_binary, wheel

NOTHING = Recognition()
PRIMP, DENO = "2.0.1", "2.9.6"


def recognised(path: Path | str) -> Recognition:
    with ElfFile(str(path)) as elf:
        return recognise(elf)


def compiled(tmp_path: Path, source: str, *options: str) -> Path:
    path = tmp_path / "program"
    subprocess.run(
        ["gcc", "-x", "c", "-O1", "-o", path, *options, "-"], input=source.encode(), check=True, timeout=60
    )
    return path


def holding(*texts: str) -> str:
    """A program with these strings in it."""
    words = ", ".join(f'"{text}"' for text in texts)
    return f'#include <stdio.h>\nstatic const char *const words[] = {{{words}, ""}};\n' + (
        "int main(int n, char **v) { return puts(words[n - 1]) < 0; }"
    )


def without_section_headers(path: Path) -> Path:
    image = bytearray(path.read_bytes())
    image[40:48] = bytes(8)
    image[58:64] = struct.pack("<HHH", 64, 0, 0)
    path.write_bytes(image)
    return path


def test_the_systems_library_is_recognised_by_its_symbols(system_libssl: Path) -> None:
    assert recognised(system_libssl) == Recognition(libraries=("openssl",))


@pytest.mark.parametrize("wheel", ["psycopg-binary", "pycurl", "pymssql"])
def test_libraries_of_wheels_are(wheel: str, wheel_libssl: Callable[[str], Path]) -> None:
    assert recognised(wheel_libssl(wheel)).libraries == ("openssl",)


def test_files_that_only_call_a_library_hold_none() -> None:
    import _ssl

    assert recognised(_ssl.__file__) == NOTHING
    curl = shutil.which("curl")
    assert curl
    assert recognised(curl) == NOTHING


def test_local_symbols_do(tmp_path: Path) -> None:
    source = "static int SSL_read(void) { return 1; } static int SSL_write(void) { return 2; }" + (
        "int main(int n, char **v) { int (*volatile f)(void) = n ? SSL_read : SSL_write; return f(); }"
    )
    assert recognised(compiled(tmp_path, source)).libraries == ("openssl",)
    assert recognised(compiled(tmp_path, source, "-s")) == NOTHING


def test_all_functions_of_a_group_must_be_there(make_elf: Callable[..., bytes], tmp_path: Path) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(make_elf({"SSL_read": b"\xc3", "XSSL_write": b"\xc3"}))
    assert recognised(path) == NOTHING
    path.write_bytes(make_elf({"SSL_read": b"\xc3", "SSL_write": b"\xc3"}))
    assert recognised(path).libraries == ("openssl",)


def test_a_stripped_library_is_recognised_by_its_strings(tmp_path: Path) -> None:
    source = holding("CLIENT_RANDOM", "ssl_read_internal")
    for options in ((), ("-static",), ("-no-pie",), ("-Wl,-z,noseparate-code",)):
        path = compiled(tmp_path, source, "-s", *options)
        assert recognised(path).libraries == ("openssl",), options
        assert recognised(without_section_headers(path)).libraries == ("openssl",), options


def test_strings_alone_without_the_words_of_the_protocol_are_not_enough(tmp_path: Path) -> None:
    assert recognised(compiled(tmp_path, holding("ssl_read_internal"))) == NOTHING


@pytest.mark.parametrize("entry", UNSUPPORTED, ids=lambda entry: entry.name)
def test_what_cannot_be_captured_is_named(entry, tmp_path: Path, make_elf: Callable[..., bytes]) -> None:
    for text in entry.signs.strings:
        words = [text.rstrip(b"\0").decode(), "master secret"]
        assert recognised(compiled(tmp_path, holding(*words), "-s")).unsupported == (entry.name,)
    for group in entry.signs.symbols:
        path = tmp_path / "lib.so"
        path.write_bytes(make_elf(dict.fromkeys(group, b"\xc3")))
        assert recognised(path).unsupported == (entry.name,)
    assert REASONS[entry.name]


def test_real_programs_on_what_cannot_be_captured_are_named() -> None:
    (primp,) = wheel("primp", PRIMP).glob("primp/*.so")
    assert recognised(primp) == Recognition(unsupported=("rustls",))
    deno = npm_binary("@deno/linux-x64-glibc", DENO, "deno")
    assert recognised(deno) == Recognition(unsupported=("deno",))


@pytest.mark.parametrize("word", ["CLIENT_RANDOM", "master secret", "c hs traffic"])
def test_each_word_of_the_protocol_is_enough_to_look_closer(word: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, holding(word, "ssl_read_internal"), "-s")
    assert recognised(path).libraries == ("openssl",)


def test_tls_that_nothing_else_is_known_of_is_told_as_that(tmp_path: Path) -> None:
    assert recognised(compiled(tmp_path, holding("master secret"))).unsupported == ("unknown",)


def test_a_library_explains_what_it_brings(tmp_path: Path) -> None:
    words = ("CLIENT_RANDOM", "ssl_read_internal", "ssl/ssl_lib.c", "/aws-lc/", "/rustls-0.23.1/src/conn.rs")
    assert recognised(compiled(tmp_path, holding(*words), "-s")) == Recognition(("openssl",), ("rustls",))


def test_every_library_has_signs() -> None:
    assert all(library.signs.symbols or library.signs.strings for library in LIBRARIES)


@pytest.mark.parametrize("size", [0, 3, 63, 64, 100])
def test_what_is_cut_off_is_an_error(size: int, system_libssl: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(system_libssl.read_bytes()[:size])
    with pytest.raises(ElfError):
        recognised(path)


def test_sections_that_overlap_are_read_once(
    make_elf: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lib.so"
    image = bytearray(make_elf({"f": b"\xc3"}))
    (at,) = struct.unpack_from("<Q", image, 40)
    whole = struct.pack("<IIQQQQIIQQ", 0, 1, 2, 0, 0, 1 << 62, 0, 0, 1, 0)
    image[at:] = whole * 4000
    image[60:62] = struct.pack("<H", 4000)
    path.write_bytes(image)
    with ElfFile(str(path)) as elf:
        assert elf.data() == [(0, len(image))]
    assert recognised(path) == NOTHING


def test_a_file_of_holes_is_left_when_enough_was_read(
    make_elf: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byte_search, "MOST_SEARCHED", 16 << 20)  # else it takes a second
    path = tmp_path / "lib.so"
    image = bytearray(make_elf({"SSL_read": b"\xc3", "SSL_write": b"\xc3"}))
    (at,) = struct.unpack_from("<Q", image, 40)
    image[at : at + 64] = struct.pack("<IIQQQQIIQQ", 0, 1, 2, 0, 0, 1 << 43, 0, 0, 1, 0)
    path.write_bytes(image)
    os.truncate(path, 1 << 43)
    assert recognised(path).libraries == ("openssl",)


def test_symbols_that_cannot_be_read_do_not_hide_what_strings_tell(tmp_path: Path) -> None:
    source = "static int SSL_read(void) { return 1; } int SSL_write(void) { return SSL_read(); }\n"
    path = compiled(tmp_path, source + holding("CLIENT_RANDOM", "ssl_read_internal"), "-rdynamic")
    image = bytearray(path.read_bytes())
    (at,) = struct.unpack_from("<Q", image, 40)
    for section in range(at, len(image) - 63, 64):
        if struct.unpack_from("<I", image, section + 4)[0] in (2, 11):
            image[section + 32 : section + 40] = struct.pack("<Q", 1 << 40)
    path.write_bytes(image)
    assert recognised(path).libraries == ("openssl",)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damaged_files_are_recognised_or_refused(
    data: st.DataObject, make_elf: Callable[..., bytes], tmp_path: Path
) -> None:
    image = bytearray(make_elf({"SSL_read": b"\xc3", "SSL_write": b"\xc3"}))
    heads = [*range(64 + 112), *range(len(image) - 256, len(image))]
    for _ in range(data.draw(st.integers(1, 6))):
        image[data.draw(st.sampled_from(heads))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.so"
    path.write_bytes(image)
    try:
        recognised(path)
    except ElfError:
        return
