# SPDX-License-Identifier: Apache-2.0
"""Starts the loader and keeps what it passed on: descriptors of programs and maps."""

import contextlib
import json
import logging
import os
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from otel_qtap.capture.bytecode import BytecodeError, compiled
from otel_qtap.capture.bytecode_cache import BytecodeCache, key_of
from otel_qtap.capture.syscalls import PAGE_BYTES, map_definition
from otel_qtap.errors import CaptureError

logger = logging.getLogger(__name__)

LOADER = Path(__file__).with_name("loader.py")
_PACKAGED = Path(__file__).resolve().parents[1] / "bpf"
_SECONDS = 180.0
"""Longest wait for the loader, which takes half a second. On an emulated machine it was more than 60 s."""
_DIAGNOSTIC_BYTES = 2000
_MOST_CHUNKS = 1024
"""Of 64 KiB in one call, whatever room there is: the verifier walks through all of them."""
_CHECKOUT = Path(__file__).resolve().parents[2] / "bpf"


def bpf_directory() -> Path:
    """Where the C sources are: inside the installed package, or beside it in a checkout."""
    return _PACKAGED if (_PACKAGED / "qtap.c").exists() else _CHECKOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSession:
    """Loaded programs and maps, by name, as descriptors of this process."""

    programs: Mapping[str, int]
    maps: Mapping[str, int]
    attach: str
    """``multi`` (uprobe_multi links, kernel >= 6.6) or ``perf`` (perf events)."""
    data_ring_bytes: int
    control_ring_bytes: int
    process_ring_bytes: int
    handshake_ring_bytes: int = 0

    def close(self) -> None:
        """Give the programs and maps up; attached probes keep theirs until they are detached."""
        for descriptor in (*self.programs.values(), *self.maps.values()):
            os.close(descriptor)


class Loading:
    """Programs and maps on their way into the kernel. Start it early, collect it when its result is needed.

    ``source`` is the unit to compile, the agent's own if none is named. ``offsets`` finds out where this
    kernel keeps what the programs read (-D flags). ``confine`` runs in the loader's process before its
    interpreter does, to take privileges away that it has no use for. What was compiled once is remembered in
    ``cache``, and loaded by this process then.
    """

    CONTROL_RING_BYTES = 256 * PAGE_BYTES
    HANDSHAKE_RING_BYTES = 1024 * PAGE_BYTES
    PROCESS_RING_BYTES = 16 * PAGE_BYTES

    def __init__(
        self,
        *,
        interpreter: str,
        offsets: Callable[[], Mapping[str, int]],
        attach: str,
        data_ring_bytes: int,
        source: Path | None = None,
        confine: Callable[[], None] | None = None,
        cache: BytecodeCache | None = None,
    ) -> None:
        self._attach = attach
        self._data_ring_bytes = data_ring_bytes
        self._cache = cache
        source = source or bpf_directory() / "qtap.c"
        flags = [f"-D{name}={value}" for name, value in offsets().items()]
        flags.append(f"-DQTAP_DATA_RING_PAGES={data_ring_bytes // PAGE_BYTES}")
        flags.append(f"-DQTAP_MAX_CALL_CHUNKS={min(max(data_ring_bytes // 65536, 1), _MOST_CHUNKS)}")
        request = {"source": str(source), "flags": flags, "attach": attach}
        self._key = key_of(source, request) if cache else ""
        # At once, for the privilege to load may be given up before the result is asked for.
        self._loaded = self._remembered()
        self._loader = None if self._loaded else _Loader(interpreter, request, confine)

    def result(self) -> KernelSession:
        """The session, for which a loader takes a second or two. Raises CaptureError."""
        if self._loader is None:
            assert self._loaded is not None
            return self._session(*self._loaded)
        programs, maps, files = self._loader.result()
        for descriptor in files:
            with os.fdopen(descriptor, "rb") as file:
                if self._cache is not None:
                    self._remember(file, maps, self._cache)
        return self._session(programs, maps)

    def _remembered(self) -> tuple[dict[str, int], dict[str, int]] | None:
        bytecode = self._cache.get(self._key) if self._cache is not None else None
        if bytecode is None:
            return None
        try:
            return bytecode.load()
        except (OSError, BytecodeError) as error:
            logger.debug("remembered BPF programs are compiled anew: %s", error)
            return None

    def _remember(self, file: BinaryIO, maps: Mapping[str, int], cache: BytecodeCache) -> None:
        try:
            file.seek(0)
            entry = json.loads(file.read())
            programs = {
                name: (kind, attach_type, bytes.fromhex(code))
                for name, (kind, attach_type, code) in entry["programs"].items()
            }
            definitions = {name: map_definition(descriptor) for name, descriptor in maps.items()}
            cache.put(self._key, compiled(programs, entry["maps"], definitions))
        except (OSError, BytecodeError) as error:
            logger.debug("the BPF programs will be compiled again at the next start: %s", error)

    def _session(self, programs: Mapping[str, int], maps: Mapping[str, int]) -> KernelSession:
        return KernelSession(
            programs=programs,
            maps=maps,
            attach=self._attach,
            data_ring_bytes=self._data_ring_bytes,
            control_ring_bytes=self.CONTROL_RING_BYTES,
            process_ring_bytes=self.PROCESS_RING_BYTES,
            handshake_ring_bytes=self.HANDSHAKE_RING_BYTES,
        )


