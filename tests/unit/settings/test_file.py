# SPDX-License-Identifier: Apache-2.0
"""The configuration file against the environment: the same settings, the same refusals, with a line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.errors import SettingsError
from otel_qtap.settings import Settings, load_settings
from otel_qtap.settings.catalog import qtap_variables, standard_variables

VARIABLES = [*qtap_variables(), *standard_variables()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


@pytest.fixture
def load(path: Path) -> Callable[..., Settings]:
    def write_and_load(text: str, **environ: str) -> Settings:
        path.write_text(text)
        path.chmod(0o600)
        return load_settings({"OTEL_QTAP_CONFIG_FILE": str(path), **environ})

    return write_and_load


@pytest.fixture
def refusal(load: Callable[..., Settings], path: Path) -> Callable[..., list[str]]:
    def refused(text: str, **environ: str) -> list[str]:
        with pytest.raises(SettingsError) as error:
            load(text, **environ)
        return str(error.value).replace(str(path), "FILE").splitlines()

    return refused


FILE = """\
objects:
  url: s3://bucket/x
  segment_bytes: 1MiB
  segment_seconds: 2.5
  tags: {team: web, purpose: "traces, payloads = all"}
capture:
  include:
    - curl
    - user=www-data
  libraries: [/opt/a.so, /opt/b.so]
http:
  query_allow: page
trace:
  ignore_parent_sampling: True
pipeline:
  user: 64123
health:
  address: 127.0.0.1:9999
otel:
  service_name: agent
  propagators: [tracecontext, b3]
  resource_attributes: {deployment.environment.name: "a,b=c%20d"}
  exporter_otlp_endpoint: https://collector
  exporter_otlp_headers: {Authorization: "Bearer a,b=c"}
  exporter_otlp_traces_protocol: http/json
  bsp_max_queue_size: 4096
  span_attribute_count_limit: ~
