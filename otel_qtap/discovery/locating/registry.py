# SPDX-License-Identifier: Apache-2.0
"""Which locator finds the functions of which library. One line a library that symbols alone do not do for."""

from otel_qtap.discovery.locating import boringssl, by_symbols, gnutls, go_methods, nss, openssl
from otel_qtap.discovery.locating.located import Locator

_LOCATORS: dict[str, Locator] = {
    "openssl": openssl.locate,
    "boringssl": boringssl.locate,
    "gnutls": gnutls.locate,
    "nss": nss.locate,
    "go": go_methods.locate,
}


def locator_of(library: str) -> Locator:
    """The locator of the library with this name (``TlsLibrary.name``)."""
    return _LOCATORS.get(library, by_symbols.locate)
