# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.locating.evaluation import OBJECT, OUT, Address, Bits, Content, Outcome, evaluate

START = 0x1000


def evaluated(code: str) -> Outcome | None:
    whole = bytes.fromhex(code)
    arguments = {"rdi": Address(OBJECT, 0), "rsi": Address(OUT, 0), "rdx": 32}

    return evaluate(lambda start, end: whole[start - START : end - START], START, arguments)


def word(offset: int) -> Content:
    return Content(Address(OBJECT, offset), 4)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("8b4738c3", Outcome(word(0x38), False)),  # mov eax, [rdi+0x38]; ret
        ("f30f1efa 8b4738 31ff c3", Outcome(word(0x38), False)),  # endbr64, and registers cleared at the end
        ("8b8778010000c3", Outcome(word(0x178), False)),
        ("4889f8 8b4078 c3", Outcome(word(0x78), False)),  # through another register
        ("53 4889fb 8b4378 5b c3", Outcome(word(0x78), False)),  # with a frame
        # as OpenSSL 3.2 and later: null check, type check, QUIC branch behind
        ("4885ff 7408 8b07 85c0 7403 31c0c3 8b4778c3", Outcome(word(0x78), True)),
        ("4885ff 740b 833f00 7503 8b4778 c3 31c0c3", Outcome(word(0x78), True)),  # cmp dword [rdi], 0
        ("4885ff 7408 8b07 a880 7403 31c0c3 8b4778c3", Outcome(word(0x78), True)),  # test al, 0x80 after it
        # BoringSSL: one bit of a byte
        ("0fb687a4000000 83e001 c3", Outcome(Bits(Content(Address(OBJECT, 0xA4), 1), 1), False)),
        ("eb00 8b4738c3", Outcome(word(0x38), False)),  # a jump
    ],
)
def test_what_is_returned_is_told_by_its_place(code, expected):
    assert evaluated(code) == expected


@pytest.mark.parametrize(
    ("code", "base", "offset"),
    [
        # mov eax, 32; test rdx, rdx; je; cmp rdx, rax; cmovbe rax, rdx; mov rdx, [rdi+0x160]; mov [rsi], rdx
        ("b820000000 4885d2 740e 4839c2 480f46c2 488b9760010000 488916 c3", OBJECT, 0x160),
        # mov rdi, [rdi+0xa8]; mov rdx, [rdi+0xb8]; mov [rsi], rdx
        ("488bbfa8000000 488b97b8000000 488916 c3", "*168", 0xB8),
        # the last piece is stored first: mov rdx, [rdi+0x178]; mov [rsi+0x18], rdx
        ("488b9778010000 48895618 c3", OBJECT, 0x160),
        ("0f104730 0f1106 c3", OBJECT, 0x30),  # movups xmm0, [rdi+0x30]; movups [rsi], xmm0
        # mov rax, [rdi+0x30]; add rax, 0x30; mov rdi, rsi; mov rsi, rax; call elsewhere (memcpy)
        ("488b4730 4883c030 4889f7 4889c6 e800100000", "*48", 0x30),
        # the same with a jump at the end
        ("4889f8 4889f7 488db060010000 e900100000", OBJECT, 0x160),
        # rep movsd of 8 words
        ("4889f8 4889f7 488db060010000 b908000000 f3a5 c3", OBJECT, 0x160),
    ],
)
def test_what_is_copied_is_told_by_where_it_comes_from(code, base, offset):
    outcome = evaluated(code)
    assert outcome is not None
    assert isinstance(outcome.value, Content)
    assert outcome.value.address == Address(base, offset)


def test_a_jump_out_of_the_function_is_followed():
    assert evaluated("eb01 90 8b4738c3") == Outcome(word(0x38), False)


@pytest.mark.parametrize(
    "code",
    [
        "e8000000008b4738c3",  # a call first
        "8b471085c07403 8b4738c3 31c0c3",  # a decision on an unknown field
        "8b4738",  # no return
        "ebfe",  # no end
        "8b44373885c07400c3",  # a decision on something indexed
        "ffe0",  # an indirect jump
        "0fa2c3",  # an instruction that is not known
        "48c7060000 0000c3",  # a constant is stored
        "4c890fc3",  # the object is written to
        "",
    ],
)
def test_what_is_not_understood_yields_nothing(code):
    assert evaluated(code) is None


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("31c0c3", 0),  # a constant
        ("488b4738c3", Content(Address(OBJECT, 0x38), 8)),  # 64 bits
        ("8b4638c3", Content(Address(OUT, 0x38), 4)),  # another argument's field
        ("488b47308b4038c3", Content(Address("*48", 0x38), 4)),  # behind a pointer
        ("8b443738c3", None),  # indexed
        ("648b4738c3", None),  # another segment
        ("8b47f8c3", None),  # before the object
    ],
)
def test_a_returned_value_is_told_as_what_it_is(code, value):
    assert evaluated(code) == Outcome(value, False)