class _Loader:
    """The process that compiles."""

    def __init__(
        self, interpreter: str, request: Mapping[str, object], confine: Callable[[], None] | None
    ) -> None:
        self._interpreter = interpreter
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A file, because nobody reads along: what the verifier has to say could fill a pipe and block it.
        self._output = os.fdopen(os.memfd_create("loader"), "r+b")
        try:
            self._process = subprocess.Popen(
                [interpreter, "-I", str(LOADER), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "BCC_KERNEL_SOURCE": str(bpf_directory() / "kernel")},
                process_group=0,  # Ctrl-C is for us: we stop in order
                preexec_fn=confine,  # safe: there is no second thread yet  # noqa: PLW1509
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._socket.close()
            self._output.close()
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CaptureError(
                f"cannot start {interpreter}: {reason}. OTEL_QTAP_CAPTURE_PYTHON must name an "
                "interpreter that can import bcc (Debian: python3-bpfcc for /usr/bin/python3)."
            ) from error
        finally:
            theirs.close()
        with contextlib.suppress(OSError):  # it ended already: result() tells how
            self._socket.send(json.dumps(request).encode())

    def result(self) -> tuple[dict[str, int], dict[str, int], list[int]]:
        """Take its descriptors over: programs and maps by name, and last the file of what was compiled."""
        self._socket.settimeout(_SECONDS)
        try:
            message, descriptors, _, _ = socket.recv_fds(self._socket, 65536, 128)
        except OSError:  # it did not answer in time, or ended without taking its request
            message, descriptors = b"", []
            self._process.kill()
        answer = json.loads(message) if message else {}
        self._socket.close()
        code = self._process.wait()
        with self._output as output:
            output.seek(max(output.seek(0, os.SEEK_END) - _DIAGNOSTIC_BYTES, 0))
            diagnostics = output.read().decode(errors="replace").strip()
        if "programs" not in answer:
            raise CaptureError(
                f"the BPF programs could not be loaded by {self._interpreter}: "
                f"{answer.get('error', f'exit code {code}')}\n"
                f"{diagnostics}\nRun `otel-qtap doctor` to see what this kernel lacks."
            )
        for line in diagnostics.splitlines():
            logger.warning("the loader said: %s", line, extra={"event_name": "otel_qtap.stray_output"})
        programs = dict(zip(answer["programs"], descriptors, strict=False))
        maps = dict(zip(answer["maps"], descriptors[len(programs) :], strict=False))
        return programs, maps, descriptors[len(programs) + len(maps) :]
