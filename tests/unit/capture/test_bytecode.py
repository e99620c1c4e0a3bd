# SPDX-License-Identifier: Apache-2.0
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.capture.bytecode import Bytecode, BytecodeError, Program, compiled, from_entry
from otel_qtap.capture.syscalls import MapDefinition, map_definition, map_lookup, map_update

ARRAY = MapDefinition(2, 4, 8, 4, 0)
RAW_TRACEPOINT = 17
LOAD_MAP = struct.pack("<BBhiBBhi", 0x18, 0x11, 0, 7, 0, 0, 0, 0)  # r1 = the map that is descriptor 7
RETURN_ZERO = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)
BYTECODE = compiled({"p": (RAW_TRACEPOINT, 0, LOAD_MAP + RETURN_ZERO)}, {"m": 7}, {"m": ARRAY})


def test_maps_go_by_their_places() -> None:
    program = BYTECODE.programs["p"]
    assert struct.unpack_from("<BBhi", program.code) == (0x18, 0x11, 0, 0)
    assert program.code[8:] == (LOAD_MAP + RETURN_ZERO)[8:]


@pytest.mark.bpf
@pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs takes root")
def test_it_is_loaded_with_maps_of_its_own() -> None:
    programs, maps = BYTECODE.load()
    try:
        assert map_definition(maps["m"]) == ARRAY
        map_update(maps["m"], struct.pack("<I", 1), struct.pack("<Q", 5))
        assert map_lookup(maps["m"], struct.pack("<I", 1), 8) == struct.pack("<Q", 5)
        assert os.readlink(f"/proc/self/fd/{programs['p']}") == "anon_inode:bpf-prog"  # noqa: PTH115
    finally:
        for descriptor in (*programs.values(), *maps.values()):
            os.close(descriptor)


@pytest.mark.bpf
@pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs takes root")
def test_a_program_that_the_kernel_refuses_leaves_nothing_open() -> None:
    refused = Bytecode({"p": Program(RAW_TRACEPOINT, 0, BYTECODE.programs["p"].code[:16])}, {"m": ARRAY})
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    with pytest.raises(OSError, match=r"Invalid argument|Permission denied"):
        refused.load()

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_map_without_a_name_is_refused() -> None:
    with pytest.raises(BytecodeError, match="no name"):
        compiled({"p": (RAW_TRACEPOINT, 0, LOAD_MAP)}, {"m": 8}, {"m": ARRAY})


@pytest.mark.parametrize("code", [LOAD_MAP[:-1], LOAD_MAP[:8], RETURN_ZERO[:9]])
def test_code_that_is_cut_off_is_refused(code: bytes) -> None:
    with pytest.raises(BytecodeError, match="cut off"):
        compiled({"p": (RAW_TRACEPOINT, 0, code)}, {"m": 7}, {"m": ARRAY})


def test_it_comes_back_from_an_entry() -> None:
    assert from_entry(BYTECODE.to_entry()) == BYTECODE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["programs", "maps", "x"]), JSON))
def test_anything_else_is_an_error(entry: dict[str, object]) -> None:
    try:
        found = from_entry(entry)
    except BytecodeError:
        return
    assert isinstance(found, Bytecode)
