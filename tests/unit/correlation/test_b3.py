# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.correlation import b3
from otel_qtap.correlation.context import MALFORMED, ObservedContext

TRACE = "80f198ee56343ba864fe8b2a57d3eff7"
SPAN = "e457b5a2e4d86bd1"
PARENT = "05e3ac9a4f6e3b90"


def context(sampled: bool | None, trace: str = TRACE) -> ObservedContext:
    return ObservedContext(bytes.fromhex(trace), bytes.fromhex(SPAN), sampled)


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"{TRACE}-{SPAN}-1-{PARENT}", True),
        (f"{TRACE}-{SPAN}-1", True),
        (f"{TRACE}-{SPAN}-d", True),
        (f"{TRACE}-{SPAN}-0", False),
        (f"{TRACE}-{SPAN}", None),
        (f"{TRACE.upper()}-{SPAN.upper()}-1", True),
    ],
)
def test_single_field(value: str, sampled: bool | None) -> None:
    assert b3.read({"b3": value}) == context(sampled)


@pytest.mark.parametrize(
    ("fields", "sampled"),
    [
        ({"x-b3-sampled": "1"}, True),
        ({"x-b3-sampled": "true"}, True),
        ({"x-b3-sampled": "0"}, False),
        ({"x-b3-sampled": "False"}, False),
        ({"x-b3-flags": "1"}, True),
        ({"x-b3-flags": "0", "x-b3-sampled": "0"}, False),
        ({}, None),
    ],
)
def test_multiple_fields(fields: dict[str, str], sampled: bool | None) -> None:
    assert b3.read({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, **fields}) == context(sampled)


def test_64_bit_trace_ids_are_padded_on_the_left() -> None:
    expected = context(True, "0" * 16 + TRACE[16:])
    assert b3.read({"b3": f"{TRACE[16:]}-{SPAN}-1"}) == expected
    assert b3.read({"x-b3-traceid": TRACE[16:], "x-b3-spanid": SPAN, "x-b3-sampled": "1"}) == expected


def test_single_field_wins() -> None:
    other = {"x-b3-traceid": "1" * 32, "x-b3-spanid": "2" * 16}
    assert b3.read({"b3": f"{TRACE}-{SPAN}-0", **other}) == context(False)


def test_malformed_single_field_does_not_hide_the_others() -> None:
    assert b3.read({"b3": "garbage", "x-b3-traceid": TRACE, "x-b3-spanid": SPAN}) == context(None)
    assert b3.read({"b3": "0", "x-b3-traceid": TRACE, "x-b3-spanid": SPAN}) == context(None)


@pytest.mark.parametrize("fields", [{}, {"b3": "0"}, {"b3": "1"}, {"b3": "d"}, {"x-b3-sampled": "0"}])
def test_no_ids_is_no_context(fields: dict[str, str]) -> None:
    assert b3.read(fields) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"b3": ""},
        {"b3": TRACE},
        {"b3": f"{TRACE}-{SPAN}-2"},
        {"b3": f"{TRACE}-{SPAN}-"},
        {"b3": f"{TRACE}-{SPAN}-1-{PARENT[:-1]}"},
        {"b3": f"{TRACE}-{SPAN}-1-{PARENT}-1"},
        {"b3": f"{TRACE[:-1]}-{SPAN}-1"},
        {"b3": f"{'0' * 32}-{SPAN}-1"},
        {"b3": f"{TRACE}-{'0' * 16}-1"},
        {"b3": f"{TRACE[:-2]}  -{SPAN}-1"},
        {"b3": f"{TRACE}\uff11-{SPAN}-1"},
        {"x-b3-traceid": TRACE},
        {"x-b3-spanid": SPAN},
        {"x-b3-traceid": TRACE, "x-b3-spanid": ""},
        {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "maybe"},
    ],
)
def test_malformed(fields: dict[str, str]) -> None:
    assert b3.read(fields) is MALFORMED


@given(fields=st.dictionaries(st.sampled_from(b3.FIELDS), st.text(alphabet="01abcdeé -d") | st.text()))
def test_never_raises(fields: dict[str, str]) -> None:
    found = b3.read(fields)
    assert found is None or found is MALFORMED or (len(found.trace_id), len(found.span_id)) == (16, 8)
