# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._internal import _encode_attributes
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_qtap.telemetry.otlp.attributes import (
    SPAN_ATTRIBUTES,
    AttributeEncoder,
    VaryingAttribute,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.lists(TEXT, max_size=4).map(tuple),
)


def decoded(fragments):
    return list(Span.FromString(b"".join(fragments)).attributes)


@given(st.dictionaries(TEXT, VALUES, max_size=12))
def test_fragments_are_what_the_sdk_encodes(attributes):
    encoder = AttributeEncoder(SPAN_ATTRIBUTES)
    expected = _encode_attributes(attributes)
    assert decoded(encoder.fragments(attributes)) == expected
    assert decoded(encoder.fragments(attributes)) == expected, "the remembered fragments differ"


def test_equal_values_of_different_types_are_told_apart():
    encoder = AttributeEncoder(SPAN_ATTRIBUTES)
    values = (1, True, 1.0, "1", 0, False, 0.0, -0.0)
    for value in values + values:
        assert decoded([encoder.fragment("k", value)]) == _encode_attributes({"k": value})


def test_strings_are_cut_at_the_limit_in_characters():
    encoder = AttributeEncoder(SPAN_ATTRIBUTES, value_length=3)
    [text, array, number] = decoded(encoder.fragments({"t": "äöüß", "a": ("12345", "1"), "n": 12345}))
    assert text.value.string_value == "äöü"
    assert [item.string_value for item in array.value.array_value.values] == ["123", "1"]
    assert number.value.int_value == 12345


def test_integer_wider_than_otlp_allows_becomes_text():
    [attribute] = decoded([AttributeEncoder(SPAN_ATTRIBUTES).fragment("k", 1 << 63)])
    assert attribute.value.string_value == str(1 << 63)


def test_lone_surrogates_do_not_raise():
    [attribute] = decoded([AttributeEncoder(SPAN_ATTRIBUTES).fragment("k", "/tmp/\udcff")])
    assert attribute.value.string_value == "/tmp/?"


def test_right_after_more_values_than_are_remembered():
    encoder = AttributeEncoder(SPAN_ATTRIBUTES)
    for number in range(20_000):
        encoder.fragment("k", number)
    assert decoded([encoder.fragment("k", 7)])[0].value.int_value == 7


@given(TEXT, st.integers(0, (1 << 63) - 1))
def test_varying_attributes_equal_fragments(text, number):
    encoder, varying = AttributeEncoder(SPAN_ATTRIBUTES), VaryingAttribute("k")
    for _ in range(2):  # the second time with what was remembered
        assert SPAN_ATTRIBUTES + varying.text(text) == encoder.fragment("k", text)
        assert SPAN_ATTRIBUTES + varying.number(number) == encoder.fragment("k", number)
    assert decoded([SPAN_ATTRIBUTES + varying.text(text)]) == [
        KeyValue(key="k", value=AnyValue(string_value=text))
    ]


def test_varying_text_is_cut_at_the_limit_in_characters():
    [attribute] = decoded([SPAN_ATTRIBUTES + VaryingAttribute("k", value_length=3).text("äöüß")])
    assert attribute.value.string_value == "äöü"


def test_booleans_and_numbers_of_different_keys_are_told_apart():
    encoder = AttributeEncoder(SPAN_ATTRIBUTES)
    told = {"number": 1, "flag": True, "ratio": 1.0, "text": "1", "list": ("1",)}
    for _ in range(2):
        assert decoded(encoder.fragments(told)) == _encode_attributes(told)
