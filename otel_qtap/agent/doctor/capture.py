# SPDX-License-Identifier: Apache-2.0
"""What compiles and loads the agent's BPF programs, and whether this kernel takes them."""

import subprocess

from otel_qtap.agent.doctor import bpf_syscalls
from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok
from otel_qtap.capture.session import Loading
from otel_qtap.discovery.btf import kernel_offsets
from otel_qtap.errors import CaptureError

_IMPORT_SECONDS = 30
_RING_BYTES = 1 << 20
_REMEDY = (
    "Install the distribution's BCC (Debian, Ubuntu: apt-get install python3-bpfcc; Fedora: dnf install "
    "python3-bcc), or name an interpreter that has it in OTEL_QTAP_CAPTURE_PYTHON. The project called bcc on "
    "the Python package index is another one."
)


def bcc(host: Host) -> Outcome:
    """Whether the configured interpreter can import bcc."""
    interpreter = str(host.settings.capture.python)
    try:
        found = subprocess.run(
            [
                interpreter,
                "-I",
                "-c",
                "import bcc; bcc.BPF; print(getattr(bcc, '__version__', 'of unknown version'))",
            ],
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
            check=False,
        )
    except OSError as error:
        return fail(f"cannot start {interpreter}: {error.strerror}", remedy=_REMEDY)
    except subprocess.TimeoutExpired:
        return fail(f"{interpreter} did not import bcc within {_IMPORT_SECONDS} s", remedy=_REMEDY)
    if found.returncode:
        reason = found.stderr.strip().splitlines()
        return fail(f"{interpreter} cannot import bcc", detail=reason[-1] if reason else "", remedy=_REMEDY)
    return ok(f"bcc {found.stdout.strip()} in {interpreter}")


def programs(host: Host) -> Outcome:
    """Compile and load everything, as the agent does at start, with small rings; attach nothing."""
    wanted = host.settings.capture.attach
    if wanted == "auto":
        wanted = "multi" if bpf_syscalls.has_uprobe_multi() else "perf"
    try:
        session = Loading(
            interpreter=str(host.settings.capture.python),
            offsets=lambda: kernel_offsets(host.sys / "kernel/btf/vmlinux"),
            attach=wanted,
            data_ring_bytes=_RING_BYTES,
        ).result()
    except CaptureError as error:
        summary, _, detail = str(error).partition("\n")
        return fail(
            summary,
            detail=detail,
            remedy="The kernel or BCC refuses the agent's programs: report it with this output.",
        )
    session.close()
    return ok(f"{len(session.programs)} programs and {len(session.maps)} maps loaded and given up")
