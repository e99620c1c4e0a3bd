# SPDX-License-Identifier: Apache-2.0
"""BIO_write is found in what a process maps: here in this one, which has OpenSSL in its memory."""

import _ssl  # so that libcrypto is mapped
import os

from otel_qtap.discovery.ciphertext_files import CiphertextFiles
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.probes.spec import Hook

FILES = CiphertextFiles(LibraryLocator(None))


def test_libcrypto_has_it() -> None:
    assert _ssl.OPENSSL_VERSION
    plans = FILES.of(os.getpid())

    assert plans
    assert all(site.function == "BIO_write" for plan in plans for site in plan.sites)
    assert all(site.cookie == Hook.BIO_WRITE for plan in plans for site in plan.sites)
    assert not any(site.needs_return for plan in plans for site in plan.sites)


def test_a_named_file_without_it_is_none() -> None:
    assert len(FILES.of(os.getpid(), ["/usr/lib/x86_64-linux-gnu/libc.so.6"])) == len(FILES.of(os.getpid()))


def test_a_process_that_is_gone_has_none() -> None:
    assert FILES.of(2**22 + 1) == []
