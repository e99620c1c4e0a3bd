# SPDX-License-Identifier: Apache-2.0
"""A real S3 server on the loopback: versitygw over a directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from tests.support.cache import cached_build, run_build_step
from tests.support.pki import Pki
from tests.support.ports import free_port, wait_listening
from tests.support.subprocesses import running

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VERSION = "1.8.0"
REGION = "us-east-1"
ACCESS_KEY = "qtap-test-access"
SECRET_KEY = "qtap-test-secret"


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server; ``directory`` holds a directory a bucket and a file an object."""

    endpoint: str
    directory: Path
    ca: Path | None

    def environment(self) -> dict[str, str]:
        """What an AWS SDK needs in its environment to find this server and be let in."""
        variables = {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if self.ca:
            variables["AWS_CA_BUNDLE"] = str(self.ca)
        return variables

    def client(self) -> "S3Client":
        """A client of this server, with path-style addresses."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            verify=str(self.ca) if self.ca else None,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )

    def objects(self, bucket: str) -> dict[str, bytes]:
        """All objects of a bucket by key, fetched through the API."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@contextmanager
def running_s3_server(
    directory: Path, *, tls: Pki | None = None, port: int | None = None
) -> Iterator[S3Server]:
    """Run a server over ``directory``; a given ``port`` lets a test start it again where it was."""
    data = directory / "buckets"
    data.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    security = ["--cert", str(tls.server.certificate), "--key", str(tls.server.key)] if tls else []
    command = [
        str(versitygw_binary()),
        "--port",
        f"127.0.0.1:{port}",
        "--region",
        REGION,
        *security,
        "posix",
        str(data),
    ]
    env = {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with running(command, directory / "s3server.log", env) as process:
        wait_listening(port, process)
        scheme = "https" if tls else "http"
        yield S3Server(f"{scheme}://127.0.0.1:{port}", data, tls.ca if tls else None)


def versitygw_binary() -> Path:
    """Path of the server, built on first use: about a minute cold, nothing afterwards."""
    return cached_build("versitygw", VERSION, _build) / "versitygw"


def _build(directory: Path) -> None:
    run_build_step(
        "go",
        "install",
        f"github.com/versity/versitygw/cmd/versitygw@v{VERSION}",
        cwd=directory,
        env={"GOBIN": str(directory)},
    )
