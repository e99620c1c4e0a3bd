# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

from otel_qtap.agent.doctor import Host, Status, configuration


def test_good(make_host: Callable[..., Host]) -> None:
    outcome = configuration.settings(make_host(OTEL_QTAP_OBJECTS_URL="none:"))
    assert outcome.status is Status.OK
    assert outcome.summary.startswith("1 setting")


def test_variables_that_nobody_reads(make_host: Callable[..., Host]) -> None:
    outcome = configuration.settings(make_host(OTEL_PYTHON_ID_GENERATOR="random"))
    assert outcome.status is Status.WARN
    assert "OTEL_PYTHON_ID_GENERATOR" in outcome.summary


def test_refused() -> None:
    one = configuration.settings(Host(configuration="OTEL_X wants a number"))
    assert (one.status, one.summary, one.detail) == (Status.FAIL, "OTEL_X wants a number", "")
    two = configuration.settings(Host(configuration="OTEL_X wants a number\nOTEL_Y wants one too"))
    assert two.summary == "2 settings refused"
    assert two.detail == "OTEL_X wants a number\nOTEL_Y wants one too"
