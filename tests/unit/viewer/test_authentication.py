# SPDX-License-Identifier: Apache-2.0
from ipaddress import ip_network

import pytest

from otel_qtap.viewer.authentication import Authenticator, Proxy
from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.requests import Request
from otel_qtap.viewer.sessions import Sessions
from otel_qtap.viewer.throttle import BURST, Throttle
from otel_qtap.viewer.visitors import Visitor

TOKEN = "a-secret-of-enough-length"
LOOPBACK = Proxy("x-forwarded-user", (ip_network("127.0.0.0/8"), ip_network("::1/128")))


def asking(peer: str = "127.0.0.1", *, encrypted: bool = False, **headers: str) -> Request:
    fields = {name.replace("_", "-"): (value,) for name, value in headers.items()}
    return Request(method="GET", path="/", peer=peer, headers=fields, encrypted=encrypted)


def authenticator(token: str = TOKEN, proxy: Proxy | None = None) -> Authenticator:
    sessions = Sessions(token, "viewer", lambda: 1000.0) if token else None
    return Authenticator(token=token, sessions=sessions, proxy=proxy, throttle=Throttle(lambda: 1000.0))


def test_a_stranger_is_nobody() -> None:
    assert authenticator().visitor(asking()) is None
    assert authenticator().visitor(asking(authorization=f"Basic {TOKEN}")) is None
    assert authenticator().visitor(asking(cookie="viewer=forged; other=1")) is None


def test_the_token_as_a_bearer() -> None:
    assert authenticator().visitor(asking(authorization=f"Bearer {TOKEN}")) == Visitor("token")
    assert authenticator().visitor(asking(authorization=f"bearer  {TOKEN} ")) == Visitor("token")


@pytest.mark.parametrize("wrong", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "é"])
def test_a_wrong_token_is_refused(wrong: str) -> None:
    with pytest.raises(ProblemError) as caught:
        authenticator().visitor(asking(authorization=f"Bearer {wrong}"))
    assert caught.value.status == 401
    assert ("WWW-Authenticate", 'Bearer realm="otel-qtap"') in caught.value.headers
    with pytest.raises(ProblemError):
        authenticator().log_in(asking(), wrong)


def test_a_login_makes_a_cookie_that_lets_in() -> None:
    known = authenticator()
    cookie = known.log_in(asking(), TOKEN)[1].partition(";")[0]
    visitor = known.visitor(asking(cookie=f"viewer=older; {cookie}"))
    assert visitor is not None
    assert visitor.has_session
    assert known.log_out(asking()).startswith("viewer=;")


def test_failures_are_limited_by_address_and_sessions_are_not() -> None:
    known = authenticator()
    cookie = known.log_in(asking(), TOKEN)[1].partition(";")[0]
    for _ in range(BURST):
        with pytest.raises(ProblemError, match="not the token"):
            known.log_in(asking(), "wrong")
    with pytest.raises(ProblemError) as caught:
        known.log_in(asking(), TOKEN)
    assert caught.value.status == 429
    assert dict(caught.value.headers)["Retry-After"].isdecimal()
    assert known.visitor(asking(cookie=cookie))
    assert known.log_in(asking("10.0.0.1"), TOKEN)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_trusted_proxy_names_the_visitor(peer: str) -> None:
    assert authenticator("", LOOPBACK).visitor(asking(peer, x_forwarded_user="ada@example.com")) == Visitor(
        "ada@example.com"
    )


@pytest.mark.parametrize("peer", ["10.0.0.1", "fe80::1%eth0", "::2"])
def test_nobody_else_can_claim_to_be_the_proxy(peer: str) -> None:
    assert authenticator("", LOOPBACK).visitor(asking(peer, x_forwarded_user="ada@example.com")) is None


def test_without_a_proxy_its_header_says_nothing() -> None:
    assert authenticator().visitor(asking(x_forwarded_user="ada@example.com")) is None


def test_a_header_that_was_added_to_another_is_refused() -> None:
    twice = Request(method="GET", path="/", peer="::1", headers={"x-forwarded-user": ("root", "ada")})
    with pytest.raises(ProblemError, match="malformed"):
        authenticator("", LOOPBACK).visitor(twice)


def test_a_proxy_that_names_nobody_lets_nobody_in() -> None:
    assert authenticator("", LOOPBACK).visitor(asking(x_forwarded_user=" ")) is None


def test_with_a_proxy_alone_there_is_no_token_to_guess() -> None:
    known = authenticator("", LOOPBACK)
    assert not known.takes_token
    assert known.visitor(asking(authorization="Bearer ")) is None
    with pytest.raises(ProblemError):
        known.log_in(asking(), "")
    assert known.log_out(asking()) == ""


def test_a_proxy_and_a_token_go_together() -> None:
    both = authenticator(TOKEN, LOOPBACK)
    assert both.takes_token
    assert both.visitor(asking("10.0.0.1", authorization=f"Bearer {TOKEN}")) == Visitor("token")
    assert both.visitor(asking(x_forwarded_user="ada")) == Visitor("ada")


@pytest.mark.parametrize(
    ("request_", "secure"),
    [
        (asking(encrypted=True), True),
        (asking(), False),
        (asking(x_forwarded_proto="https"), True),
        (asking("10.0.0.1", x_forwarded_proto="https"), False),
    ],
)
def test_the_cookie_is_for_encrypted_connections_where_there_is_one(request_: Request, secure: bool) -> None:
    assert ("Secure" in authenticator(TOKEN, LOOPBACK).log_in(request_, TOKEN)[1]) is secure
