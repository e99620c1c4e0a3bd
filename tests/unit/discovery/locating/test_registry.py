# SPDX-License-Identifier: Apache-2.0
from otel_qtap.discovery.locating import boringssl, by_symbols, gnutls, go_methods, nss, openssl
from otel_qtap.discovery.locating.registry import locator_of


def test_symbols_do_where_nothing_else_is_registered():
    assert locator_of("mbedtls") is by_symbols.locate


def test_libraries_whose_functions_no_symbol_names_have_their_own():
    assert locator_of("openssl") is openssl.locate
    assert locator_of("boringssl") is boringssl.locate
    assert locator_of("gnutls") is gnutls.locate
    assert locator_of("nss") is nss.locate
    assert locator_of("go") is go_methods.locate
