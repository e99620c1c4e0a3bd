# SPDX-License-Identifier: Apache-2.0
import struct

import pytest

from otel_qtap.discovery.calls import CallGraph
from otel_qtap.discovery.elf import ElfFile
from tests.unit.discovery.conftest import CODE_ADDRESS, GOT_ADDRESS

RETURN = b"\xc3"


def call(at: int, to: int, opcode: bytes = b"\xe8") -> bytes:
    """A direct call or jump; both places count from CODE_ADDRESS."""
    return opcode + struct.pack("<i", to - at - 5)


@pytest.fixture
def graph_of(make_elf, tmp_path):
    opened = []

    def graph_of(functions: dict[str, bytes], **options):
        path = tmp_path / f"libssl-{len(opened)}.so"
        path.write_bytes(make_elf(functions, **options))
        elf = ElfFile(str(path))
        opened.append(elf)
        elf.__enter__()
        known = elf.functions([name for name in functions if not name.startswith(".")])
        return CallGraph(elf, known), known

    yield graph_of
    for elf in opened:
        elf.__exit__()


def test_targets_are_calls_and_jumps_out_of_the_function(graph_of):
    graph, known = graph_of({".a": b"\x90" * 16, "f": b"\x74\x00" + call(18, 0) + call(23, 8, b"\xe9")})
    assert graph.targets(known["f"]) == {CODE_ADDRESS, CODE_ADDRESS + 8}


@pytest.mark.parametrize("prefix", [b"", b"\xf3\x0f\x1e\xfa"])
def test_a_plt_stub_stands_for_the_local_function_that_its_slot_names(graph_of, prefix):
    at = CODE_ADDRESS + 1
    stub = prefix + b"\xff\x25" + struct.pack("<i", GOT_ADDRESS - (at + len(prefix) + 6))
    stub = stub.ljust(16, b"\x90")
    graph, known = graph_of(
        {"inner": RETURN, ".stub": stub, "outer": call(17, 1) + RETURN}, imports={GOT_ADDRESS: "inner"}
    )
    assert graph.targets(known["outer"]) == {known["inner"].start}
    assert graph.imported(known["outer"]) == {"inner"}
    assert graph.imported(known["inner"]) == frozenset()


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\xf3\x0f\x1e\xfa",  # endbr64
        b"\x48\x83\xec\x08",  # sub rsp, 8
        b"\x31\xc0",  # xor eax, eax
    ],
)
def test_a_function_that_passes_its_arguments_on_forwards(graph_of, start):
    graph, known = graph_of({".inner": b"\x55\xc3", "f": start + call(2 + len(start), 0) + RETURN})
    assert graph.forwarded(known["f"], 4) == CODE_ADDRESS


@pytest.mark.parametrize(
    "start",
    [
        b"\x89\xc2",  # mov edx, eax: another argument
        b"\x74\x00",  # a branch
        b"\xff\xd0",  # an indirect call
        b"\xc3",  # a return
    ],
)
def test_anything_else_before_the_call_forwards_to_nothing(graph_of, start):
    graph, known = graph_of({".inner": b"\x55\xc3", "f": start + call(2 + len(start), 0) + RETURN})
    assert graph.forwarded(known["f"], 4) is None


def test_a_call_to_nowhere_is_an_answer_like_any_other(graph_of):
    graph, known = graph_of({"f": call(0, 0x7000_0000) + RETURN})
    assert graph.forwarded(known["f"], 4) == CODE_ADDRESS + 0x7000_0000
