# SPDX-License-Identifier: Apache-2.0
from otel_qtap.handshake.extensions import Extensions, read_extensions
from tests.support.tls_wire import extensions

DATA = extensions([(1, b"one"), (9, b""), (2, b"two"), (1, b"again")])[2:]


def test_types_of_all_and_contents_of_those_that_are_wanted() -> None:
    assert read_extensions(DATA, {1, 7, 9}) == Extensions((1, 9, 2, 1), {1: b"again", 9: b""}, whole=True)
    assert read_extensions(b"", {1}) == Extensions((), {}, whole=True)


def test_what_is_cut_off_is_not_whole() -> None:
    ends = {0, 7, 11, 18, 27}
    for cut in range(len(DATA)):
        read = read_extensions(DATA[:cut], {1, 2})
        assert read.whole is (cut in ends)
        assert read.types == (1, 9, 2, 1)[: len(read.types)]
    assert read_extensions(DATA[:16], {2}) == Extensions((1, 9, 2), {2: b"t"}, whole=False)
