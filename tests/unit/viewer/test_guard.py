# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.viewer.guard import Guard
from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.requests import Request

GUARD = Guard(["Payloads.example.com"])


def asking(method: str = "GET", **headers: str) -> Request:
    known = {"host": "localhost"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(
        method=method, path="/payload", peer="::1", headers={name: (value,) for name, value in known.items()}
    )


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:13134",
        "LOCALHOST",
        "127.0.0.1:1",
        "[::1]:13134",
        "10.0.0.7",
        "payloads.example.com",
    ],
)
def test_its_own_names_and_addresses_pass(host: str) -> None:
    GUARD.check(asking(host=host))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:13134",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "[::1",
        "a@localhost",
    ],
)
def test_names_that_may_have_been_rebound_do_not(host: str) -> None:
    if host == "[::1":  # an address all the same
        GUARD.check(asking(host=host))
        return
    with pytest.raises(ProblemError) as caught:
        GUARD.check(asking(host=host))
    assert caught.value.status == 421
    assert "OTEL_QTAP_SERVE_HOSTS" in caught.value.fix


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_link_here(site: str) -> None:
    GUARD.check(asking(sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document"))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize(
    ("method", "mode", "dest"),
    [
        ("GET", "no-cors", "image"),
        ("GET", "no-cors", "script"),
        ("GET", "cors", "empty"),
        ("GET", "navigate", "iframe"),
        ("GET", "navigate", "object"),
        ("POST", "navigate", "document"),
    ],
)
def test_they_may_do_nothing_else(site: str, method: str, mode: str, dest: str) -> None:
    with pytest.raises(ProblemError) as caught:
        GUARD.check(asking(method, sec_fetch_site=site, sec_fetch_mode=mode, sec_fetch_dest=dest))
    assert caught.value.status == 403


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_the_viewer_itself_may_post(site: str) -> None:
    GUARD.check(asking("POST", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document"))
