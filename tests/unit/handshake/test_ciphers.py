# SPDX-License-Identifier: Apache-2.0
import re
import subprocess

from otel_qtap.handshake.ciphers import CIPHER_NAMES, cipher_label


def test_names_are_those_that_openssl_has_from_the_registry() -> None:
    listing = subprocess.run(
        ["openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    known = {int(a + b, 16): name for a, b, name in re.findall(r"0x(..),0x(..) - (TLS_\S+)", listing)}
    assert len(known) > 100
    assert {code: CIPHER_NAMES.get(code) for code in known} == known


def test_names_are_unique_and_of_the_registry_s_form() -> None:
    assert len(set(CIPHER_NAMES.values())) == len(CIPHER_NAMES) > 300
    assert all(re.fullmatch(r"TLS_[A-Za-z0-9_]+", name) for name in CIPHER_NAMES.values())


def test_a_code_without_a_name_is_shown_as_a_number() -> None:
    assert cipher_label(0x1301) == "TLS_AES_128_GCM_SHA256"
    assert cipher_label(0x00FF) == "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"
    assert cipher_label(0xBEEF) == "0xBEEF"
