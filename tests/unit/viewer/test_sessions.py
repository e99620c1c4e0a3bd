# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.viewer.sessions import SESSION_SECONDS, Sessions

TOKEN = "a-secret-of-enough-length"


def value_of(cookie: str) -> str:
    return cookie.partition("=")[2].partition(";")[0]


def sessions(token: str = TOKEN, now: float = 1_000_000.0) -> Sessions:
    return Sessions(token, "viewer", lambda: now)


def test_a_cookie_lets_in_until_it_expires() -> None:
    value = value_of(sessions().open(secure=False)[1])
    visitor = sessions().visitor(value)
    assert visitor is not None
    assert visitor.name.startswith("session-")
    assert visitor.has_session
    assert sessions(now=1_000_000 + SESSION_SECONDS - 1).visitor(value)
    assert sessions(now=1_000_000 + SESSION_SECONDS).visitor(value) is None


def test_the_name_in_the_log_is_the_same_from_the_login_on() -> None:
    visitor, cookie = sessions().open(secure=False)
    assert sessions().visitor(value_of(cookie)) == visitor


def test_a_new_token_ends_the_sessions_of_the_old_one() -> None:
    value = value_of(sessions().open(secure=False)[1])
    assert sessions("another-secret-of-length").visitor(value) is None


def test_the_token_is_not_in_the_cookie() -> None:
    assert TOKEN not in sessions().open(secure=False)[1]


@pytest.mark.parametrize("secure", [False, True])
def test_the_cookie_is_closed_to_scripts_and_to_other_sites_requests(secure: bool) -> None:
    for cookie in (sessions().open(secure=secure)[1], sessions().close(secure=secure)):
        attributes = cookie.split("; ")
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
        assert ("Secure" in attributes) is secure


def test_logging_out_empties_the_cookie() -> None:
    assert sessions().close(secure=False).startswith("viewer=; Max-Age=0;")


@given(st.text(max_size=80))
def test_anything_else_is_nobody(value: str) -> None:
    assert sessions().visitor(value) is None


@given(st.integers(0, 200), st.characters())
def test_a_changed_cookie_is_nobody(position: int, character: str) -> None:
    value = value_of(sessions().open(secure=False)[1])
    position %= len(value)
    changed = value[:position] + character + value[position + 1 :]
    assert changed == value or sessions().visitor(changed) is None
