# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host, Status, store
from tests.support.ports import free_port
from tests.support.s3server import running_s3_server


def test_a_directory_is_looked_at_and_not_made(make_host: Callable[..., Host], tmp_path: Path) -> None:
    place = tmp_path / "deep/objects"
    outcome = store.payloads(make_host(OTEL_QTAP_OBJECTS_URL=f"file://{place}"))
    assert outcome.status is Status.OK
    assert not place.exists()


@pytest.mark.parametrize("url", ["memory:", "none:"])
def test_stores_that_need_nothing(make_host: Callable[..., Host], url: str) -> None:
    assert store.payloads(make_host(OTEL_QTAP_OBJECTS_URL=url)).status is Status.OK


def test_a_bucket_is_written_and_read(
    make_host: Callable[..., Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_s3_server(tmp_path / "s3") as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        server.client().create_bucket(Bucket="captured")
        outcome = store.payloads(make_host(OTEL_QTAP_OBJECTS_URL="s3://captured/here"))
        assert outcome.status is Status.OK, outcome
        assert list(server.objects("captured")) == ["here/.otel-qtap-doctor"]
        absent = store.payloads(make_host(OTEL_QTAP_OBJECTS_URL="s3://elsewhere"))
        assert absent.status is Status.FAIL
        assert "NoSuchBucket" in absent.summary
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        refused = store.payloads(make_host(OTEL_QTAP_OBJECTS_URL="s3://captured"))
        assert refused.status is Status.FAIL
        assert "wrong" not in str(refused)


def test_an_endpoint_that_nobody_serves(
    make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    outcome = store.payloads(make_host(OTEL_QTAP_OBJECTS_URL="s3://bucket"))
    assert outcome.status is Status.FAIL
    assert "OTEL_QTAP_OBJECTS_URL" in outcome.remedy
