# SPDX-License-Identifier: Apache-2.0
"""Real containers: Debian's podman, buildah and runc, on a storage of the tests' own.

No registry is needed: the base image is made by debootstrap from the machine's own package source,
once. The storage lies beside the cached builds, so that neither images nor containers of the machine
are touched. Containers share the network of the host, as they must where no bridge can be made.
"""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.cache import BuildError, cache_root, cached_build, run_build_step

ENGINE = "podman"
SUITE = "bookworm"
BASE_IMAGE = f"localhost/debian:{SUITE}-slim"
"""Known to the engine by its short name ``debian:bookworm-slim`` too."""

CHECKOUT = Path(__file__).resolve().parents[2]
IMAGE_EPOCH = "1767225600"
"""The time of all files in images of the agent: not the commit's, so that unchanged layers are built once."""

_CONTAINERS_CONF = """\
[containers]
netns = "host"
base_hosts_file = "{hosts}"
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{run}/engine"
"""

_STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{storage}"
runroot = "{run}/storage"
"""

_HOSTS = """\
127.0.0.1 localhost example.com
::1 localhost
"""
"""What the README fetches is served by the tests."""

_SLIM = """\
force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
"""


CAPABILITIES = (
    "SYS_ADMIN",
    "SYS_PTRACE",
    "DAC_READ_SEARCH",
    "SETUID",
    "SETGID",
    "SETPCAP",
    "KILL",
    "CHECKPOINT_RESTORE",
)
PRIVILEGES = ("--pid=host", "--cap-drop=ALL", *(f"--cap-add={name}" for name in CAPABILITIES))
"""Options for the engine with which the agent captures, and no other privilege."""


class EngineError(Exception):
    """A command of the container engine failed; the message ends with what it printed."""


@cache
def engine_environment() -> Mapping[str, str]:
    """The environment in which plain ``podman`` and ``buildah`` work here and use the tests' storage."""
    root = cache_root() / "containers"
    run = Path("/run/otel-qtap-tests")
    for directory in (root, run):
        directory.mkdir(parents=True, exist_ok=True)
    places = {"storage": root / "storage", "run": run, "hosts": root / "hosts"}
    files = {"containers.conf": _CONTAINERS_CONF, "storage.conf": _STORAGE_CONF, "hosts": _HOSTS}
    for name, text in files.items():
        scratch = root / f".{name}.{os.getpid()}"
        scratch.write_text(text.format(**places))
        scratch.rename(root / name)
    return {
        **os.environ,
        "CONTAINERS_CONF": str(root / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(root / "storage.conf"),
        "BUILDAH_ISOLATION": "chroot",
        "BUILDAH_FORMAT": "docker",  # the OCI format has no place for a health check
        "DISABLE_HC_SYSTEMD": "true",  # nothing here runs timers: tests ask for the check themselves
    }


def engine(*arguments: str, stdin: str | None = None, seconds: float = 120) -> str:
    """Run one command of the engine; what it printed. Raises EngineError."""
    done = subprocess.run(
        [ENGINE, *arguments],
        env=dict(engine_environment()),
        input=stdin or "",
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        raise EngineError(f"{ENGINE} {' '.join(arguments)} exited {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


@cache
def base_image() -> str:
    """The tag of a minimal Debian, ``BASE_IMAGE``, made on first use: half a minute cold."""
    if not _exists(BASE_IMAGE):
        archive = cached_build("debian-base", SUITE, _debootstrap) / "root.tar"
        engine("import", str(archive), BASE_IMAGE)
    return BASE_IMAGE


def build_image(
    tag: str,
    containerfile: str,
    *,
    context: Path | None = None,
    build_args: Mapping[str, str] | None = None,
    seconds: float = 600,
) -> str:
    """Build ``tag`` from the text of a Dockerfile, which may start ``FROM debian:bookworm-slim``.

    Unchanged steps come from the layer cache: a second build takes a second. Returns the tag.
    """
    base_image()
    arguments = [f"--build-arg={name}={value}" for name, value in (build_args or {}).items()]
    place = [str(context)] if context else []
    engine(
        "build", "--quiet", "--layers", f"--tag={tag}", *arguments, "--file=-", *place,
        stdin=containerfile, seconds=seconds,
    )  # fmt: skip
    return tag


@cache
def agent_image() -> str:
    """The id of the agent's own image, built by ``docker/build`` from this checkout: a minute cold."""
    base_image()
    return build_agent("localhost/otel-qtap-tests/agent")


def build_agent(tag: str, *options: str) -> str:
    """Build the agent's image as ``make image`` does, with ``options`` for the engine; the image's id."""
    done = subprocess.run(
        [str(CHECKOUT / "docker" / "build"), tag, "--quiet", *options],
        env={"SOURCE_DATE_EPOCH": IMAGE_EPOCH, **engine_environment(), "ENGINE": ENGINE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        raise EngineError(f"docker/build exited {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout.split()[-1]


@dataclass(frozen=True, slots=True)
class Container:
    """One container, running or not any more."""

    id: str
    """64 hex digits."""
    name: str

    def inspect(self) -> dict[str, Any]:
        """All that the engine knows about it."""
        found: list[dict[str, Any]] = json.loads(engine("inspect", "--type=container", self.id))
        return found[0]

    @property
    def pid(self) -> int:
        """PID of its first process on the host; 0 when it does not run."""
        return int(self.inspect()["State"]["Pid"])

    @property
    def is_running(self) -> bool:
        """Whether its first process lives."""
        return bool(self.inspect()["State"]["Running"])

    @property
    def exit_code(self) -> int:
        """How its first process ended."""
        return int(self.inspect()["State"]["ExitCode"])

    def logs(self) -> str:
        """What it wrote so far, standard output and standard error."""
        done = subprocess.run(
            [ENGINE, "logs", self.id],
            env=dict(engine_environment()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=60,
            check=True,
        )
        return done.stdout

    def run(self, *command: str, seconds: float = 60) -> str:
        """Run a command inside; what it printed. Raises EngineError where it fails."""
        return engine("exec", self.id, *command, seconds=seconds)

    def start(self) -> None:
        """Start it again after a stop."""
        engine("start", self.id)

    def stop(self, *, seconds: int = 10) -> None:
        """Its stop signal, and SIGKILL after ``seconds``."""
        engine("stop", f"--time={seconds}", self.id)

    def restart(self, *, seconds: int = 10) -> None:
        """Stop and start."""
        engine("restart", f"--time={seconds}", self.id)


@contextmanager
def running_container(
    image: str, *command: str, options: Sequence[str] = (), name: str | None = None
) -> Iterator[Container]:
    """A container started in the background with ``options`` of ``podman run``; removed with the block."""
    named = [f"--name={name}"] if name else []
    identifier = engine("run", "--detach", *named, *options, image, *command).strip()
    try:
        actual = engine("inspect", "--type=container", "--format={{.Name}}", identifier).strip()
        yield Container(identifier, actual)
    finally:
        engine("rm", "--force", "--volumes", "--time=0", identifier)


def run_container(image: str, *command: str, options: Sequence[str] = (), seconds: float = 120) -> str:
    """Run a container to its end; its standard output. Raises EngineError where it fails."""
    return engine("run", "--rm", *options, image, *command, seconds=seconds)


def _exists(tag: str) -> bool:
    done = subprocess.run(
        [ENGINE, "image", "exists", tag],
        env=dict(engine_environment()),
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    return done.returncode == 0


def _debootstrap(directory: Path) -> None:
    """``root.tar``: Debian's minimal variant without manuals and translations, as slim images are."""
    root = directory / "root"
    run_build_step("debootstrap", "--variant=minbase", SUITE, str(root), *package_source(), cwd=directory)
    (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(_SLIM)
    for part in ("locale", "man", "info"):
        shutil.rmtree(root / "usr/share" / part, ignore_errors=True)
        (root / "usr/share" / part).mkdir()
    for text in sorted((root / "usr/share/doc").rglob("*")):
        if not text.is_dir() and text.name != "copyright":
            text.unlink()
    for leftover in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        shutil.rmtree(root / leftover)
        (root / leftover).mkdir()
    with tarfile.open(directory / "root.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(root, arcname=".", filter=_without_devices)
    shutil.rmtree(root)


def _without_devices(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.isdev() else member


def package_source() -> list[str]:
    """Where this machine gets the suite's packages from; nothing, so debootstrap's own choice, else."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        release, component, address = line.split(" ", 2)
        if (release, component) == (SUITE, "main"):
            return [address]
    if done.returncode != 0:
        raise BuildError(f"apt-get indextargets exited {done.returncode}: {done.stderr[-1000:]}")
    return []
