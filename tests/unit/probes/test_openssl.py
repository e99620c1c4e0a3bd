# SPDX-License-Identifier: Apache-2.0
from otel_qtap.probes.openssl import LIBRARY, READ_PATH, WRITE_PATH
from otel_qtap.probes.spec import Count, Hook


def test_the_count_pointer_of_the_inner_write_moves_where_write_ex2_exists():
    newer, older = WRITE_PATH.inner
    assert (newer.forwarder, newer.function.count, newer.function.nargs) == ("SSL_write_ex2", Count.ARG5, 5)
    assert (older.forwarder, older.function.count, older.function.nargs) == ("SSL_write_ex", Count.ARG4, 4)


def test_peeks_are_probed_nowhere_and_are_strangers_to_both_inner_functions():
    probed = {probe.symbol for path in LIBRARY.data_paths for probe in path.public}
    probed |= {probe.symbol for probe in LIBRARY.lifecycle}
    assert not {symbol for symbol in probed if "peek" in symbol}
    for inner in (*READ_PATH.inner, *WRITE_PATH.inner):
        assert {"SSL_peek", "SSL_peek_ex"} <= set(inner.strangers)


def test_set_fd_is_told_apart_from_the_ways_to_set_a_bio():
    hooks = {probe.symbol: probe.hook for probe in LIBRARY.lifecycle}
    assert hooks["SSL_set_fd"] is Hook.SET_FD
    assert hooks["SSL_set_bio"] is hooks["SSL_set0_rbio"] is Hook.SET_BIO
