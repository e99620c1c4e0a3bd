# SPDX-License-Identifier: Apache-2.0
import hashlib
import ssl
import subprocess
import sys
import tracemalloc
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otel_qtap.handshake.certificate import certificate_facts, first_certificate
from otel_qtap.model.handshake import CertificateFacts
from tests.support.tls_wire import vector


@pytest.fixture(scope="module")
def der(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A certificate by OpenSSL's own tool."""
    path = tmp_path_factory.mktemp("certificate") / "own.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "/dev/null", "-out", path, "-days", "30", "-utf8",
            "-subj", "/C=DE/O=Läden, \"Nord\"/OU=a+OU=b/CN=shop.example",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return ssl.PEM_cert_to_DER_cert(Path(path).read_text())


def test_names_validity_and_digest(der: bytes) -> None:
    facts = certificate_facts(der)
    assert facts.sha256 == hashlib.sha256(der).hexdigest().upper()
    assert facts.subject == facts.issuer == 'CN=shop.example,OU=a+OU=b,O=Läden\\, \\"Nord\\",C=DE'
    begin, end = (
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.000Z").replace(tzinfo=UTC)
        for text in (facts.not_before, facts.not_after)
    )
    assert (end - begin).days == 30


def test_of_what_cannot_be_read_there_is_the_digest(der: bytes) -> None:
    for broken in (b"", b"no certificate", der[:-1], der[:40], b"\x30\x80" + der):
        assert certificate_facts(broken) == CertificateFacts(
            sha256=hashlib.sha256(broken).hexdigest().upper()
        )


def test_of_one_too_large_to_come_whole_there_is_the_digest_and_nothing_remembered() -> None:
    large = bytes(16 * 1024 + 1)
    tracemalloc.start()
    try:
        for end in range(20):
            facts = certificate_facts(large + bytes([end]))
        assert facts == CertificateFacts(sha256=hashlib.sha256(large + b"\x13").hexdigest().upper())
        assert tracemalloc.get_traced_memory()[0] < len(large)
    finally:
        tracemalloc.stop()


def test_nothing_is_warned_of(der: bytes) -> None:
    negative_serial = der.replace(der[12:18], b"\x02\x14\xff" + der[15:18], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert certificate_facts(negative_serial).sha256


def test_the_first_of_the_list_is_the_end_s_own() -> None:
    assert first_certificate(vector(3, vector(3, b"own") + vector(3, b"issuer"))) == b"own"
    assert first_certificate(vector(3, b"")) == b""


def test_one_that_is_cut_off_is_none() -> None:
    body = vector(3, vector(3, b"own"))
    assert {first_certificate(body[:cut]) for cut in range(len(body))} == {b""}


def test_the_library_is_imported_when_a_certificate_comes() -> None:
    code = (
        "import sys; from otel_qtap.handshake.table import HandshakeTable; "
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
