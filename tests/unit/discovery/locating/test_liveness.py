# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.locating.liveness import begins_function, registers_expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("4889f8 c3", {"rdi"}),  # mov rax, rdi; ret
        ("55 4889e5 4154 4989f4 415c 5d c3", {"rsi"}),  # a frame, registers saved and restored
        ("31c0 c3", set()),  # xor eax, eax
        ("4885ff 7403 4889f0 c3", {"rdi", "rsi"}),  # behind a branch not taken
        ("4885ff 7404 31f6 90 90 4889f0 c3", {"rdi", "rsi"}),  # on one of two paths
        ("31f6 4889f0 c3", set()),  # written before
        ("e800000000 4889f0 c3", set()),  # what a call leaves behind is no argument
        ("ebfe", set()),
        ("55 85ff 7404 bd01000000 89e8 5d c3", {"rdi"}),  # saved, and set on one path only
        ("50 4889f8 58 c3", {"rdi"}),  # pushed to align the stack
        ("4889d8 c3", {"rbx"}),
        ("", set()),
    ],
)
def test_what_is_read_before_it_is_written_is_expected(code, expected):
    assert registers_expected(bytes.fromhex(code), 0x1000) == expected


@pytest.mark.parametrize(
    ("code", "begins"),
    [
        ("53 4889fb 5b c3", True),
        ("4889d8 c3", False),  # reads what only the rest of a function has set
        ("4889fb 488b4510 c3", False),  # a frame that is not its own
        ("e800000000 c3", False),  # takes no argument
    ],
)
def test_a_part_of_a_function_does_not_begin_one(code, begins):
    assert begins_function(bytes.fromhex(code), 0x1000) is begins
