# SPDX-License-Identifier: Apache-2.0
from otel_qtap.discovery.locating import by_symbols
from otel_qtap.discovery.locating.registry import locator_of


def test_symbols_do_where_nothing_else_is_registered():
    assert locator_of("openssl") is by_symbols.locate
