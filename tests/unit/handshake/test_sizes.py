# SPDX-License-Identifier: Apache-2.0
import gc
import tracemalloc

import pytest

from otel_qtap.handshake.facts import handshake_facts
from otel_qtap.handshake.sizes import size_of
from otel_qtap.model.handshake import CertificateFacts, HandshakeFacts
from tests.support.tls_wire import alpn, client_hello, message, record, server_name


@pytest.mark.parametrize(
    ("names", "suites"),
    [
        ([b"h2"], range(0x1301, 0x1304)),
        ([b"%064d" % number for number in range(16)], range(0x6000, 0x6600)),
        ([bytes([number]) * 32 for number in range(16)], range(0x1301, 0x1304)),
    ],
)
def test_it_is_about_what_facts_take(names: list[bytes], suites: range) -> None:
    hello = record(message(1, client_hello([server_name(b"n" * 250), alpn(*names)], ciphers=suites)))
    handshake_facts([hello], [])
    gc.collect()
    tracemalloc.start()
    try:
        kept = [handshake_facts([hello + bytes([number])], []) for number in range(50)]
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken <= sum(map(size_of, kept))
    assert sum(map(size_of, kept)) <= 50 * 12 * 1024


def test_names_of_certificates_count() -> None:
    certificate = CertificateFacts(sha256="A" * 64, subject="\N{PILE OF POO}" * 1024)
    assert size_of(HandshakeFacts(client_certificate=certificate)) > size_of(HandshakeFacts()) + 4096
