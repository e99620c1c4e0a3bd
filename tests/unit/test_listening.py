# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.errors import SettingsError
from otel_qtap.listening import listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_free_address_is_bound(host: str) -> None:
    with listen("OTEL_QTAP_SERVE_ADDRESS", host, 0) as listener:
        assert listener.getsockname()[0] == host


def test_one_that_is_taken_is_refused_by_its_variable() -> None:
    with listen("OTEL_QTAP_SERVE_ADDRESS", "127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"^OTEL_QTAP_SERVE_ADDRESS=127.0.0.1:{port}: cannot listen"):
            listen("OTEL_QTAP_SERVE_ADDRESS", "127.0.0.1", port)
