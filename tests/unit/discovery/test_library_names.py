# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.library_names import LibraryNames
from otel_qtap.probes.openssl import LIBRARY

NAMES = LibraryNames((LIBRARY,), ("/usr/bin/node",))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/lib/libssl.so.3", "openssl"),
        ("/a/psycopg2_binary.libs/libssl-6a9b88ec.so.1.1.1k", "openssl"),
        ("/usr/lib/libssl.a", ""),
        ("/usr/lib/libcrypto.so.3", ""),
        ("/opt/libssl/plugin.so", ""),
    ],
)
def test_a_library_is_known_by_its_file_name(path: str, expected: str) -> None:
    assert NAMES.library(path) == expected
    assert (path in NAMES) is bool(expected)


def test_what_the_user_named_is_among_them_by_its_whole_path() -> None:
    assert "/usr/bin/node" in NAMES
    assert NAMES.are_the_users("/usr/bin/node")
    assert "/opt/bin/node" not in NAMES
    assert not NAMES.are_the_users("/usr/lib/libssl.so.3")
