# SPDX-License-Identifier: Apache-2.0
"""A process that lives for milliseconds is captured from its first byte to its last."""

import time

import pytest

from tests.support.agent import AgentProcess
from tests.support.clients import request
from tests.support.collector import Collector
from tests.support.exchanges import assert_one_span_for_each, path_of
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.stored import wait_for_reference

pytestmark = pytest.mark.e2e

RUNS = 50


def test_no_exchange_of_short_lived_curls_is_missing(
    agent: AgentProcess, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    body = nginx.add_sized(700)
    lives = []
    for number in range(RUNS):
        began = time.monotonic()
        assert request("curl", "GET", f"{nginx.url}/sized/700/short{number}", pki.ca).body == body
        lives.append(time.monotonic() - began)
    assert sorted(lives)[RUNS // 2] < 0.05, "curl lives too long here for this test to mean anything"

    def chosen(kind: str) -> list[str]:
        spans = collector.wait_for_spans(
            RUNS, lambda s: s.port == nginx.port and s.kind == kind and "/short" in path_of(s)
        )
        assert_one_span_for_each(spans, [f"short{number}" for number in range(RUNS)])
        return [span.body_reference("response") for span in spans]

    for uri in (*chosen("client"), *chosen("server")):
        assert wait_for_reference(uri).body == body
