# SPDX-License-Identifier: Apache-2.0
from otel_qtap.settings.catalog import Variable, qtap_variables, standard_variables


def everything() -> dict[str, Variable]:
    return {variable.name: variable for variable in (*qtap_variables(), *standard_variables())}


def test_every_variable_says_what_it_is_for_and_what_it_wants() -> None:
    for variable in everything().values():
        assert variable.description.endswith("."), variable.name
        assert variable.wants, variable.name


def test_names_of_the_contract_are_there() -> None:
    assert {
        "OTEL_QTAP_OBJECTS_URL",
        "OTEL_QTAP_OBJECTS_SEGMENT_BYTES",
        "OTEL_QTAP_OBJECTS_SEGMENT_SECONDS",
        "OTEL_QTAP_STATE_DIRECTORY",
        "OTEL_QTAP_CAPTURE_MAX_BODY_BYTES",
        "OTEL_QTAP_CAPTURE_INCLUDE",
        "OTEL_QTAP_CAPTURE_EXCLUDE",
        "OTEL_QTAP_HEALTH_ADDRESS",
        "OTEL_SERVICE_NAME",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
    } <= everything().keys()


def test_kinds_are_told_from_the_declaration() -> None:
    wants = {name: variable.wants for name, variable in everything().items()}

    assert wants["OTEL_QTAP_TRACE_ADOPTION_SECONDS"] == "a number, above 0 and at most 86400"
    assert wants["OTEL_SPAN_LINK_COUNT_LIMIT"] == "a whole number, at least 0"
    assert wants["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"] == "a whole number, at least 0"
    assert wants["OTEL_EXPORTER_OTLP_CERTIFICATE"] == "the path of a readable file"
    assert wants["OTEL_QTAP_LOG_LEVEL"] == "one of debug, info, warn, error"


def test_secrets_are_marked() -> None:
    secrets = {name for name, variable in everything().items() if variable.secret}

    assert secrets == {
        "OTEL_QTAP_OBJECTS_SSE_KMS_KEY_ID",
        "OTEL_QTAP_SERVE_TOKEN",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    }
