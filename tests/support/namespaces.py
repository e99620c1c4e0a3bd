# SPDX-License-Identifier: Apache-2.0
"""Containers as the kernel knows them, by the hundred: mount namespaces and overlays, without an engine.

The images hold one TLS client and the libraries that it needs, copied from this machine.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.cache import cached_build, fingerprint, run_build_step
from tests.support.keepalive import KeepaliveClient
from tests.support.overlays import scratch_file_system
from tests.support.pki import Pki

_PROGRAMS = Path(__file__).parent / "programs"


@dataclass(slots=True)
class Container(KeepaliveClient):
    """A TLS client in a mount namespace of its own, with a connection once it ``is_connected``."""

    @property
    def pid(self) -> int:
        """Its one process."""
        return self.process.pid

    def stop(self) -> None:
        """Let it close its connection and end."""
        self.process.communicate()

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        self.process.kill()
        self.process.communicate()


@dataclass(slots=True)
class ContainerHost:
    """Images and running containers; all are gone when its block ends.

    ``layers`` is where they are stored, as an engine has it under /var/lib.
    """

    layers: Path
    port: int
    _contain: Path
    _client: Path
    _ca: Path
    _started: int = 0
    _containers: list[Container] = field(default_factory=list)

    def image(self, name: str) -> Path:
        """Make an image, with its libraries in the directory ``/opt/NAME``, by which they are known."""
        root = self.layers / "images" / name
        libraries = root / "opt" / name
        libraries.mkdir(parents=True)
        (root / "lib64").mkdir()
        for file in (self._client, self._ca, *_libraries(self._client)):
            shutil.copy(file, root / "lib64" if file.name.startswith("ld-") else libraries)
        return root

    def start(self, image: Path, layer: Path | None = None) -> Container:
        """Start a container; with the ``layer`` of an ended one, that one again."""
        self._started += 1
        if layer is None:
            layer = self.layers / "containers" / str(self._started)
            layer.mkdir(parents=True)
        return self._run(image, str(self._contain), str(image), str(layer))

    def start_inside(self, container: Container, image: Path) -> Container:
        """Start one more client in a running container, as ``exec`` of an engine does."""
        return self._run(image, "nsenter", f"--target={container.pid}", "--mount", "--root", "--wd=/")

    def _run(self, image: Path, *wrapper: str) -> Container:
        home = f"/opt/{image.name}"
        process = subprocess.Popen(
            [*wrapper, f"{home}/tls_client", str(self.port), f"{home}/{self._ca.name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"LD_LIBRARY_PATH": home, "PATH": os.environ["PATH"]},
        )
        self._containers.append(Container(process))
        return self._containers[-1]

    def start_many(self, image: Path, count: int) -> list[Container]:
        """Start so many, and wait until all of them are connected."""
        containers = [self.start(image) for _ in range(count)]
        for container in containers:
            container.wait_connected()
        return containers

    @property
    def pids(self) -> list[int]:
        """Processes of all containers so far, ended ones included."""
        return [container.pid for container in self._containers]

    def end_all(self) -> None:
        """End what still runs."""
        for container in self._containers:
            if container.process.poll() is None:
                container.kill()


def library_of(image: Path) -> Path:
    """An image's libssl."""
    return image / "opt" / image.name / "libssl.so.3"


@contextmanager
def container_host(directory: Path, pki: Pki, port: int) -> Iterator[ContainerHost]:
    """A place for containers whose clients connect to this port."""
    with ExitStack() as stack:
        layers = stack.enter_context(scratch_file_system(directory))
        programs = _programs()
        host = ContainerHost(layers, port, programs / "contain", programs / "tls_client", pki.ca)
        stack.callback(host.end_all)
        yield host


def _programs() -> Path:
    sources = [_PROGRAMS / "contain.c", _PROGRAMS / "tls_client.c"]

    def build(directory: Path) -> None:
        for source in sources:
            command = ["gcc", "-O2", "-Wall", "-Werror", "-o", source.stem, str(source), "-lssl", "-lcrypto"]
            run_build_step(*command, cwd=directory)

    return cached_build("containers", fingerprint(*(source.read_text() for source in sources)), build)


def _libraries(program: Path) -> list[Path]:
    """What the dynamic linker loads for a program, itself included."""
    told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    words = (word for line in told.splitlines() for word in line.split())
    return [Path(word) for word in words if word.startswith("/")]
