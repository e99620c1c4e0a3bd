# SPDX-License-Identifier: Apache-2.0
"""Checks over many exchanges at once: one span for each and end, each with its own bodies."""

from collections import Counter
from collections.abc import Iterable

from tests.support.otlp_records import Span
from tests.support.payloads import self_describing
from tests.support.stored import wait_for_reference


def path_of(span: Span) -> str:
    """Path of the request, from either end's attributes, without its query."""
    if "url.path" in span.attributes:
        return str(span.attributes["url.path"])
    url = str(span.attributes.get("url.full", ""))
    return "/" + url.partition("://")[2].partition("/")[2].partition("?")[0]


def key_of(span: Span) -> str:
    """Last segment of the path: in the tests' loads the name of the exchange."""
    return path_of(span).rpartition("/")[2]


def assert_one_span_for_each(spans: Iterable[Span], keys: Iterable[str]) -> None:
    """Fails with what is missing, what is there twice and what nobody asked for."""
    seen = Counter(map(key_of, spans))
    wanted = set(keys)
    missing = sorted(wanted - seen.keys())
    twice = sorted(key for key, times in seen.items() if times > 1)
    strange = sorted(seen.keys() - wanted)
    wrong = [*missing, *twice, *strange]
    assert not wrong, (
        f"of {len(wanted)} exchanges {len(missing)} are missing ({missing[:5]}), "
        f"{len(twice)} told twice ({twice[:5]}), {len(strange)} invented ({strange[:5]})"
    )


def assert_bodies_are_their_own(spans: Iterable[Span]) -> None:
    """Each echoed exchange's stored request and response are the body of its own key, and nothing else."""
    for span in spans:
        key = key_of(span)
        assert span.attributes["qtap.capture.complete"] is True, f"{key}: {span.attributes}"
        size = span.attributes["http.request.body.size"]
        body = self_describing(key, size)
        for part in ("request", "response"):
            uri = span.body_reference(part)
            assert wait_for_reference(uri).body == body, f"the {part} of {key} ({span.kind}) is not its own"
