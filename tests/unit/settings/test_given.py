# SPDX-License-Identifier: Apache-2.0
from otel_qtap.settings.given import COMMAND_LINE, USUAL_PLACE, Given, from_environment


def test_what_the_environment_gives() -> None:
    environ = {"OTEL_SERVICE_NAME": "x", "OTEL_LOG_LEVEL": "  ", "PATH": "/bin"}

    assert from_environment(environ) == {"OTEL_SERVICE_NAME": Given("x", "environment")}


def test_what_stands_in_a_file() -> None:
    assert Given("x", "/etc/otel-qtap/config.yaml:3").in_file
    assert not any(Given("x", source).in_file for source in ("environment", COMMAND_LINE, USUAL_PLACE))
