# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.role import RoleField, role_field


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("8b4738c3", RoleField(0x38, None)),  # mov eax, [rdi+0x38]; ret
        ("f30f1efa 8b4738 31ff c3", RoleField(0x38, None)),  # endbr64, and registers cleared at the end
        ("8b8778010000c3", RoleField(0x178, None)),
        # as OpenSSL 3.2 and later: null check, type check, QUIC branch behind
        ("4885ff 7408 8b07 85c0 7403 31c0c3 8b4778c3", RoleField(0x78, 0)),
        ("4885ff 740b 833f00 7503 8b4778 c3 31c0c3", RoleField(0x78, 0)),  # cmp dword [rdi], 0
        ("4889f8 8b4078 c3", RoleField(0x78, None)),  # through another register
    ],
)
def test_the_field_is_proven(code, expected):
    assert role_field(bytes.fromhex(code), 0x1000) == expected


@pytest.mark.parametrize(
    "code",
    [
        "31c0c3",  # a constant
        "488b4738c3",  # 64 bits
        "8b4638c3",  # another argument's field
        "8b473883e001c3",  # a flag of the word
        "488b47308b4038c3",  # behind a pointer
        "e8000000008b4738c3",  # a call first
        "8b471085c07403 8b4738c3 31c0c3",  # a decision on an unknown field
        "8b4738",  # no return
        "ebfe",  # no end
        "8b443738c3",  # indexed
        "648b4738c3",  # another segment
        "8b47f8c3",  # before the object
        "",
    ],
)
def test_anything_else_is_not_proven(code):
    assert role_field(bytes.fromhex(code), 0x1000) is None
