# SPDX-License-Identifier: Apache-2.0
"""Requests and answers, without sockets: who gets what."""

import logging
import re
from urllib.parse import parse_qsl

import pytest

from otel_qtap.viewer.application import Application
from otel_qtap.viewer.authentication import Authenticator
from otel_qtap.viewer.guard import Guard
from otel_qtap.viewer.requests import Request
from otel_qtap.viewer.responses import Response
from otel_qtap.viewer.sessions import Sessions
from otel_qtap.viewer.throttle import Throttle
from tests.support.cleared import exchange
from tests.support.payload_store import answering, posting

TOKEN = "a-secret-of-enough-length"
CANARY = "canary-4711"
PNG = b"\x89PNG\r\n\x1a\n" + CANARY.encode()


@pytest.fixture
def record(stored):
    return stored(exchange(posting("text/plain", CANARY.encode()), answering("image/png", PNG)))[0]


@pytest.fixture
def viewer(store) -> Application:
    sessions = Sessions(TOKEN, "viewer", lambda: 1000.0)
    throttle = Throttle(lambda: 1000.0)
    return Application(
        store, Authenticator(token=TOKEN, sessions=sessions, proxy=None, throttle=throttle), Guard()
    )


def get(viewer: Application, path: str, method: str = "GET", *, form: str = "", **more: str) -> Response:
    path, _, query = path.partition("?")
    fields = {"host": "127.0.0.1", "accept": "text/html", **{k.replace("_", "-"): v for k, v in more.items()}}
    return viewer.answer(
        Request(
            method=method,
            path=path,
            query=dict(parse_qsl(query)),
            form=dict(parse_qsl(form)),
            headers={name: (value,) for name, value in fields.items()},
            peer="127.0.0.1",
        )
    )


def known(viewer: Application, path: str, method: str = "GET", **more: str) -> Response:
    return get(viewer, path, method, authorization=f"Bearer {TOKEN}", **more)


def quoted(uri: str) -> str:
    return uri.replace("%", "%25").replace("#", "%23").replace("=", "%3D")


PATHS = [
    "/",
    "/payload?uri={}",
    "/payload/body?uri={}&part=request",
    "/payload/image?uri={}&part=response",
    "/nowhere",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"cookie": "viewer=1.2.3"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic x"},
        {"x_forwarded_user": "root"},
    ],
)
def test_without_the_token_there_is_not_a_byte(
    viewer, record, path: str, accept: str, more: dict[str, str]
) -> None:
    answer = get(viewer, path.format(quoted(record.request_ref.uri)), accept=accept, **more)
    assert answer.status == 401
    assert CANARY.encode() not in answer.body
    assert dict(answer.headers)["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/payload?uri={}", "/payload/body?uri={}"])
def test_whether_a_reference_exists_is_no_strangers_business(viewer, record, path: str) -> None:
    there = get(viewer, path.format(quoted(record.request_ref.uri)), accept="*/*")
    not_there = get(viewer, path.format("file%3A///etc/passwd%23bytes%3D0-9"), accept="*/*")
    assert (there.status, there.body) == (not_there.status, not_there.body)


def test_the_page_the_body_and_the_picture(viewer, record) -> None:
    uri = quoted(record.request_ref.uri)
    page = known(viewer, f"/payload?uri={uri}")
    assert page.status == 200
    assert CANARY.encode() in page.body

    body = known(viewer, f"/payload/body?uri={uri}&part=request")
    assert (body.status, body.content_type, body.body) == (200, "application/octet-stream", CANARY.encode())
    assert "attachment" in dict(body.headers)["Content-Disposition"]
    assert known(viewer, f"/payload/body?uri={uri}&part=response").body == PNG
    assert known(viewer, f"/payload/body?uri={uri}").body == CANARY.encode()

    picture = known(viewer, f"/payload/image?uri={uri}&part=response")
    assert (picture.status, picture.content_type, picture.body) == (200, "image/png", PNG)
    assert known(viewer, f"/payload/image?uri={uri}&part=request").status == 415


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/payload", 400),
        ("/payload?uri=x", 400),
        ("/payload?uri=memory:/absent.warc.gz%23bytes%3D0-9", 404),
        ("/payload?uri=file:///etc/passwd%23bytes%3D0-9", 403),
        ("/payload/body?uri=memory:/absent.warc.gz%23bytes%3D0-9", 404),
        ("/payload/body?uri=memory:/absent.warc.gz%23bytes%3D0-9&part=both", 400),
        ("/payload/", 404),
    ],
)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_problems_have_a_status_and_say_what_to_do(
    viewer, record, path: str, status: int, accept: str
) -> None:
    answer = known(viewer, path, accept=accept)
    assert answer.status == status
    assert answer.content_type == (
        "text/html; charset=utf-8" if accept == "text/html" else "text/plain; charset=utf-8"
    )
    assert len(answer.body.splitlines()) >= 2


