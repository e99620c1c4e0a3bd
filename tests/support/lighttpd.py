# SPDX-License-Identifier: Apache-2.0
"""A real lighttpd with TLS on a loopback port, by one of the libraries that it has a module for."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.pki import Pki
from tests.support.ports import free_port, wait_listening
from tests.support.subprocesses import running

MODULES = ("gnutls", "mbedtls", "nss", "wolfssl")

_CONFIG = """\
server.modules = ("mod_{module}")
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{directory}/files"
server.errorlog = "{directory}/error.log"
server.upload-dirs = ("{directory}")
server.feature-flags = ("server.h2proto" => "disable", "server.graceful-shutdown-timeout" => 1)
ssl.engine = "enable"
ssl.pemfile = "{certificate}"
ssl.privkey = "{key}"
"""


@dataclass(frozen=True, slots=True)
class Lighttpd:
    """A running lighttpd, which hands out the files of ``files``."""

    port: int
    pid: int
    files: Path

    def url(self, name: str) -> str:
        """Of one file."""
        return f"https://localhost:{self.port}/{name}"


@contextmanager
def running_lighttpd(module: str, directory: Path, pki: Pki) -> Iterator[Lighttpd]:
    """``module`` is one of ``MODULES``."""
    binary = shutil.which("lighttpd", path="/usr/sbin:/usr/bin")
    if binary is None:
        pytest.fail("lighttpd is not installed: `make testtools` brings it")
    files = directory / "files"
    files.mkdir(parents=True)
    port = free_port()
    config = directory / "lighttpd.conf"
    config.write_text(
        _CONFIG.format(
            module=module,
            port=port,
            directory=directory,
            certificate=pki.server.certificate,
            key=_pkcs8(pki.server.key, directory / "key.pem"),
        )
    )
    with running([binary, "-D", "-f", str(config)], directory / "lighttpd.log") as process:
        wait_listening(port, process)
        yield Lighttpd(port, process.pid, files)


def _pkcs8(key: Path, path: Path) -> Path:
    """The key in the only form that NSS takes."""
    command = ["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", str(key), "-out", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path
