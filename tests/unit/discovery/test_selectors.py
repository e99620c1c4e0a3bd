# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.selectors import KEYS, Selectors
from otel_qtap.errors import SettingsError
from otel_qtap.model.identity import ProcessFacts, ProcessId

FACTS = ProcessFacts(
    process=ProcessId(4711, 1),
    command="nginx",
    executable="/usr/sbin/nginx",
    user_id=33,
    user_name="www-data",
    container_id="ab" * 32,
    service_name="shop",
)
UNKNOWN = ProcessFacts(process=ProcessId(1, 1))


@pytest.mark.parametrize(
    "selector",
    [
        "nginx",
        "ngin?",
        "/usr/sbin/*",
        "exe=nginx",
        "exe=/usr/*/nginx",
        "comm=ng*",
        "pid=4711",
        "user=www-data",
        "user=33",
        "container=abab*",
        "container=*",
        "service=sh[ou]p",
        "other, nginx ,",
        " service = shop ",
    ],
)
def test_what_selects_a_process(selector):
    assert Selectors.parse(selector, "").allows(FACTS)
    assert not Selectors.parse("", selector).allows(FACTS)
    assert not Selectors.parse(selector, "").allows(UNKNOWN)
    assert Selectors.parse("", selector).allows(UNKNOWN)


@pytest.mark.parametrize(
    "selector",
    ["sbin", "/sbin/nginx", "NGINX", "comm=shop", "pid=47", "user=3", "container=ab", "exe=*/nginxx"],
)
def test_what_does_not(selector):
    assert not Selectors.parse(selector, "").allows(FACTS)


def test_without_selectors_all_is_captured():
    for text in ("", " , "):
        assert Selectors.parse(text, text).allows(UNKNOWN)


def test_exclusion_wins():
    assert not Selectors.parse("nginx", "user=www-data").allows(FACTS)
    assert Selectors.parse("nginx", "user=root").allows(FACTS)


def test_what_is_named_and_what_is_not():
    assert Selectors.parse("nginx", "").named(FACTS) is True
    assert Selectors.parse("nginx", "user=www-data").named(FACTS) is False
    assert Selectors.parse("", "").named(FACTS) is None
    assert Selectors.parse("curl", "").named(FACTS) is None


def test_other_settings_have_selectors_too():
    with pytest.raises(SettingsError, match="THEIR_SECOND"):
        Selectors.parse("", "name=x", variables=("THEIR_FIRST", "THEIR_SECOND"))


@pytest.mark.parametrize(
    ("include", "exclude", "variable", "fix"),
    [
        ("name=x", "", "OTEL_QTAP_CAPTURE_INCLUDE", "exe=GLOB"),
        ("", "nginx,=x", "OTEL_QTAP_CAPTURE_EXCLUDE", "exe=GLOB"),
        ("comm=", "", "OTEL_QTAP_CAPTURE_INCLUDE", "comm=GLOB"),
        ("", "pid=nginx", "OTEL_QTAP_CAPTURE_EXCLUDE", "pid=NUMBER"),
    ],
)
def test_a_bad_selector_is_refused_with_variable_and_fix(include, exclude, variable, fix):
    with pytest.raises(SettingsError) as refusal:
        Selectors.parse(include, exclude)
    assert variable in str(refusal.value)
    assert fix in str(refusal.value)


def test_every_documented_key_is_accepted():
    for key in KEYS:
        assert len(Selectors.parse(f"{key}=1", "").include) == 1
