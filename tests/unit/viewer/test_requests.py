# SPDX-License-Identifier: Apache-2.0
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.model.exchange import Part
from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.requests import Request, fields, location, looked_at


def test_parameters_are_decoded() -> None:
    assert fields("uri=s3%3A%2F%2Fb%2Fk%23bytes%3D0-1&part=request&view=") == {
        "uri": "s3://b/k#bytes=0-1",
        "part": "request",
        "view": "",
    }


@pytest.mark.parametrize("query", ["uri=a&uri=b", "uri=%ff", "&".join(f"k{n}=1" for n in range(30))])
def test_ambiguous_or_malformed_parameters_are_refused(query: str) -> None:
    with pytest.raises(ProblemError) as caught:
        fields(query)
    assert caught.value.status == 400


@given(st.text(max_size=50))
def test_any_query_is_taken_or_refused(query: str) -> None:
    try:
        assert fields(query).keys() <= {unquote_plus(pair.partition("=")[0]) for pair in query.split("&")}
    except ProblemError:
        return


def test_the_part_and_the_offset() -> None:
    asked = Request(method="GET", path="/payload", peer="::1", query={"part": "response", "offset": "12"})
    assert (asked.part, asked.offset) == (Part.RESPONSE, 12)
    assert Request(method="GET", path="/", peer="::1").part is None
    assert Request(method="GET", path="/", peer="::1").offset == 0


@pytest.mark.parametrize("query", [{"part": "both"}, {"offset": "-1"}, {"offset": "²"}, {"offset": "9" * 20}])
def test_a_wrong_part_or_offset_is_refused(query: dict[str, str]) -> None:
    asked = Request(method="GET", path="/payload", peer="::1", query=query)
    with pytest.raises(ProblemError):
        assert (asked.part, asked.offset) is None


def test_a_header_field_that_is_there_twice_is_refused() -> None:
    asked = Request(method="GET", path="/", peer="::1", headers={"host": ("a", "b"), "accept": ("*/*",)})
    assert asked.header("accept") == "*/*"
    assert asked.header("absent") == ""
    with pytest.raises(ProblemError, match="malformed"):
        asked.header("host")


def test_what_is_looked_at_outlives_a_login_and_the_token_does_not() -> None:
    given_ = {"uri": "s3://b/k", "view": "hex", "token": "secret", "next": "//evil.example"}
    assert looked_at(given_) == {"uri": "s3://b/k", "view": "hex"}
    assert location(given_) == "/payload?uri=s3%3A%2F%2Fb%2Fk&view=hex"
    assert location({"token": "secret"}) == "/"


@given(st.dictionaries(st.sampled_from(["uri", "part", "next", "view"]), st.text(max_size=20)))
def test_a_login_leads_to_this_viewer_only(parameters: dict[str, str]) -> None:
    there = location({k: v.encode("utf-8", "replace").decode() for k, v in parameters.items()})
    assert there == "/" or there.startswith("/payload?uri=")
    assert there.isprintable()
