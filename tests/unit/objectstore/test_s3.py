# SPDX-License-Identifier: Apache-2.0
"""Against a real server; what every store promises is tested in tests/contract."""

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.stub import ANY, Stubber

from otel_qtap.errors import SettingsError, StoreError
from otel_qtap.objectstore import s3
from otel_qtap.objectstore.s3 import S3Store
from tests.support.cleared import exchange, request, response, submit
from tests.support.pki import Pki
from tests.support.ports import free_port
from tests.support.s3server import S3Server, running_s3_server
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as running:
        running.client().create_bucket(Bucket="payloads")
        yield running


@pytest.fixture(autouse=True)
def environment(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local"
    path.write_bytes(b"content")
    return path


def test_an_object_is_where_its_url_says_with_its_type_and_tags(server, local):
    stored = S3Store("payloads", "/team/a/", tags={"owner": "team a", "stage": "test"}).put(
        "k.warc.gz", local, 7
    )
    assert (stored.bucket, stored.key, stored.region) == ("payloads", "team/a/k.warc.gz", "us-east-1")
    assert stored.request_id
    client = server.client()
    answer = client.get_object(Bucket="payloads", Key="team/a/k.warc.gz")
    assert (answer["Body"].read(), answer["ContentType"]) == (b"content", "application/warc")
    tags = client.get_object_tagging(Bucket="payloads", Key="team/a/k.warc.gz")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"owner": "team a", "stage": "test"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sse": "none"}, {}),
        ({"sse": "aes256"}, {"ServerSideEncryption": "AES256"}),
        ({"sse": "aws:kms"}, {"ServerSideEncryption": "aws:kms"}),
        (
            {"sse": "aws:kms", "sse_kms_key_id": "key"},
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key"},
        ),
    ],
)
def test_encryption_is_asked_for(local, options, expected):
    """By the SDK's own stubber: the server of these tests has no key management."""
    store = S3Store("payloads", **options)
    common = {
        "Bucket": "payloads",
        "Key": "k",
        "Body": ANY,
        "ContentLength": 7,
        "ContentType": "application/warc",
        "ChecksumSHA256": ANY,
    }
    with Stubber(store._client) as stubber:
        stubber.add_response("put_object", {"ResponseMetadata": {}}, {**common, **expected})
        store.put("k", local, 7)
        stubber.assert_no_pending_responses()


def test_over_tls(pki: Pki, tmp_path, monkeypatch, local):
    with running_s3_server(tmp_path / "tls", tls=pki) as server:
        server.client().create_bucket(Bucket="payloads")
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        store = S3Store("payloads")
        store.put("k", local, 7)
        assert store.get_range("k", 0, 6) == b"content"


def test_a_missing_bucket_is_named_with_the_fix(local):
    with pytest.raises(
        StoreError, match=r"s3://absent/k: NoSuchBucket \(HTTP 404\); create the bucket"
    ) as caught:
        S3Store("absent").put("k", local, 7)
    assert not caught.value.retryable
    with pytest.raises(StoreError, match="NoSuchBucket"):
        S3Store("absent").check()


@pytest.mark.parametrize(
    ("variable", "code"),
    [("AWS_ACCESS_KEY_ID", "XAdminUserNotFound"), ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch")],
)
def test_wrong_credentials_are_named_by_their_variable_and_not_by_their_value(
    local, monkeypatch, variable, code
):
    monkeypatch.setenv(variable, "wrong-and-secret")
    with pytest.raises(StoreError, match=f"{code} .*check {variable}") as caught:
        S3Store("payloads").put("k", local, 7)
    assert not caught.value.retryable
    assert "wrong-and-secret" not in str(caught.value)
    with pytest.raises(StoreError, match=code):
        S3Store("payloads").check()


def test_no_credentials(local, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="no AWS credentials; set AWS_ACCESS_KEY_ID") as caught:
        S3Store("payloads").put("k", local, 7)
    assert not caught.value.retryable


def test_credentials_are_taken_when_the_store_is_made(local, monkeypatch):
    store = S3Store("payloads")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    store.put("later", local, 7)


def test_an_unreachable_endpoint_may_come_back(local, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    store = S3Store("payloads")
    for call in (lambda: store.put("k", local, 7), lambda: store.get_range("k", 0, 1), store.check):
        with pytest.raises(StoreError, match="is the endpoint right and reachable") as caught:
            call()
        assert caught.value.retryable


def test_a_server_that_does_not_answer_may_come_back(local, monkeypatch):
    monkeypatch.setattr(s3, "READ_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreError, match="ReadTimeoutError; is the endpoint right") as caught:
            S3Store("payloads").put("k", local, 7)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("code", "status", "retryable"),
    [
        ("SlowDown", 503, True),
        ("InternalError", 500, True),
        ("Unheard", 502, True),
        ("TooManyRequests", 429, True),
        ("AccessDenied", 403, False),
        ("EntityTooLarge", 400, False),
    ],
)
def test_what_the_server_says_decides_whether_time_helps(local, code, status, retryable):
    store = S3Store("payloads")
    with Stubber(store._client) as stubber:
        stubber.add_client_error("put_object", code, "text of the server", status)
        with pytest.raises(StoreError, match=rf"{code} \(HTTP {status}\)") as caught:
            store.put("k", local, 7)
    assert caught.value.retryable is retryable
    assert "text of the server" not in str(caught.value)


def test_credentials_that_may_only_write_pass_the_check():
    store = S3Store("payloads")
    with Stubber(store._client) as stubber:
        stubber.add_client_error("list_objects_v2", "AccessDenied", "", 403)
        store.check()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (None, "https://payloads.s3.eu-central-1.amazonaws.com/k"),
        ("http://minio.example:9000", "http://minio.example:9000/payloads/k"),
    ],
)
def test_buckets_are_in_the_path_of_a_custom_endpoint_and_in_the_host_at_amazon(monkeypatch, endpoint, url):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    store = S3Store("payloads")
    sent = []

    def intercept(request, **_):
        sent.append(request.url)
        raise OSError("not sent")

    store._client.meta.events.register("before-send.s3.GetObject", intercept)
    with pytest.raises(StoreError):
        store.get_range("k", 0, 1)
    assert set(sent) == {url}


def test_settings_that_the_sdk_refuses_are_ours_to_tell(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "no url")
    with pytest.raises(SettingsError, match="the AWS SDK refuses its settings"):
        S3Store("payloads")


def test_without_boto3_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsError, match=r"pip install 'otel-qtap\[s3\]'"):
        S3Store("payloads")


def test_boto3_is_imported_only_when_it_is_used():
    program = (
        "import sys, otel_qtap.objectstore; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_segments_wait_for_a_server_that_is_down_and_reach_it_when_it_is_back(
    new_archive, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO, "otel_qtap")
    port = free_port()
    with running_s3_server(tmp_path / "s3", port=port) as server:
        server.client().create_bucket(Bucket="payloads")
        environment = server.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    archive = new_archive(S3Store("payloads"))
    ref = submit(archive, exchange(request(), response(b"kept"))).response_ref
    archive.tick(10**12)
    eventually(lambda: not archive.healthy, "a failed upload", seconds=20)
    with running_s3_server(tmp_path / "s3", port=port) as server:
        assert archive.shutdown(30)
        (content,) = server.objects("payloads").values()
    assert ref.offset + ref.length == len(content)
    assert archive.healthy
    assert [message.split(";")[0].split(":")[0] for message in caplog.messages] == [
        "cannot write s3",
        "object store s3",
    ]
