# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from otel_qtap.capture.bytecode import Bytecode, Program
from otel_qtap.capture.bytecode_cache import BytecodeCache, key_of
from otel_qtap.capture.session import Loading
from otel_qtap.capture.syscalls import MapDefinition
from tests.support.old_kernel import offsets_for

BYTECODE = Bytecode({"p": Program(17, 0, bytes(16))}, {"m": MapDefinition(2, 4, 8, 4, 0)})


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def test_what_was_kept_comes_back_under_its_key_only(directory: Path) -> None:
    BytecodeCache(directory).put("one", BYTECODE)

    assert BytecodeCache(directory).get("one") == BYTECODE
    assert BytecodeCache(directory).get("other") is None
    assert (directory / "bytecode.json").stat().st_mode & 0o777 == 0o600
    BytecodeCache(directory).put("other", BYTECODE)
    assert [path.name for path in directory.iterdir()] == ["bytecode.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"key": "one"}', '{"key": "one", "bytecode": {"programs": 1}}']
)
def test_a_damaged_file_is_none(directory: Path, text: str) -> None:
    (directory / "bytecode.json").write_text(text)
    assert BytecodeCache(directory).get("one") is None


def test_what_others_may_have_written_is_not_read(directory: Path) -> None:
    cache = BytecodeCache(directory)
    cache.put("one", BYTECODE)
    (directory / "bytecode.json").chmod(0o666)
    assert cache.get("one") is None
    (directory / "bytecode.json").chmod(0o600)
    directory.chmod(0o777)
    assert cache.get("one") is None
    directory.chmod(0o700)
    assert cache.get("one") == BYTECODE
    if os.geteuid() == 0:
        os.chown(directory / "bytecode.json", 65534, 65534)
        assert cache.get("one") is None


def test_the_key_changes_with_sources_and_flags(tmp_path: Path) -> None:
    source = tmp_path / "unit.c"
    source.write_text("int a;")
    (tmp_path / "include").mkdir()
    header = tmp_path / "include" / "unit.h"
    header.write_text("int b;")
    keys = {key_of(source, {"flags": ["-DX=1"]}), key_of(source, {"flags": ["-DX=2"]})}
    header.write_text("int c;")
    keys.add(key_of(source, {"flags": ["-DX=1"]}))

    assert len(keys) == 3


@pytest.mark.bpf
@pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs takes root")
def test_the_agents_programs_are_loaded_again_without_the_compiler(directory: Path) -> None:
    def load(interpreter: str) -> tuple[set[str], set[str]]:
        session = Loading(
            interpreter=interpreter,
            offsets=lambda: offsets_for("multi"),
            attach="multi",
            data_ring_bytes=1 << 20,
            cache=BytecodeCache(directory),
        ).result()
        session.close()
        return set(session.programs), set(session.maps)

    first = load("/usr/bin/python3")
    assert load("/no/python") == first
