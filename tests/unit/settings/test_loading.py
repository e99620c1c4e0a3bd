# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.errors import SettingsError
from otel_qtap.settings import load_settings, loading
from otel_qtap.settings.catalog import qtap_variables, standard_variables
from otel_qtap.settings.given import Given


def refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(environ)
    assert refused.value.exit_code == 2
    return str(refused.value)


def test_every_variable_reaches_the_field_that_declares_it() -> None:
    """Fields have underscores in their names, and so has the delimiter after the room."""
    settings = load_settings(
        {
            "OTEL_QTAP_CAPTURE_MAX_BODY_BYTES": "20MiB",
            "OTEL_QTAP_OBJECTS_SSE": "aes256",
            "OTEL_QTAP_OBJECTS_MAX_DISK_BYTES": "2GiB",
            "OTEL_QTAP_TRACE_IGNORE_PARENT_SAMPLING": "true",
            "OTEL_QTAP_TRACE_ADOPTION_SECONDS": "1.5",
            "OTEL_QTAP_HTTP_QUERY_ALLOW": "page,sort",
        }
    )

    assert settings.capture.max_body_bytes == 20 << 20
    assert (settings.objects.sse, settings.objects.max_disk_bytes) == ("aes256", 2 << 30)
    assert (settings.trace.ignore_parent_sampling, settings.trace.adoption_seconds) == (True, 1.5)
    assert settings.http.query_allow == ("page", "sort")


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_value_is_no_value(value: str) -> None:
    settings = load_settings(
        {"OTEL_QTAP_OBJECTS_URL": value, "OTEL_BSP_SCHEDULE_DELAY": value, "OTEL_QTAP_NONSENSE": value}
    )

    assert settings == load_settings({})


def test_a_wrong_name_is_refused_with_the_nearest_right_one() -> None:
    assert refusal(OTEL_QTAP_CAPTURE_MAX_BODY_BYTE="1") == (
        "OTEL_QTAP_CAPTURE_MAX_BODY_BYTE is not a setting of otel-qtap. "
        "Did you mean OTEL_QTAP_CAPTURE_MAX_BODY_BYTES?"
    )
    assert "otel-qtap config" in refusal(OTEL_QTAP_ZZZZZZZZZZZZZZZZZZZZ="1")


def test_names_are_upper_case() -> None:
    assert load_settings({"otel_qtap_objects_url": "ftp://x", "Otel_Log_Level": "loud"}) == load_settings({})


def test_a_whole_room_cannot_be_given_as_json() -> None:
    assert "OTEL_QTAP_OBJECTS is not a setting" in refusal(OTEL_QTAP_OBJECTS='{"url": "memory:"}')


def test_all_problems_are_told_at_once() -> None:
    lines = refusal(
        OTEL_QTAP_OBJECTS_URL="ftp://x",
        OTEL_QTAP_LOG_LEVEL="loud",
        OTEL_QTAP_FOO="1",
        OTEL_EXPORTER_OTLP_TIMEOUT="soon",
        OTEL_EXPORTER_OTLP_LOGS_COMPRESSION="zstd",
        OTEL_BSP_MAX_QUEUE_SIZE="0",
    ).splitlines()

    assert sorted(line.split()[0] for line in lines) == [
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_QTAP_FOO",
        "OTEL_QTAP_LOG_LEVEL",
        "OTEL_QTAP_OBJECTS_URL",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "OTEL_QTAP_OBJECTS_SEGMENT_SECONDS",
            "5s",
            "OTEL_QTAP_OBJECTS_SEGMENT_SECONDS wants a number, from 0.1 to 3600; it holds 2 characters, "
            "not a number. Correct it, or unset it for the default.",
        ),
        (
            "OTEL_QTAP_OBJECTS_SEGMENT_BYTES",
            "12",
            "OTEL_QTAP_OBJECTS_SEGMENT_BYTES wants a number of bytes, such as 16777216 or 16MiB, "
            "from 65536 to 1073741824; it holds a smaller one. Correct it, or unset it for the default.",
        ),
        (
            "OTEL_QTAP_CAPTURE_ATTACH",
            "kprobe",
            "OTEL_QTAP_CAPTURE_ATTACH wants one of auto, multi, perf; it holds 6 characters, none of these "
            "words. Correct it, or unset it for the default.",
        ),
    ],
)
def test_a_refusal_names_the_variable_what_it_wants_and_the_fix(
    variable: str, value: str, message: str
) -> None:
    assert refusal(**{variable: value}) == message


@pytest.mark.parametrize("name", [variable.name for variable in (*qtap_variables(), *standard_variables())])
def test_no_refusal_repeats_a_value(name: str) -> None:
    message = name
    try:
        load_settings({name: "hunter2\0hunter2"})
    except SettingsError as refused:
        message = str(refused)
    assert name in message
    assert "hunter2" not in message


def test_origins_say_which_variable_decided() -> None:
    settings = load_settings({"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "2"})

    assert settings.origin("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT") == "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"
    assert settings.origin("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") == "OTEL_EXPORTER_OTLP_TIMEOUT"
    assert settings.origin("OTEL_QTAP_OBJECTS_URL") == "default"


def test_standard_variables_that_are_not_read_are_listed() -> None:
    assert load_settings({"OTEL_CONFIG_FILE": "x", "OTHER": "y"}).ignored == ("OTEL_CONFIG_FILE",)


def test_the_file_is_the_one_of_the_command_line_else_of_the_environment_else_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tmp_path / "usual.yaml"
    monkeypatch.setattr(loading, "DEFAULT_FILE", usual)
    named = {"OTEL_QTAP_CONFIG_FILE": "/named.yaml"}

    assert loading.find_file({}) is None
    usual.touch(mode=0o600)
    assert loading.find_file({}) == Given(str(usual), "usual place")
    assert loading.find_file(named) == Given("/named.yaml", "environment")
    assert loading.find_file(named, Path("/chosen.yaml")) == Given("/chosen.yaml", "command line")
    assert load_settings({}, loading.find_file({})).sources == {"OTEL_QTAP_CONFIG_FILE": "usual place"}


def test_the_log_level_of_the_agent_wins_over_the_standard_one() -> None:
    assert load_settings({}).log_level == "info"
    assert load_settings({"OTEL_LOG_LEVEL": "warn"}).log_level == "warn"
    assert load_settings({"OTEL_LOG_LEVEL": "warn", "OTEL_QTAP_LOG_LEVEL": "debug"}).log_level == "debug"


def test_only_the_given_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9999")
    monkeypatch.setenv("OTEL_QTAP_CAPTURE_MAX_BODY_BYTES", "77")

    nothing = load_settings({})
    general = load_settings(dict(os.environ))

    assert nothing.traces.endpoint == "http://localhost:4318/v1/traces"
    assert nothing.capture.max_body_bytes != 77
    assert general.traces.endpoint == "http://127.0.0.1:9999/v1/traces"
    assert general.capture.max_body_bytes == 77


def test_reading_settings_loads_nothing_heavy() -> None:
    """Both processes of the agent carry what is imported here, and start no sooner than it is."""
    heavy = [
        "asyncio",
        "difflib",
        "email",
        "http",
        "logging",
        "pydantic",
        "socket",
        "ssl",
        "urllib.request",
        "yaml",
    ]
    code = (
        "import sys; from otel_qtap.settings import load_settings; load_settings({});"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )

    assert done.stdout.strip() == "[]"
