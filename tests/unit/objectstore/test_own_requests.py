# SPDX-License-Identifier: Apache-2.0
"""Requests of any otel-qtap to the store are known, and nobody else's pass for them by a name alone."""

import pytest

from otel_qtap.model.exchange import Attributes, SpanKind
from otel_qtap.objectstore.own_requests import MARK, OwnRequests

SDK = "Boto3/1.42 md/Botocore#1.42 ua/2.1 os/linux md/arch#x86_64"
KEY = "service.name%3Dshop/date%3D2026-11-24/hour%3D06/0001.warc.gz"
SERVER = OwnRequests("store", "captured/", "https://s3.storage.svc:9000")
AMAZON = OwnRequests("store", "", "https://s3.eu-west-1.amazonaws.com")


def seen(
    target: str,
    *,
    method: str = "PUT",
    agent: str | None = f"{SDK} {MARK}",
    kind: SpanKind = SpanKind.SERVER,
    host: str = "s3.storage.svc",
) -> tuple[SpanKind, Attributes]:
    path, mark, query = target.partition("?")
    attributes: Attributes = {"http.request.method": method, "server.address": host}
    if kind is SpanKind.CLIENT:
        attributes["url.full"] = f"https://{host}:9000{target}"
    else:
        attributes["url.path"] = path
        if mark:
            attributes["url.query"] = query
    if agent is not None:
        attributes["user_agent.original"] = agent
    return kind, attributes


BOTH = pytest.mark.parametrize("kind", [SpanKind.CLIENT, SpanKind.SERVER])
LISTING = "/store?list-type=2&prefix=REDACTED&max-keys=REDACTED&encoding-type=REDACTED"


@BOTH
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", f"/store/captured/{KEY}"),
        ("GET", f"/store/captured/{KEY}"),
        ("PUT", "/store/captured/.otel-qtap-doctor"),
        ("GET", LISTING),
        ("HEAD", "/store"),
    ],
)
def test_what_agents_viewer_and_commands_ask_of_the_store_is_own(
    kind: SpanKind, method: str, target: str
) -> None:
    assert SERVER.include(*seen(target, method=method, kind=kind))


def test_another_version_is_of_the_same_deployment() -> None:
    assert SERVER.include(*seen(f"/store/captured/{KEY}", agent=f"{SDK} otel-qtap/99.1.2rc3"))


@BOTH
@pytest.mark.parametrize("agent", [None, "", SDK, f"{SDK} not-otel-qtap/1", "OTel-OTLP-Exporter-otel-qtap/1"])
def test_others_requests_to_the_same_bucket_are_traffic(kind: SpanKind, agent: str | None) -> None:
    assert not SERVER.include(*seen(f"/store/captured/{KEY}", kind=kind, agent=agent))


@BOTH
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/login"),
        ("PUT", f"/other/captured/{KEY}"),
        ("PUT", f"/stores/captured/{KEY}"),
        ("PUT", f"/store/elsewhere/{KEY}"),
        ("PUT", f"/api/store/captured/{KEY}"),
        ("PUT", "/store/captured/../../login.warc.gz"),
        ("PUT", "/store/captured/%2e%2e/login.warc.gz"),
        ("GET", "/store/captured/orders"),
        ("POST", f"/store/captured/{KEY}"),
        ("GET", "/store"),
        ("GET", "/store?q=REDACTED"),
        ("GET", "/store?list-type=2&q=REDACTED"),
        ("POST", LISTING),
        ("DELETE", "/store"),
        ("GET", ""),
    ],
)
def test_whoever_takes_the_name_hides_nothing_that_goes_elsewhere(
    kind: SpanKind, method: str, target: str
) -> None:
    assert not SERVER.include(*seen(target, method=method, kind=kind))


def test_a_bucket_in_a_name_is_believed_to_clients_and_of_amazon_only() -> None:
    amazon = "store.s3.us-east-1.amazonaws.com"
    assert AMAZON.include(*seen(f"/{KEY}", kind=SpanKind.CLIENT, host=amazon))
    assert AMAZON.include(
        *seen("/" + LISTING.removeprefix("/store"), method="GET", kind=SpanKind.CLIENT, host=amazon)
    )
    # A server that looks at no name would be told anything.
    assert not AMAZON.include(*seen(f"/{KEY}", kind=SpanKind.SERVER, host=amazon))
    assert not AMAZON.include(*seen(f"/{KEY}", kind=SpanKind.CLIENT, host="store.example.com"))
    assert not AMAZON.include(*seen(f"/{KEY}", kind=SpanKind.CLIENT, host=f"other.{amazon}"))
    assert not SERVER.include(*seen(f"/captured/{KEY}", kind=SpanKind.CLIENT, host=amazon))


def test_a_server_behind_a_path_is_known_before_and_behind_its_proxy() -> None:
    requests = OwnRequests("store", "", "https://gateway.example.com/s3/")
    assert requests.include(*seen(f"/s3/store/{KEY}", kind=SpanKind.CLIENT))
    assert requests.include(*seen(f"/store/{KEY}"))
    assert not requests.include(*seen(f"/other/store/{KEY}"))