def test_health_and_style_are_for_everybody(viewer) -> None:
    assert get(viewer, "/healthz").body == b"ok\n"
    assert get(viewer, "/favicon.ico").status == 204
    style = get(viewer, "/style.css")
    assert style.content_type == "text/css; charset=utf-8"
    assert b"prefers-color-scheme" in style.body
    assert b"url(" not in style.body
    assert b"@import" not in style.body


def test_a_login_leads_to_what_was_asked_for(viewer, record) -> None:
    uri = quoted(record.request_ref.uri)
    asked = get(viewer, f"/payload?uri={uri}")
    assert b'type="password"' in asked.body
    answer = get(viewer, "/login", "POST", form=f"token={TOKEN}&uri={uri}")
    headers = dict(answer.headers)
    assert answer.status == 303
    assert get(viewer, headers["Location"], cookie=headers["Set-Cookie"].partition(";")[0]).status == 200


def test_a_token_in_the_address_is_exchanged_at_once(viewer, record) -> None:
    uri = quoted(record.request_ref.uri)
    for path, there in (("/", "/"), ("/login", "/"), ("/payload", "/payload?uri=")):
        answer = get(viewer, f"{path}?token={TOKEN}" + (f"&uri={uri}" if path == "/payload" else ""))
        assert answer.status == 303
        assert dict(answer.headers)["Location"].startswith(there)
        assert TOKEN not in str(answer.headers)
    assert get(viewer, "/?token=wrong").status == 401


def test_who_is_logged_in_needs_no_login(viewer) -> None:
    assert dict(known(viewer, "/login").headers)["Location"] == "/"


def test_logging_out(viewer) -> None:
    answer = known(viewer, "/logout", "POST")
    assert answer.status == 303
    assert "Max-Age=0" in dict(answer.headers)["Set-Cookie"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/payload", "GET, HEAD"), ("POST", "/healthz", "GET, HEAD"), ("GET", "/logout", "POST")],
)
def test_other_methods_are_refused(viewer, method: str, path: str, allowed: str) -> None:
    answer = known(viewer, path, method)
    assert answer.status == 405
    assert dict(answer.headers)["Allow"] == allowed


def test_other_sites_get_nothing_even_with_the_token(viewer, record) -> None:
    uri = quoted(record.request_ref.uri)
    answer = known(
        viewer,
        f"/payload?uri={uri}",
        sec_fetch_site="cross-site",
        sec_fetch_mode="cors",
        sec_fetch_dest="empty",
    )
    assert answer.status == 403
    assert known(viewer, f"/payload?uri={uri}", host="evil.example").status == 421


def test_a_defect_is_an_answer_and_tells_nothing(viewer, record, monkeypatch, caplog) -> None:
    def fail(*_: object) -> bytes:
        raise ValueError(CANARY)

    monkeypatch.setattr(viewer._reader, "exchange", fail)
    answer = known(viewer, f"/payload?uri={quoted(record.request_ref.uri)}")
    assert answer.status == 500
    assert CANARY.encode() not in answer.body
    assert CANARY not in caplog.text


def test_a_login_is_logged_under_the_name_that_it_makes(viewer, record, caplog) -> None:
    caplog.set_level(logging.INFO)
    cookie = dict(get(viewer, "/login", "POST", form=f"token={TOKEN}").headers)["Set-Cookie"]
    get(viewer, "/", cookie=cookie.partition(";")[0])
    names = [re.search(r"visitor (session-\w{8}),", line.getMessage()) for line in caplog.records]
    assert all(names)
    assert len({name[1] for name in names if name}) == 1
    assert TOKEN not in caplog.text


def test_every_access_is_logged_without_a_byte(viewer, record, caplog) -> None:
    caplog.set_level(logging.INFO)
    uri = record.request_ref.uri
    known(viewer, f"/payload?uri={quoted(uri)}")
    get(viewer, f"/payload?uri={quoted(uri)}&token=wrong-{CANARY}")
    known(viewer, "/payload?uri=file:///etc/passwd%23bytes%3D0-9")
    assert [record.getMessage() for record in caplog.records] == [
        f"access: GET /payload 200, visitor token, from 127.0.0.1, reference {uri}",
        f"access: GET /payload 401, visitor -, from 127.0.0.1, reference {uri}",
        "access: GET /payload 403, visitor token, from 127.0.0.1, reference file:///etc/passwd#bytes=0-9",
    ]
    assert CANARY not in caplog.text
