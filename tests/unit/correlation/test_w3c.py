# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_qtap.correlation import w3c
from otel_qtap.correlation.context import MALFORMED, ObservedContext

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_valid_traceparent() -> None:
    assert w3c.read({"traceparent": VALID}) == ObservedContext(
        bytes.fromhex(TRACE), bytes.fromhex(SPAN), sampled=True
    )


def test_absent_is_not_malformed() -> None:
    assert w3c.read({}) is None
    assert w3c.read({"tracestate": "a=1"}) is None


@pytest.mark.parametrize(
    ("flags", "sampled", "random_flag"),
    [
        ("00", False, False),
        ("01", True, False),
        ("02", False, True),
        ("03", True, True),
        ("fc", False, False),
    ],
)
def test_flags(flags: str, sampled: bool, random_flag: bool) -> None:
    context = w3c.read({"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
    assert context is not None
    assert (context.sampled, context.random_flag) == (sampled, random_flag)


@pytest.mark.parametrize(
    "value",
    [
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-brings",
        f"fe-{TRACE}-{SPAN}-01-",
    ],
)
def test_a_higher_version_is_read_as_far_as_it_is_known(value: str) -> None:
    assert w3c.read({"traceparent": value}) == w3c.read({"traceparent": VALID})


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        VALID[:-1],
        VALID + "-",
        VALID + "-00",
        VALID + " ",
        " " + VALID,
        f"cc-{TRACE}-{SPAN}-01.tail",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{TRACE[:-2]}  -{SPAN}-01",
        f"00-{TRACE[:-1]}x-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-2]}---{SPAN}-01",
        f"00-{TRACE[:-2]}--01-{SPAN}-01"[:55],
        f"0é-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0\udcff",
        f"00-{TRACE}-{SPAN}-\uff11\uff11",
        f"{VALID}, {VALID}",
        f"{VALID},{VALID}",
    ],
)
def test_malformed_traceparent(value: str) -> None:
    assert w3c.read({"traceparent": value}) is MALFORMED


@pytest.mark.parametrize(
    "state",
    [
        "congo=t61rcWkgMzE",
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "rojo=1 , congo=2\t",
        "a=1,,b=2",
        "0digit=1",
        "fw529a3039@dt=FfffffffEw",
        "ot=th:c;rv:d29d6a7215ced0",
        'a_-*/z=!"#~ x',
        "k" * 256 + "=" + "v" * 256,
        ",".join(f"k{i}={i}" for i in range(32)),
    ],
)
def test_tracestate_is_kept_verbatim(state: str) -> None:
    context = w3c.read({"traceparent": VALID, "tracestate": state})
    assert context is not None
    assert context.trace_state == state


@pytest.mark.parametrize(
    "state",
    [
        "",
        " , ",
        "novalue",
        "empty=",
        "blank= ",
        "Upper=1",
        "a=1=2",
        "=1",
        "a b=1",
        "a=\x00",
        "a=é",
        "a=1,a=2",
        "good=1,bad",
        "k" * 257 + "=1",
        "k=" + "v" * 257,
        ",".join(f"k{i}={i}" for i in range(33)),
        "," * 32 + "a=1",
    ],
)
def test_malformed_tracestate_is_dropped_whole_and_the_parent_stays(state: str) -> None:
    context = w3c.read({"traceparent": VALID, "tracestate": state})
    assert context is not None
    assert context.trace_state == ""
    assert context.trace_id == bytes.fromhex(TRACE)


@given(
    value=st.one_of(
        st.text(),
        st.text(alphabet="0123456789abcdefABCDEF- ", min_size=50, max_size=60),
        st.tuples(
            st.sampled_from(["00", "01", "ff", "fe", "0", "0g"]),
            st.text(alphabet="0123456789abcdef", min_size=31, max_size=33),
            st.text(alphabet="0123456789abcdef", min_size=15, max_size=17),
            st.sampled_from(["00", "01", "03", "1", "01-x"]),
        ).map("-".join),
    ),
)
def test_never_raises_and_accepts_nothing_that_the_sdk_refuses(value: str) -> None:
    ours = w3c.read({"traceparent": value, "tracestate": value})
    if ours is not None and ours is not MALFORMED:
        theirs = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": value}))
        context = theirs.get_span_context()
        assert context.is_valid
        assert context.trace_id == int.from_bytes(ours.trace_id, "big")
        assert context.span_id == int.from_bytes(ours.span_id, "big")
        assert context.trace_flags.sampled == ours.sampled
