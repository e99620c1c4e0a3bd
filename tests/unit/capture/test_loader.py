# SPDX-License-Identifier: Apache-2.0
"""The loader as a process of the distribution's interpreter, and how it makes one text of many files."""

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from otel_qtap.capture.loader import MAPS, flatten
from otel_qtap.capture.session import LOADER, bpf_directory


def ask(request: dict[str, Any]) -> tuple[int, dict[str, Any], list[int]]:
    """Exit code, answer and descriptors of a loader."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        ["/usr/bin/python3", "-I", LOADER, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "BCC_KERNEL_SOURCE": str(bpf_directory() / "kernel")},
    )
    theirs.close()
    ours.send(json.dumps(request).encode())
    message, descriptors, _, _ = socket.recv_fds(ours, 65536, 128)
    ours.close()
    return process.wait(60), json.loads(message), descriptors


def request(source: Path) -> dict[str, Any]:
    return {"source": str(source), "flags": [], "attach": "multi"}


@pytest.mark.bpf
@pytest.mark.parametrize("text", [None, "int qtap_x(void *ctx) { return nonsense; }"])
def test_what_cannot_be_compiled_is_answered_with_an_error(tmp_path: Path, text: str | None) -> None:
    source = tmp_path / "qtap.c"
    if text is not None:
        source.write_text(text)
    code, answer, descriptors = ask(request(source))

    assert code == 1
    assert answer.keys() == {"error"}
    assert descriptors == []


@pytest.mark.bpf
@pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs takes root")
def test_programs_and_maps_are_passed_on_in_the_order_of_their_names(tmp_path: Path) -> None:
    source = tmp_path / "qtap.c"
    maps = "\n".join(f"BPF_HASH({name}, u32, u64, 8);" for name in MAPS)
    source.write_text(
        f"#include <uapi/linux/ptrace.h>\n{maps}\nint qtap_process_exit(void *ctx) {{ return 0; }}"
    )
    code, answer, descriptors = ask(request(source))

    assert code == 0
    assert answer == {"programs": ["qtap_process_exit"], "maps": list(MAPS)}
    kinds = [os.readlink(f"/proc/self/fd/{number}") for number in descriptors]  # noqa: PTH115
    assert kinds[:-1] == ["anon_inode:bpf-prog", *["anon_inode:bpf-map"] * len(MAPS)]
    assert kinds[-1].startswith("/memfd:compiled")
    for number in descriptors:
        os.close(number)


def test_quoted_includes_are_taken_in_once_and_lines_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "common.h").write_text("#pragma once\nint common;\n")
    (tmp_path / "first.h").write_text('#include "sub/common.h"\nint first;\n')
    (tmp_path / "main.c").write_text(
        '#include <linux/types.h>\n#include "first.h"\n#include "sub/common.h"\nint last;\n'
    )

    assert flatten(tmp_path / "main.c").splitlines() == [
        '#line 1 "main.c"',
        "#include <linux/types.h>",
        '#line 1 "first.h"',
        '#line 1 "common.h"',
        "int common;",
        '#line 2 "first.h"',
        "int first;",
        '#line 3 "main.c"',
        "",
        '#line 4 "main.c"',
        "int last;",
    ]
