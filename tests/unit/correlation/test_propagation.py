# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.correlation.propagation import Propagation
from otel_qtap.errors import SettingsError

W3C = "00-" + "1" * 32 + "-" + "1" * 16 + "-01"
B3 = "2" * 32 + "-" + "2" * 16 + "-1"
XRAY = "Root=1-33333333-" + "3" * 24 + ";Parent=" + "3" * 16
ALL = {"traceparent": W3C, "b3": B3, "x-amzn-trace-id": XRAY}


def first_digit(propagators: tuple[str, ...], fields: dict[str, str]) -> str:
    context = Propagation(propagators).read(fields)
    return "" if context is None else context.trace_id.hex()[0]


@pytest.mark.parametrize(
    ("propagators", "winner"),
    [
        (("tracecontext", "baggage"), "1"),
        (("tracecontext", "b3"), "2"),
        (("b3", "tracecontext"), "1"),
        (("tracecontext", "b3", "xray"), "3"),
        (("xray", "b3multi", "tracecontext", "b3"), "2"),
        (("none",), ""),
        (("baggage",), ""),
        ((), ""),
    ],
)
def test_the_last_that_finds_a_context_wins(propagators: tuple[str, ...], winner: str) -> None:
    assert first_digit(propagators, ALL) == winner


def test_a_later_format_that_is_absent_or_malformed_overwrites_nothing() -> None:
    assert first_digit(("tracecontext", "b3"), {"traceparent": W3C}) == "1"
    propagation = Propagation(("tracecontext", "b3"))
    context = propagation.read({"traceparent": W3C, "b3": "garbage"})
    assert context is not None
    assert context.trace_id.hex()[0] == "1"
    assert propagation.malformed == 1


def test_malformed_values_are_counted_and_absent_ones_are_not() -> None:
    propagation = Propagation(("tracecontext", "xray"))
    assert propagation.read({}) is None
    assert propagation.malformed == 0
    assert propagation.read({"traceparent": "x", "x-amzn-trace-id": "y"}) is None
    assert propagation.malformed == 2


def test_fields_to_collect() -> None:
    assert Propagation(("tracecontext", "baggage")).fields == {"traceparent", "tracestate"}
    assert "x-amzn-trace-id" in Propagation(("xray",)).fields
    assert Propagation(("none",)).fields == frozenset()


def test_unknown_name_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"OTEL_PROPAGATORS.*'zipkin'.*tracecontext"):
        Propagation(("tracecontext", "zipkin"))
