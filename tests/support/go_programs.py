# SPDX-License-Identifier: Apache-2.0
"""Go programs as compilers of several releases and ways of linking leave them."""

import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

from tests.support.cache import cached_build, fingerprint, run_build_step

GOTLS = Path(__file__).parent / "programs" / "gotls"
_CLEAN = {"GOENV": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
RELEASES = {
    "1.17": "1.17.13",
    "1.18": "1.18.10",
    "1.19": "1.19.13",
    "1.20": "1.20.14",
    "1.21": "1.21.13",
    "1.22": "1.22.12",
    "1.23": "1.23.12",
    "1.24": "1.24.11",
    "1.25": "1.25.5",
    "1.26": "1.26.8",
}


@dataclass(frozen=True, slots=True)
class Build:
    """How to build: the flags of ``go build``, and whether C code is linked in."""

    flags: tuple[str, ...] = ()
    has_c: bool = False
    keeps_section_headers: bool = True


_STRIPPED = "-ldflags=-s -w"
BUILDS = {
    "plain": Build(),
    "stripped": Build((_STRIPPED, "-trimpath")),
    "pie": Build((_STRIPPED, "-buildmode=pie")),
    "external": Build(("-ldflags=-s -w -linkmode=external",), has_c=True),
    "external-pie": Build(("-ldflags=-s -w -linkmode=external", "-buildmode=pie"), has_c=True),
    "no-section-headers": Build((_STRIPPED,), keeps_section_headers=False),
    "pie-no-section-headers": Build((_STRIPPED, "-buildmode=pie"), keeps_section_headers=False),
    "debug": Build(("-gcflags=all=-N -l",)),
}


def go_program(release: str = "1.26", build: str = "plain", source: Path = GOTLS) -> Path:
    """The program in the directory ``source`` as this release of Go builds it."""
    version, how = RELEASES[release], BUILDS[build]
    texts = fingerprint(*(path.read_text() for path in sorted(source.iterdir())), repr(how))

    def make(directory: Path) -> None:
        root, binary = _toolchain(version), directory / source.name
        environment = {**_CLEAN, "GOROOT": str(root), "CGO_ENABLED": "1" if how.has_c else "0"}
        command = [str(root / "bin" / "go"), "build", *how.flags, "-o", str(binary), "."]
        run_build_step(*command, cwd=source, env=environment)
        if not how.keeps_section_headers:
            _remove_section_headers(binary)

    return cached_build(f"{source.name}-{build}", f"{version}-{texts}", make) / source.name


def _toolchain(version: str) -> Path:
    """A Go distribution, which comes as a module, less what only its own development needs."""

    def fetch(directory: Path) -> None:
        module = f"golang.org/toolchain@v0.0.1-go{version}.linux-amd64"
        modules, root = directory / "modules", directory / "go"
        environment = {**_CLEAN, "GOFLAGS": "-mod=mod -modcacherw", "GOMODCACHE": str(modules)}
        run_build_step("go", "mod", "download", module, cwd=directory, env=environment)
        shutil.move(modules / module, root)
        shutil.rmtree(modules)
        for part in ("api", "doc", "misc", "src/cmd", "test", "pkg/linux_amd64_race"):
            shutil.rmtree(root / part, ignore_errors=True)
        for place in (root / "bin", root / "pkg" / "tool" / "linux_amd64"):
            for program in place.iterdir():
                program.chmod(0o755)  # modules have no executable files

    return cached_build("go", version, fetch) / "go"


def _remove_section_headers(binary: Path) -> None:
    with binary.open("r+b") as file:
        file.seek(40)
        file.write(struct.pack("<Q", 0))  # e_shoff
        file.seek(58)
        file.write(struct.pack("<HHH", 64, 0, 0))  # e_shentsize, e_shnum, e_shstrndx
