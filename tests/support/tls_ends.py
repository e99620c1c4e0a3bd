# SPDX-License-Identifier: Apache-2.0
"""Both ends of TLS connections on libraries with a C interface: ``programs/tls_end`` and ``s2n_end.py``."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_qtap.discovery.elf import ElfFile
from tests.support.cache import cached_build, fingerprint, run_build_step
from tests.support.clients import python_program
from tests.support.pingpong import PingPong
from tests.support.pki import KeyPair, Pki
from tests.support.tls_servers import TlsServer, running_announced

_PROGRAM = Path(__file__).parent / "programs" / "tls_end"
_DIRECTORY = Path("/usr/lib/x86_64-linux-gnu")
_LINKED = {
    "gnutls": ["-lgnutls"],
    "mbedtls": ["-lmbedtls", "-lmbedx509", "-lmbedcrypto"],
    "nss": ["-I/usr/include/nss", "-I/usr/include/nspr", "-lssl3", "-lnss3", "-lnspr4"],
    "wolfssl": ["-lwolfssl"],
}
_PATTERNS = {
    "gnutls": "libgnutls.so.30",
    "mbedtls": "libmbedtls.so.??",
    "nss": "libssl3.so",
    "wolfssl": "libwolfssl.so.??",
}
LINKED = tuple(_LINKED)
"""Libraries of the distribution, which C programs are linked with."""
LIBRARIES = (*LINKED, "s2n")
VERSIONS = {"gnutls": (12, 13), "mbedtls": (12,), "nss": (12, 13), "s2n": (12, 13), "wolfssl": (12, 13)}
"""Versions of TLS that each speaks: Debian 12's build, or awscrt's of s2n."""
_AWSCRT = "0.38.1"


def library_file(library: str) -> str:
    """Path of the library: the distribution's, or what it is part of."""
    if library == "s2n":
        return str(s2n_without_padding() / "_awscrt.abi3.so")
    (path,) = _DIRECTORY.glob(_PATTERNS[library])
    return str(path)


def end_binary(library: str, program: Path = _PROGRAM / "main.c") -> str:
    """Path of a program over ``tls_end/end.h`` on this library, compiled when its source changed."""
    sources = [program, _PROGRAM / f"{library}.c"]

    def build(directory: Path) -> None:
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "tls_end"]
        command += [f"-I{_PROGRAM}", *map(str, sources)]
        run_build_step(*command, *_LINKED[library], "-lpthread", cwd=directory)

    texts = [source.read_text() for source in (*sources, _PROGRAM / "end.h")]
    return str(cached_build(f"tls-end-{library}", fingerprint(*texts), build) / "tls_end")


def awscrt() -> Path:
    """Where the package ``awscrt`` is, which holds s2n."""

    def build(directory: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target=."]
        run_build_step(*command, f"awscrt=={_AWSCRT}", cwd=directory)

    return cached_build("awscrt", _AWSCRT, build)


def s2n_without_padding() -> Path:
    """The same with a nop behind the first ``push`` of ``s2n_sendv_with_offset``, no prefixes before it.

    It has a build-id of its own, as another build would.
    """

    def build(directory: Path) -> None:
        image = bytearray((awscrt() / "_awscrt.abi3.so").read_bytes())
        with ElfFile(str(awscrt() / "_awscrt.abi3.so")) as elf:
            start = elf.file_offset(elf.functions(["s2n_sendv_with_offset"])["s2n_sendv_with_offset"].start)
            build_id = bytes.fromhex(elf.build_id)
        assert image[start : start + 6] == bytes.fromhex("2e2e2e2e4154")
        image[start : start + 6] = bytes.fromhex("41540f1f4000")
        assert image.count(build_id) == 1
        (directory / "_awscrt.abi3.so").write_bytes(image.replace(build_id, build_id[::-1]))

    return cached_build("awscrt-without-padding", f"{_AWSCRT}-2", build)


def _command(library: str) -> list[str]:
    if library == "s2n":
        return ["env", f"PYTHONPATH={s2n_without_padding()}", *python_program("s2n_end.py")]
    return [end_binary(library)]


def stream(size: int) -> bytes:
    """What a client sends in all: lines that say where they are."""
    return b"".join(b"%015d\n" % offset for offset in range(0, size, 16))[:size]


def start_end_client(
    library: str, port: int, pki: Pki, *, version: int, size: int, rounds: int = 1
) -> "subprocess.Popen[str]":
    """A client that sends ``rounds`` messages and expects each back."""
    arguments = ("client", port, pki.ca, version, size, rounds)
    return subprocess.Popen([*_command(library), *map(str, arguments)], stdin=subprocess.DEVNULL, text=True)


@contextmanager
def running_end_server(library: str, pki: Pki, directory: Path) -> Iterator[TlsServer]:
    """A server that sends back whatever it gets, with a thread a connection."""
    identity = server_identity(library, pki, directory)
    with running_announced([*_command(library), "server", *identity]) as server:
        yield server


@contextmanager
def running_end_pingpong(library: str, pki: Pki, directory: Path, *, size: int = 1024) -> Iterator[PingPong]:
    """A process with one TLS connection to itself."""
    command = [
        "taskset",
        "-c",
        "0",
        *_command(library),
        "pingpong",
        *server_identity(library, pki, directory),
    ]
    process = subprocess.Popen(
        [*command, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield PingPong(process)
    finally:
        process.terminate()
        process.communicate()


def server_identity(library: str, pki: Pki, directory: Path) -> tuple[str, str]:
    """What a server's program takes for its certificate and key."""
    if library == "nss":
        return nss_database(pki.server, directory / "nss"), "server"
    return str(pki.server.certificate), str(pki.server.key)


def nss_database(pair: KeyPair, directory: Path) -> str:
    """A database of NSS that holds the pair under the nickname ``server``."""
    archive = directory / "server.p12"
    directory.mkdir(parents=True)
    database = f"sql:{directory}"
    pem = f"-in {pair.certificate} -inkey {pair.key}"
    for command in (
        f"openssl pkcs12 -export {pem} -name server -out {archive} -passout pass:",
        f"certutil -N -d {database} --empty-password",
        f"pk12util -i {archive} -d {database} -W ",
    ):
        subprocess.run(command.split(" "), check=True, stdout=subprocess.DEVNULL)
    return database
