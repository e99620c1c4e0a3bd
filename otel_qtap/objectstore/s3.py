# SPDX-License-Identifier: Apache-2.0
"""Objects in a bucket of S3, or of anything that speaks its protocol. The only module that imports boto3.

Endpoint, region and credentials come from the AWS SDK's own variables and files:
https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode, urlsplit

from otel_qtap.errors import NotStoredError, SettingsError, StoreError
from otel_qtap.objectstore.base import StoredObject
from otel_qtap.objectstore.own_requests import AMAZON, MARK, OwnRequests

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS = 5
READ_SECONDS = 60
_TRANSIENT_CODES = frozenset(
    {
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
    }
)
_FIXES = {
    "AccessDenied": "grant s3:PutObject (and s3:GetObject for reading) on the bucket to these credentials",
    "ExpiredToken": "renew the credentials",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "NoSuchBucket": "create the bucket, or name another one in OTEL_QTAP_OBJECTS_URL",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "XAdminUserNotFound": "check AWS_ACCESS_KEY_ID",  # versitygw's word for it
}


class S3Store:
    """One bucket, below an optional prefix.

    Credentials are resolved here, once, so that the constructor may run with more privileges than
    the uploads. ``sse`` is ``none``, ``aes256`` or ``aws:kms``; ``tags`` go on every object.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        sse: str = "none",
        sse_kms_key_id: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.url = f"s3://{bucket}/{self._prefix}".rstrip("/")
        self._options: dict[str, Any] = {"ContentType": "application/warc"}
        if sse == "aes256":
            self._options["ServerSideEncryption"] = "AES256"
        elif sse == "aws:kms":
            self._options["ServerSideEncryption"] = "aws:kms"
            if sse_kms_key_id:
                self._options["SSEKMSKeyId"] = sse_kms_key_id
        if tags:
            self._options["Tagging"] = urlencode(tags)
        self._client = _new_client()
        self.own_requests = OwnRequests(bucket, self._prefix, self._client.meta.endpoint_url)
        """How requests to this store are known where they are observed."""

    def object_url(self, key: str) -> str:
        """See ObjectStore. S3 URLs hold keys as they are."""
        return f"{self.url}/{key}"

    def put(self, key: str, path: Path, size: int) -> StoredObject:
        """See ObjectStore. The server verifies the content by its SHA-256."""
        full_key = self._prefix + key
        try:
            file = path.open("rb")
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}", retryable=False) from error
        with file:
            try:
                checksum = hashlib.file_digest(file, "sha256").digest()
                file.seek(0)
                answer = self._client.put_object(
                    Bucket=self._bucket,
                    Key=full_key,
                    Body=file,
                    ContentLength=size,
                    ChecksumSHA256=base64.b64encode(checksum).decode(),
                    **self._options,
                )
            except Exception as error:  # the SDK's time-outs are OSErrors too
                raise _store_error(error, f"cannot write {self.url}/{key}") from error
        return StoredObject(
            bucket=self._bucket,
            key=full_key,
            request_id=answer["ResponseMetadata"].get("RequestId", ""),
            region=self._client.meta.region_name,
        )

    def get_range(self, key: str, first: int, last: int) -> bytes:
        """See ObjectStore."""
        try:
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._prefix + key, Range=f"bytes={first}-{last}"
            )
            return answer["Body"].read()
        except Exception as error:
            if _code(error) == "InvalidRange":
                return b""
            if _code(error) == "NoSuchKey":
                raise NotStoredError(f"no object {self.url}/{key}") from error
            raise _store_error(error, f"cannot read {self.url}/{key}") from error

    def check(self) -> None:
        """See ObjectStore. Nothing is written.

        Credentials that may write but not list are well: the answer shows that they are known.
        """
        try:
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        except Exception as error:
            if _code(error) == "AccessDenied":
                return
            raise _store_error(error, f"cannot reach {self.url}") from error


def _new_client() -> "S3Client":
    try:
        import boto3  # noqa: PLC0415 - heavy, and an extra
        import botocore.session  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "OTEL_QTAP_OBJECTS_URL: s3:// needs boto3, which is not installed; pip install 'otel-qtap[s3]'"
        ) from error

    def connect(addressing_style: Literal["auto", "path"]) -> "S3Client":
        return session.client(
            "s3",
            verify=authorities,
            config=Config(
                user_agent_extra=MARK,
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": 2},
                # Objects carry their own SHA-256; other checksums are beyond many S3-compatible servers.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": addressing_style},
            ),
        )

    try:
        settings = botocore.session.get_session()
        authorities = _held_open(settings.get_config_variable("ca_bundle"))
        session = boto3.Session(botocore_session=settings)
        session.get_credentials()
        client = connect("auto")
        # A custom endpoint (MinIO, Ceph, ...) rarely has a DNS name per bucket.
        if not (urlsplit(client.meta.endpoint_url).hostname or "").endswith(AMAZON):
            client = connect("path")
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(f"the AWS SDK refuses its settings: {error}") from error
    return client


def _held_open(bundle: str | None) -> str:
    """A path to the trusted authorities that works after privileges were dropped.

    ``bundle`` is AWS_CA_BUNDLE or its equals; None takes the SDK's own. The SDK reads the file for
    each connection, and the unprivileged process may not be able to walk to it.
    """
    from botocore.httpsession import where  # noqa: PLC0415

    path = Path(bundle or where())
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"AWS_CA_BUNDLE: {path} cannot be read: {error.strerror}") from error
    descriptor = os.memfd_create("aws-ca-bundle", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    return f"/proc/self/fd/{descriptor}"


def _code(error: Exception) -> str:
    answer = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def _store_error(error: Exception, what: str) -> StoreError:
    """The vendor's exception as ours: what failed, why, the fix, and whether time may help."""
    from botocore import exceptions as aws  # noqa: PLC0415

    match error:
        case aws.NoCredentialsError() | aws.PartialCredentialsError():
            return StoreError(
                f"{what}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or AWS_PROFILE, or give the machine a role",
                retryable=False,
            )
        case aws.ClientError():
            code = _code(error)
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            fix = _FIXES.get(code)
            return StoreError(
                f"{what}: {code} (HTTP {status})" + (f"; {fix}" if fix else ""),
                retryable=code in _TRANSIENT_CODES or status >= 500 or status == 429,
            )
        case aws.HTTPClientError() | aws.ConnectionError():
            return StoreError(f"{what}: {type(error).__name__}; is the endpoint right and reachable?")
        case _:
            return StoreError(f"{what}: {type(error).__name__}", retryable=False)
