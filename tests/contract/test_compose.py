# SPDX-License-Identifier: Apache-2.0
"""docker/compose.yaml, read as `docker compose` reads it, says what is true of agent, collector and store."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import run_cli
from tests.support.collector_configs import CONFIGS, validate
from tests.support.compose import ComposeError, compose_model, example_environment
from tests.support.s3server import running_s3_server

DOCKER = Path(__file__).parents[2] / "docker"
FILE = DOCKER / "compose.yaml"


@pytest.fixture(scope="module")
def services() -> Mapping[str, Any]:
    model = compose_model(FILE, example_environment())
    found: Mapping[str, Any] = model["services"]
    return found


def mounted_files(service: Mapping[str, Any]) -> Iterator[Path]:
    for volume in service.get("volumes", ()):
        if volume["type"] == "bind":
            yield Path(volume["source"])


def test_without_secrets_it_says_what_to_do() -> None:
    with pytest.raises(ComposeError, match=r"copy docker/example\.env to docker/\.env"):
        compose_model(FILE, {})


def test_images_are_pinned_and_named_without_a_registry(services: Mapping[str, Any]) -> None:
    for name, service in services.items():
        if name in {"agent", "viewer"}:
            assert service["image"] == "otel-qtap"
        else:
            assert re.fullmatch(r"([a-z0-9-]+/)?[a-z0-9-]+:v?\d+\.\d+\.\d+", service["image"]), name


def test_ports_are_on_loopback_and_the_store_has_none(services: Mapping[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert {port["host_ip"] for ports in published.values() for port in ports} == {"127.0.0.1"}
    assert "s3" not in published
    assert "agent" not in published


def test_mounted_files_exist(services: Mapping[str, Any]) -> None:
    files = [file for service in services.values() for file in mounted_files(service)]

    assert files
    assert [file for file in files if not file.exists()] == []


def test_nothing_is_privileged(services: Mapping[str, Any]) -> None:
    assert not [name for name, service in services.items() if service.get("privileged")]
    for name in ("agent", "viewer"):
        assert services[name]["cap_drop"] == ["ALL"]
    assert "cap_add" not in services["viewer"]


@pytest.mark.parametrize("name", ["agent", "viewer"])
def test_agent_accepts_its_environment(services: Mapping[str, Any], name: str) -> None:
    done = run_cli("config", environment=services[name]["environment"])

    assert done.returncode == 0, done.stderr.decode()
    assert b"s3://payloads" in done.stdout


def test_collector_accepts_its_configuration(services: Mapping[str, Any]) -> None:
    collector = services["collector"]
    inside = {Path(volume["target"]): Path(volume["source"]) for volume in collector["volumes"]}
    files = [inside[Path(argument.removeprefix("--config="))] for argument in collector["command"]]

    assert files[0] == CONFIGS / "gateway.yaml"
    verdict = validate(*files)
    assert verdict.returncode == 0, verdict.stderr


def test_bucket_that_is_made_as_a_directory_is_one_to_the_server(
    services: Mapping[str, Any], tmp_path: Path
) -> None:
    bucket = services["agent"]["environment"]["OTEL_QTAP_OBJECTS_URL"].removeprefix("s3://")
    assert f"mkdir -p /payloads/{bucket}" in services["volumes"]["command"][-1]
    (tmp_path / "buckets" / bucket).mkdir(parents=True)

    with running_s3_server(tmp_path) as server:
        server.client().put_object(Bucket=bucket, Key="a/b", Body=b"bytes")
        assert server.objects(bucket) == {"a/b": b"bytes"}
