# SPDX-License-Identifier: Apache-2.0
"""The agent's image: what is in it, how it behaves under an engine, and the README's way to a first span."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import STOP_SECONDS
from tests.support.collector import running_collector
from tests.support.containers import (
    CHECKOUT,
    ENGINE,
    IMAGE_EPOCH,
    PRIVILEGES,
    EngineError,
    agent_image,
    build_agent,
    build_image,
    engine,
    engine_environment,
    run_container,
    running_container,
)
from tests.support.network import own_network
from tests.support.nginx import running_nginx
from tests.support.pki import Pki
from tests.support.readme import commands
from tests.support.s3server import REGION, running_s3_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.containers

BUDGET_BYTES = 440_000_000
"""All layers unpacked, the base of some 80 MB among them; 190 MB are LLVM, Clang and the solver they link,
and 13 MB the reader of certificates."""

CURL = """\
FROM debian:bookworm-slim
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends curl ca-certificates >/dev/null
COPY ca.pem /usr/local/share/ca-certificates/tests.crt
RUN update-ca-certificates >/dev/null
ENTRYPOINT ["curl"]
"""
"""What the README's curlimages/curl does, trusting the authority of the tests."""


def test_image_keeps_its_budget() -> None:
    size = json.loads(engine("inspect", "--type=image", agent_image()))[0]["Size"]
    assert size < BUDGET_BYTES


def test_image_holds_nothing_that_the_agent_does_not_need() -> None:
    tools = ("cc", "gcc", "clang", "ld", "as", "make", "pip", "pip3", "git", "curl")
    look = f"""\
command -v {" ".join(tools)}
find / -xdev ( -name 'pip' -o -name 'pip-*' -o -name ensurepip -o -name '*.whl' -o -name '*.deb' ) -print
find /usr/include /usr/src /lib/modules /var/lib/apt/lists /var/log /var/cache/apt /root/.cache /tmp /src \
    -mindepth 1 -type f -print 2>/dev/null
find /usr/share/doc /usr/share/man /usr/share/locale -type f ! -name copyright
true"""
    found = run_container(
        agent_image(), "-c", look.replace("( ", r"\( ").replace(" )", r" \)"), options=["--entrypoint=sh"]
    )
    assert found == ""


def test_packages_of_the_image_are_whole() -> None:
    whole = "dpkg --audit && apt-get -qq check && /usr/bin/python3 -c 'import bcc' && echo whole"
    assert run_container(agent_image(), "-c", whole, options=["--entrypoint=sh"]) == "whole\n"
    imported = "import boto3, brotli, capstone, grpc, isal, zstandard; from cryptography import x509"
    assert run_container(agent_image(), "-c", imported, options=["--entrypoint=python"]) == ""


def test_labels_tell_what_the_image_is() -> None:
    labels = json.loads(engine("inspect", "--type=image", agent_image()))[0]["Labels"]
    told = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert told["title"] == "otel-qtap"
    assert told["version"] == run_container(agent_image(), "--version").split()[-1]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert told["revision"] == commit.stdout.strip()
    assert told["created"] == "2026-01-01T00:00:00Z"


def test_agent_turns_healthy_and_stops_within_its_time(tmp_path: Path) -> None:
    settings = {"OTEL_QTAP_HEALTH_ADDRESS": "127.0.0.1:13133"}
    with own_network(), running_collector(tmp_path, http_port=4318):
        variables = [f"--env={name}={value}" for name, value in settings.items()]
        with running_container(agent_image(), options=[*PRIVILEGES, *variables]) as agent:

            def is_healthy() -> bool:
                try:
                    engine("healthcheck", "run", agent.id)
                except EngineError:
                    assert agent.is_running, agent.logs()
                    return False
                return True

            eventually(is_healthy, "the health check succeeds", seconds=60)
            began = time.monotonic()
            agent.stop(seconds=30)
            assert time.monotonic() - began < STOP_SECONDS
            assert agent.exit_code == 0, agent.logs()


def test_readme_leads_to_the_span_of_another_container(tmp_path: Path, pki: Pki) -> None:
    agent_image()  # with a network still: `make image` has all of it in its cache then
    context = tmp_path / "curl"
    context.mkdir()
    shutil.copy(pki.ca, context / "ca.pem")
    curl_image = build_image("localhost/curlimages/curl:latest", CURL, context=context)
    with (
        own_network(),
        running_collector(tmp_path / "collector", http_port=4318) as collector,
        running_nginx(tmp_path / "nginx", pki, port=443),
        running_s3_server(tmp_path / "s3") as store,
    ):
        store.client().create_bucket(Bucket="payloads")
        settings = {"AWS_REGION": REGION, "ENGINE": ENGINE, "SOURCE_DATE_EPOCH": IMAGE_EPOCH}
        script = f'docker() {{ {ENGINE} "$@"; }}\n{commands("In a container")}'
        try:
            done = subprocess.run(
                ["bash", "-euxo", "pipefail", "-c", script],
                cwd=CHECKOUT,
                env={**engine_environment(), **store.environment(), **settings},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            assert engine("inspect", "--format={{.State.ExitCode}}", "otel-qtap") == "0\n", done.stdout
        finally:
            engine("rm", "--force", "--volumes", "--ignore", "otel-qtap")
            engine("volume", "rm", "--force", "otel-qtap")
        assert "welcome\n" in done.stdout
        assert "spans, log events and metrics go to http://localhost:4318 (http/protobuf)" in done.stdout
        assert f"payloads go to s3://payloads at {store.endpoint}" in done.stdout
        assert re.search(r"capturing: [1-9]\d* files with TLS libraries probed", done.stdout)
        curl = created_from(curl_image)
        # By its container: the agent sees whatever else this machine does with TLS meanwhile.
        (span,) = collector.wait_for_spans(1, lambda span: span.resource.get("container.id") == curl)
        assert (span.kind, span.attributes["server.address"], span.port) == ("client", "example.com", 443)
        assert span.body_reference("response").startswith("s3://payloads/")
        assert store.objects("payloads")


def created_from(image: str) -> str:
    """The id of the container that was made last from an image."""
    events = engine("events", "--stream=false", "--since=10m", "--format={{.Status}} {{.Image}} {{.ID}}")
    return [line.split()[2] for line in events.splitlines() if line.startswith(f"create {image} ")][-1]


def test_same_commit_makes_the_same_image() -> None:
    again = build_agent("localhost/otel-qtap-tests/again", "--no-cache")
    first = agent_image()
    if packages(first) != packages(again):
        # The first is from a cache, and the distribution has published updates since.
        first = build_agent("localhost/otel-qtap-tests/agent", "--no-cache")
    assert layers(first) == layers(again)
    assert configuration(first) == configuration(again)
    engine("rmi", "--force", again)


def packages(image: str) -> str:
    return run_container(image, "-W", options=["--entrypoint=dpkg-query"])


def layers(image: str) -> list[str]:
    """Digests of the uncompressed layers, the base first."""
    found: list[str] = json.loads(engine("inspect", "--type=image", image))[0]["RootFS"]["Layers"]
    return found


def configuration(image: str) -> dict[str, Any]:
    """What a container of the image starts with, less the name of the machine that the image was built on."""
    found: dict[str, Any] = json.loads(engine("inspect", "--type=image", image))[0]["Config"]
    return {name: value for name, value in found.items() if name != "Hostname"}
