# SPDX-License-Identifier: Apache-2.0
"""Compiles and loads bpf/ with BCC, passes the descriptors on, and exits; LLVM's memory leaves with it.

Run as a script by the interpreter that has BCC (the distribution's), so this file needs the standard
library and bcc only, and imports nothing of this package:

    python3 -I loader.py SOCKET_FD

The socket carries one JSON request and one JSON answer:
    request  {"source", "flags": [...], "attach": "multi" | "perf"}
    answer   {"programs": [...], "maps": [...]} with their descriptors, in that order, or {"error": text}

Last comes the descriptor of a file with the compiled programs, by which they can be loaded again:
    {"programs": {name: [type, attach type, code in hex]}, "maps": {name: descriptor in the code}}
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

EXPECTED_ATTACH_UPROBE_MULTI = 48  # BPF_TRACE_UPROBE_MULTI, include/uapi/linux/bpf.h

MAPS = (
    "data_ring",
    "control_ring",
    "handshake_ring",
    "process_ring",
    "counters",
    "excluded_processes",
    "known_files",
    "tls_processes",
    "threads",
    "open_calls",
    "go_calls",
    "connections",
    "holdings",
    "unsent_buffers",
    "connections_by_io",
    "layouts",
    "probed_since",
    "hellos",
    "sockets_by_random",
    "unbound_processes",
    "watched_processes",
    "watched",
    "speaking_processes",
    "ended_connections",
    "flights",
    "ciphertexts",
)
"""All of them: what is compiled can be loaded again only where each map has a name."""


def flatten(path: Path, seen: set[Path] | None = None) -> str:
    """One text of a unit and its quoted includes: BCC rewrites map accesses in the main file only."""
    seen = set() if seen is None else seen
    if path in seen:
        return ""
    seen.add(path)
    lines = [f'#line 1 "{path.name}"']
    for number, line in enumerate(path.read_text().splitlines(), 1):
        include = re.match(r'#include "(.+)"', line)
        if include:
            lines.append(flatten((path.parent / include[1]).resolve(), seen))
            lines.append(f'#line {number + 1} "{path.name}"')
        elif line.strip() != "#pragma once":
            lines.append(line)
    return "\n".join(lines)


def load(request: dict[str, Any]) -> tuple[object, dict[str, int], dict[str, int], int]:
    """Compile and load everything; returns the module, {name: program fd}, {name: map fd} and the fd of the
    compiled programs."""
    from bcc import BPF, lib  # noqa: PLC0415 - where its absence can be told

    flags = list(request["flags"])
    multi = request["attach"] == "multi"
    if multi:
        flags.append("-DQTAP_ATTACH_MULTI=1")
    module = BPF(text=flatten(Path(request["source"]).resolve()), cflags=flags)
    programs, compiled = {}, {}
    for index in range(lib.bpf_num_functions(module.module)):
        name = lib.bpf_function_name(module.module, index).decode()
        attach_type = 0
        if name.startswith("qtap_sys_enter_"):
            kind = BPF.TRACEPOINT
        elif name.startswith(("qtap_process_", "qtap_socket_")):
            kind = BPF.RAW_TRACEPOINT
        else:
            kind = BPF.KPROBE
            attach_type = EXPECTED_ATTACH_UPROBE_MULTI if multi else 0
        options = {"attach_type": attach_type} if attach_type else {}
        programs[name] = module.load_func(name, kind, **options).fd
        start = lib.bpf_function_start(module.module, name.encode())
        code = ctypes.string_at(start, lib.bpf_function_size(module.module, name.encode()))
        compiled[name] = [kind, attach_type, code.hex()]
    maps = {name: lib.bpf_table_fd(module.module, name.encode()) for name in MAPS}
    file = os.memfd_create("compiled")
    os.write(file, json.dumps({"programs": compiled, "maps": maps}).encode())
    return module, programs, maps, file


def main() -> int:
    """Serve one request on the inherited socket."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    with contextlib.suppress(ImportError):  # told when it is needed: below
        import bcc  # noqa: F401, PLC0415 - meanwhile the other side works out what to ask for
    request = json.loads(connection.recv(65536))
    try:
        module, programs, maps, file = load(request)
    except Exception as error:  # BCC raises bare Exceptions; its diagnostics are on stderr already
        connection.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        return 1
    answer = {"programs": list(programs), "maps": list(maps)}
    descriptors = [*programs.values(), *maps.values(), file]
    socket.send_fds(connection, [json.dumps(answer).encode()], descriptors)
    del module
    return 0


if __name__ == "__main__":
    sys.exit(main())
