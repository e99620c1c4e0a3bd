# SPDX-License-Identifier: Apache-2.0
"""Command lines of programs that download a file by HTTP/1.1 over TLS, each on a TLS library of its own."""

from collections.abc import Callable
from pathlib import Path

from tests.support.clients import python_program
from tests.support.pki import Pki
from tests.support.tls_ends import awscrt

Downloader = Callable[[str, Pki, Path], list[str]]
"""Of the URL, the certificates and the file that takes what comes."""


def libcurl(flavour: str) -> Downloader:
    return lambda url, pki, answer: python_program(
        "libcurl_client.py", f"libcurl-{flavour}.so.4", url, str(pki.ca), str(answer)
    )


DOWNLOADERS: dict[str, Downloader] = {
    "curl": lambda url, pki, answer: [
        *("curl", "--silent", "--http1.1", "--cacert", str(pki.ca), "--output", str(answer), url)
    ],
    "wget": lambda url, pki, answer: [
        *("wget", "--quiet", f"--ca-certificate={pki.ca}", f"--output-document={answer}", url)
    ],
    "aria2c": lambda url, pki, answer: [
        *("aria2c", "--quiet", "--async-dns=false", f"--ca-certificate={pki.ca}", "--file-allocation=none"),
        *(f"--dir={answer.parent}", f"--out={answer.name}", url),
    ],
    "apt": lambda url, pki, answer: [
        *(
            "/usr/lib/apt/apt-helper",
            "-o",
            f"Acquire::https::CAInfo={pki.ca}",
            "-o",
            "APT::Sandbox::User=root",
        ),
        *("download-file", url, str(answer)),
    ],
    "awscrt": lambda url, pki, answer: [
        *("env", f"PYTHONPATH={awscrt()}"),
        *python_program("awscrt_client.py", url, str(pki.ca), str(answer)),
    ],
    "libcurl-gnutls": libcurl("gnutls"),
    "libcurl-nss": libcurl("nss"),
}
