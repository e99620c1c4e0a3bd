# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.disassembly import Flow, Listing, Memory, decode, transfer_targets


@pytest.mark.parametrize(
    ("code", "flow", "target"),
    [
        ("e800000000", Flow.CALL, 0x1005),
        ("ebfe", Flow.JUMP, 0x1000),
        ("f2e900000000", Flow.JUMP, 0x1006),
        ("0f8410000000", Flow.BRANCH, 0x1016),
        ("e310", Flow.BRANCH, 0x1012),
        ("ffe0", Flow.JUMP, None),
        ("ffd0", Flow.CALL, None),
        ("c3", Flow.RETURN, None),
        ("90", Flow.NEXT, None),
    ],
)
def test_control_flow(code, flow, target):
    (instruction,) = decode(bytes.fromhex(code), 0x1000)
    assert (instruction.flow, instruction.target) == (flow, target)


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("89c7", "rdi"),  # mov edi, eax
        ("b201", "rdx"),  # mov dl, 1
        ("41b001", "r8"),  # mov r8b, 1
        ("6689c1", "rcx"),  # mov cx, ax
        ("4883ec08", "rsp"),  # sub rsp, 8
        ("f3a4", "rsi"),  # rep movsb
    ],
)
def test_a_part_of_a_register_counts_as_the_register(code, written):
    (instruction,) = decode(bytes.fromhex(code), 0)
    assert written in instruction.writes


def test_memory_operands_name_base_and_displacement():
    (load,) = decode(bytes.fromhex("8b4738"), 0)
    assert (load.operands[1], load.width) == (Memory("rdi", 0x38, False), 4)
    (indexed,) = decode(bytes.fromhex("8b443738"), 0)
    assert indexed.operands[1] == Memory("rdi", 0x38, True)


def test_targets_behind_undecodable_bytes_are_seen():
    code = bytes.fromhex("e800000000" + "0606" + "ebf7" + "e2fe")
    assert transfer_targets(code, 0x1000) == ({0x1000, 0x1009}, {0x1005})


def test_a_listing_decodes_from_wherever_it_is_asked():
    listing = Listing(b"\x90" * 100 + b"\xb8\x90\x90\x90\x90\xc3", 0x1000)
    assert listing.at(0x1064).mnemonic == "mov"
    assert listing.at(0x1065).mnemonic == "nop"  # in the middle of that one
    assert listing.at(0x1069).flow is Flow.RETURN
    assert listing.at(0x106A) is listing.at(0xFFF) is None


def test_registers_that_are_read_are_told():
    (step,) = decode(bytes.fromhex("4801d8"), 0)  # add rax, rbx
    assert {"rax", "rbx"} <= step.reads
    assert "rax" in step.writes
