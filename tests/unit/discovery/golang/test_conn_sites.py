# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.golang.conn_sites import branch_site, delivery_site, is_whole, returns

START = 0x401000
CHECK = bytes.fromhex("49 3b 66 10")  # cmp rsp, [r14+16]
JBE = bytes.fromhex("76 7e")
FAR = bytes.fromhex("4c 8d 64 24 d8")  # lea r12, [rsp-40]
CHECK_FAR = bytes.fromhex("4d 3b 66 10")  # cmp r12, [r14+16]
KEEP = bytes.fromhex("48 89 5c 24 70")  # mov [rsp+0x70], rbx
LOAD = bytes.fromhex("48 8b 44 24 70")  # mov rax, [rsp+0x70]
COPY = bytes.fromhex("e8 00 01 00 00")  # call memmove
ADD = bytes.fromhex("48 01 8e e0 02 00 00")  # add [rsi+0x2e0], rcx
TEST = bytes.fromhex("48 85 c9")  # test rcx, rcx
JE = bytes.fromhex("74 05")
ZERO = bytes.fromhex("31 c9")  # xor ecx, ecx
RET = b"\xc3"
BEGINNING = CHECK + JBE + KEEP
DELIVERY = LOAD + COPY + ADD + TEST + JE


@pytest.mark.parametrize(("code", "at"), [(CHECK + JBE, 4), (FAR + CHECK_FAR + JBE, 9)])
def test_the_branch_of_the_stack_check_is_the_entry(code, at):
    found = branch_site(code + b"\x90" * 200 + RET, START)

    assert found is not None
    assert (found.address, found.mnemonic) == (START + at, "jbe")


@pytest.mark.parametrize(
    "code",
    [
        b"\x55" + CHECK + JBE,  # push rbp: the stack pointer has moved
        CHECK + bytes.fromhex("72 7e"),  # jb
        CHECK_FAR + JBE,
        FAR + CHECK + JBE,
        bytes.fromhex("49 3b 66 18") + JBE,  # another bound
        bytes.fromhex("49 3b 67 10") + JBE,  # of another structure
        JBE,
        b"",
    ],
)
def test_any_other_beginning_is_none(code):
    assert branch_site(code + b"\x90" * 200 + RET, START) is None


def test_a_branch_that_is_come_to_otherwise_is_none():
    code = CHECK + JBE + b"\x90" * 20
    again = bytes([0xEB, 0x100 - len(code) - 2 + 4])  # jmp to the branch

    assert branch_site(code + again, START) is None
    assert branch_site(code + bytes([0xEB, 0x100 - len(code) - 2]), START) is not None, "the very start"


def test_every_return_is_found():
    code = CHECK + JBE + RET + b"\x90" + RET

    assert [where.address - START for where in returns(code, START)] == [6, 8]
    assert is_whole(code, START)
    assert not is_whole(code + b"\x06", START)


def test_the_delivery_of_a_read_is_found():
    found = delivery_site(BEGINNING + DELIVERY + RET, START)

    assert not isinstance(found, str), found
    where = START + len(BEGINNING + DELIVERY) - len(JE)
    assert (found.where.address, found.count_register, found.conn_register, found.buffer_slot) == (
        where, 11, 13, 0x70,
    )  # fmt: skip


def test_nothing_to_deliver_may_come_another_way():
    test = len(BEGINNING + DELIVERY) - len(TEST + JE)
    code = BEGINNING + DELIVERY
    by_zero = code + ZERO + bytes([0xEB, 0x100 - (len(code + ZERO) + 2 - test)])
    otherwise = code + bytes([0xEB, 0x100 - (len(code) + 2 - test)])

    assert not isinstance(delivery_site(by_zero + RET, START), str)
    assert delivery_site(otherwise + RET, START) == "a jump leads into the delivery of what was read"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (CHECK + JBE + DELIVERY, "place of its buffer"),
        (BEGINNING + KEEP + DELIVERY, "place of its buffer"),
        (BEGINNING + bytes.fromhex("c7 44 24 74 00 00 00 00") + DELIVERY, "place of its buffer"),
        (CHECK + JBE + bytes.fromhex("48 31 db") + KEEP + DELIVERY, "place of its buffer"),
        (BEGINNING + COPY + ADD + TEST + JE, "0 places"),
        (BEGINNING + LOAD + ADD + TEST + JE, "0 places"),
        (BEGINNING + LOAD + COPY + ADD + TEST + bytes.fromhex("75 05"), "0 places"),
        (BEGINNING + LOAD + COPY + ADD + bytes.fromhex("48 85 c0") + JE, "0 places"),
        (BEGINNING + LOAD + COPY + bytes.fromhex("01 8e e0 02 00 00") + TEST + JE, "0 places"),
        (BEGINNING + DELIVERY + DELIVERY, "2 places"),
    ],
)
def test_what_is_not_certain_is_no_delivery(code, reason):
    found = delivery_site(code + RET, START)

    assert isinstance(found, str)
    assert reason in found
