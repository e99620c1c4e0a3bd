# SPDX-License-Identifier: Apache-2.0
from otel_qtap.handshake.key_exchange import curve_of


def test_the_named_curve_stands_at_the_front() -> None:
    assert curve_of(b"\3\0\x1d\x20rest") == 0x1D


def test_other_key_exchanges_name_none() -> None:
    assert curve_of(b"\1\0\x1d") == 0
    assert curve_of(b"\3\0") == 0
