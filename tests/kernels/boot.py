# SPDX-License-Identifier: Apache-2.0
"""Boots Debian's kernels in software emulation and runs tests on them.

Usage: ``python -m tests.kernels.boot [SERIES...]``, such as 6.1 6.12.

The machine's whole disk is its initial RAM file system: a minimal Debian with what the agent needs (made
once, cached), and this checkout with its virtual environment, at the same path. No network, no KVM.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.cache import cache_root, cached_build, fingerprint, run_build_step
from tests.support.collector_build import collector_binary
from tests.support.containers import CHECKOUT, SUITE, package_source

SERIES = ("6.1", "6.12")
PACKAGES = ("python3", "python3-bpfcc", "python3-venv", "curl", "openssl", "iproute2", "nginx-light", "ruby")
TESTS = (
    "tests/e2e/test_clients_and_servers.py",
    "tests/e2e/test_running_process.py",
    "tests/e2e/test_late_library.py",
)
"""What must hold on every kernel: the agent chooses by itself how it attaches and what tells it sockets."""
PATIENCE = 20
"""How many times longer tests wait: emulation is that much slower."""
MEMORY_MB = 6144


def kernel(series: str) -> tuple[str, Path]:
    """Version of Debian's newest cloud kernel of a series, and its image."""
    pattern = rf"^linux-image-{re.escape(series)}\.[0-9.+a-z-]*-cloud-amd64$"
    names = subprocess.run(
        ["apt-cache", "search", "--names-only", pattern], capture_output=True, text=True, check=True
    ).stdout
    packages = [line.split()[0] for line in names.splitlines()]
    if not packages:
        sys.exit(f"no package of a cloud kernel {series} is known: run apt-get update")
    package = max(packages, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])

    def build(directory: Path) -> None:
        run_build_step("apt-get", "download", package, cwd=directory)
        (archive,) = directory.glob("*.deb")
        run_build_step("dpkg-deb", "-x", str(archive), "unpacked", cwd=directory)
        (image,) = (directory / "unpacked" / "boot").glob("vmlinuz-*")
        image.rename(directory / "vmlinuz")
        shutil.rmtree(directory / "unpacked")
        archive.unlink()

    return package, cached_build("kernel", package, build) / "vmlinuz"


def system() -> Path:
    """The cached archive of the Debian that the tests run on."""

    def build(directory: Path) -> None:
        root = directory / "root"
        included = f"--include={','.join(PACKAGES)}"
        run_build_step(
            "debootstrap", "--variant=minbase", included, SUITE, str(root), *package_source(), cwd=directory
        )
        shutil.rmtree(root / "var/cache/apt")
        shutil.rmtree(root / "var/lib/apt/lists")
        _archive(root, directory / "system.cpio")
        shutil.rmtree(root)

    return cached_build("kernel-system", fingerprint(SUITE, *PACKAGES), build) / "system.cpio"


def overlay(directory: Path) -> Path:
    """An archive of this checkout, what it is installed in, the tests' collector, and the first process."""
    root = directory / "root"
    there = root / str(CHECKOUT).removeprefix("/")
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, files):
        if (CHECKOUT / name).exists():
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, there / name, follow_symlinks=False)
    shutil.copytree(
        CHECKOUT / ".venv",
        there / ".venv",
        symlinks=True,
        ignore=shutil.ignore_patterns("mypy", "mypyc", "go"),
    )
    collector = collector_binary().parent
    shutil.copytree(collector, root / str(collector).removeprefix("/"), symlinks=True)
    (root / "etc").mkdir()
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc/kernel-test.env").write_text(
        f'CHECKOUT="{CHECKOUT}"\nTESTS="{" ".join(TESTS)}"\n'
        f'export QTAP_TEST_PATIENCE={PATIENCE} XDG_CACHE_HOME="{cache_root().parent}"\n'
    )
    shutil.copy(Path(__file__).with_name("init"), root / "init")
    (root / "init").chmod(0o755)
    _archive(root, directory / "overlay.cpio")
    return directory / "overlay.cpio"


def boot(image: Path, archives: list[Path], directory: Path) -> int:
    """Run the tests on one kernel, showing what the machine prints; the tests' exit code, 125 without one."""
    disk = directory / "initrd"
    with disk.open("wb") as whole:
        for archive in archives:
            with archive.open("rb") as part:
                shutil.copyfileobj(part, whole)
    command = [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB),
        "-nographic", "-no-reboot", "-nic", "none", "-kernel", str(image), "-initrd", str(disk),
        "-append", "console=ttyS0 quiet panic=-1 rdinit=/init",
    ]  # fmt: skip
    code = 125
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as machine:
        assert machine.stdout is not None
        for line in machine.stdout:
            print(line, end="", flush=True)
            ended = re.match(r"tests exited (\d+)", line)
            code = int(ended[1]) if ended else code
    return code


def _archive(root: Path, to: Path) -> None:
    find = subprocess.Popen(["find", ".", "-print0"], cwd=root, stdout=subprocess.PIPE)
    with to.open("wb") as file:
        subprocess.run(
            ["cpio", "--null", "--create", "--format=newc", "--quiet"],
            cwd=root, stdin=find.stdout, stdout=file, check=True,
        )  # fmt: skip
    if find.wait() != 0:
        sys.exit(f"find in {root} exited {find.returncode}")


def main() -> int:
    """Run on each series named, or on all of SERIES; 0 when all passed."""
    failed = []
    with tempfile.TemporaryDirectory(prefix="otel-qtap-kernels-") as name:
        archives = [system(), overlay(Path(name))]
        for series in sys.argv[1:] or SERIES:
            version, image = kernel(series)
            started = time.monotonic()
            print(f"== {version}", flush=True)
            code = boot(image, archives, Path(name))
            print(
                f"== {version}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s"
            )
            failed += [version] if code else []
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