"""


def test_the_file_says_the_same_as_the_environment(load: Callable[..., Settings]) -> None:
    settings = load(FILE)
    same = load_settings(
        {
            "OTEL_QTAP_OBJECTS_URL": "s3://bucket/x",
            "OTEL_QTAP_OBJECTS_SEGMENT_BYTES": "1048576",
            "OTEL_QTAP_OBJECTS_SEGMENT_SECONDS": "2.5",
            "OTEL_QTAP_OBJECTS_TAGS": "team=web,purpose=traces%2C payloads %3D all",
            "OTEL_QTAP_CAPTURE_INCLUDE": "curl,user=www-data",
            "OTEL_QTAP_CAPTURE_LIBRARIES": "/opt/a.so,/opt/b.so",
            "OTEL_QTAP_HTTP_QUERY_ALLOW": "page",
            "OTEL_QTAP_TRACE_IGNORE_PARENT_SAMPLING": "true",
            "OTEL_QTAP_PIPELINE_USER": "64123",
            "OTEL_QTAP_HEALTH_ADDRESS": "127.0.0.1:9999",
            "OTEL_SERVICE_NAME": "agent",
            "OTEL_PROPAGATORS": "tracecontext,b3",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=a%2Cb%3Dc%2520d",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer a%2Cb=c",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
            "OTEL_BSP_MAX_QUEUE_SIZE": "4096",
        }
    )

    for part in ("objects", "capture", "http", "trace", "pipeline", "health", "standard", "traces", "logs"):
        assert getattr(settings, part) == getattr(same, part), part


def test_each_setting_knows_its_line(load: Callable[..., Settings], path: Path) -> None:
    settings = load(FILE, OTEL_SERVICE_NAME="other")

    assert settings.sources["OTEL_QTAP_OBJECTS_URL"] == f"{path}:2"
    assert settings.sources["OTEL_EXPORTER_OTLP_HEADERS"] == f"{path}:24"
    assert settings.sources["OTEL_SERVICE_NAME"] == "environment"
    assert settings.config.file == path


def test_the_environment_wins_and_an_empty_variable_does_not(load: Callable[..., Settings]) -> None:
    settings = load(
        FILE, OTEL_QTAP_OBJECTS_URL="memory:", OTEL_QTAP_CAPTURE_INCLUDE="", OTEL_BSP_MAX_QUEUE_SIZE="9999"
    )

    assert settings.objects.url == "memory:"
    assert len(settings.capture.include) == 2
    assert settings.standard.bsp_max_queue_size == 9999


@pytest.mark.parametrize("variable", [v for v in VARIABLES if v.in_file], ids=lambda variable: variable.key)
def test_every_setting_can_stand_in_the_file(
    variable: object, load: Callable[..., Settings], refusal: Callable[..., list[str]]
) -> None:
    section, _, key = variable.key.partition(".")  # type: ignore[attr-defined]
    assert load(f"{section}:\n  {key}:\n") is not None
    lines = refusal(f"{section}:\n  {key}: [[nested]]\n")
    assert lines == [f"FILE:2: {section}.{key} holds an item that is no plain value"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "objects:\n  segment_bytes: 12\n",
            "FILE:2: objects.segment_bytes wants a number of bytes, such as 16777216 or 16MiB, from 65536 to "
            "1073741824; it holds a smaller one. Correct it, or remove it for the default.",
        ),
        (
            "log:\n  level: no\n",
            "FILE:2: log.level wants one of debug, info, warn, error; it holds 2 characters, none of these "
            "words. Correct it, or remove it.",
        ),
        (
            "log:\n  level: [debug]\n",
            "FILE:2: log.level wants one of debug, info, warn, error; it holds a list",
        ),
        ("objects:\n  url: {a: b}\n", "FILE:2: objects.url wants file:///DIRECTORY, s3://BUCKET/PREFIX, "
         "memory: or none:; it holds a map"),
        (
            "http:\n  query_allow: [a, 'b,c']\n",
            "FILE:2: http.query_allow wants a list, or a comma-separated list; it holds a list whose item 2 "
            "of 2 has a comma in it",
        ),
        ("objects: s3://bucket\n", "FILE:1: objects wants 'key: value' below it"),
        ("config:\n  file: /x\n", "FILE:2: config.file names this file, so it cannot stand in it"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_line(
    text: str, line: str, refusal: Callable[..., list[str]]
) -> None:
    assert refusal(text) == [line]


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("object:\n  url: x\n", "FILE:1: object is not a setting of otel-qtap. Did you mean objects?"),
        (
            "objects:\n  ulr: x\n",
            "FILE:2: objects.ulr is not a setting of otel-qtap. Did you mean objects.url?",
        ),
        ("capture:\n  segment_bytes: 1\n", "Did you mean objects.segment_bytes?"),
        ("OTEL_SERVICE_NAME: x\n", "Did you mean otel.service_name?"),
        ("otel:\n  OTEL_SERVICE_NAME: x\n", "Did you mean otel.service_name?"),
        ("otel:\n  service_nam: x\n", "Did you mean otel.service_name?"),
        ("objects.url: x\n", "Did you mean objects.url?"),
        ("otel:\n  zzzzzzzzzzzz: x\n", "list all keys."),
        ("file_format: '1.0'\n", "declarative configuration of the OpenTelemetry SDKs"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused_with_the_nearest_right_one(
    text: str, fix: str, refusal: Callable[..., list[str]]
) -> None:
    (line,) = refusal(text)
    assert fix in line


def test_all_problems_are_told_at_once_those_of_the_environment_too(
    refusal: Callable[..., list[str]],
) -> None:
    lines = refusal("log:\n  level: loud\n  levl: x\ntrace: 1\n", OTEL_QTAP_LOG_FORMAT="xml")

    assert [line.split(":")[1] for line in lines if line.startswith("FILE")] == ["3", "4", "2"]
    assert lines[-1].startswith("OTEL_QTAP_LOG_FORMAT wants")


def test_values_that_do_not_fit_together_are_told_with_their_place(refusal: Callable[..., list[str]]) -> None:
    (line,) = refusal("otel:\n  bsp_max_queue_size: 1\n")
    assert line.endswith("(OTEL_BSP_MAX_QUEUE_SIZE is otel.bsp_max_queue_size at FILE:2)")


SECRET = "otel:\n  exporter_otlp_headers: {authorization: hunter2}\n"


def test_secrets_are_not_for_everybody(path: Path) -> None:
    path.write_text(SECRET)
    path.chmod(0o640)
    environ = {"OTEL_QTAP_CONFIG_FILE": str(path)}
    assert load_settings(environ).logs.headers == {"authorization": "hunter2"}

    path.chmod(0o644)
    with pytest.raises(
        SettingsError, match=r"holds secrets \(otel.exporter_otlp_headers\).*chmod 0600"
    ) as told:
        load_settings(environ)
    assert "hunter2" not in str(told.value)
    path.write_text("otel:\n  service_name: x\n")
    assert load_settings(environ).standard.service_name == "x"


def test_a_file_that_others_may_change_is_refused(path: Path) -> None:
    path.write_text("")
    for mode in (0o620, 0o602):
        path.chmod(mode)
        with pytest.raises(SettingsError, match="can be written by others: chmod go-w"):
            load_settings({"OTEL_QTAP_CONFIG_FILE": str(path)})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(path: Path) -> None:
    path.write_text("")
    path.chmod(0o600)
    os.chown(path, 64123, 64123)

    with pytest.raises(SettingsError, match="belongs to uid 64123"):
        load_settings({"OTEL_QTAP_CONFIG_FILE": str(path)})


def test_what_is_no_file_to_read(path: Path) -> None:
    environ = {"OTEL_QTAP_CONFIG_FILE": str(path)}
    with pytest.raises(SettingsError, match=r"cannot be read: No such file or directory.*--config"):
        load_settings(environ)
    os.mkfifo(path, 0o600)
    with pytest.raises(SettingsError, match="is no regular file"):
        load_settings(environ)
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError, match=r"cannot be read|is no regular file"):
        load_settings(environ)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"a:\n  b: \xff\n", "FILE:2: not UTF-8"),
        (b"#" * (1 << 20) + b"##", "larger than"),
        (b"a: [", "FILE:1: no valid YAML"),
    ],
)
def test_what_is_no_text_to_read(data: bytes, what: str, path: Path) -> None:
    path.write_bytes(data)
    path.chmod(0o600)

    with pytest.raises(SettingsError) as refused:
        load_settings({"OTEL_QTAP_CONFIG_FILE": str(path)})
    assert what in str(refused.value).replace(str(path), "FILE")


def test_a_byte_order_mark_is_no_key(load: Callable[..., Settings]) -> None:
    assert load("\ufeffotel:\n  service_name: x\n").standard.service_name == "x"
