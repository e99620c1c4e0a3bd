# SPDX-License-Identifier: Apache-2.0
"""Asks all that can answer, in a process of its own that ends with its answers.

A runtime that hangs costs this process and nothing else: its parent does not wait, and the kernel ends it
after ``LONGEST_SECONDS``. What the clients of the runtimes need of memory ends with it.
"""

import gc
import json
import os
import signal
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Never

from otel_qtap.descriptors import close_others
from otel_qtap.discovery.containers.answer import Answer, Query, Source
from otel_qtap.discovery.containers.kubelet_access import KubeletAccess
from otel_qtap.discovery.containers.sockets import RuntimeSocket, runtime_sockets
from otel_qtap.discovery.workload import POD_LABELS

LONGEST_SECONDS = 5
ASK_SECONDS = 1.0
"""For one wait for one source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Who may be asked, and for what."""

    sockets: Sequence[str] | None = None
    """Of runtimes; None means those at the usual places."""
    kubelet: KubeletAccess | None = None
    container_labels: frozenset[str] = frozenset()
    """Labels of containers to bring along."""
    confine: Callable[[], None] = lambda: None
    """Called in the process that goes out to ask, before it does: gives up privileges it does not need."""

    @property
    def lead_anywhere(self) -> bool:
        """Whether there is anybody to ask now."""
        return self.kubelet is not None or bool(runtime_sockets(self.sockets))


def start_enquiry(
    ways: Ways, queries: Sequence[Query], answers: socket.socket, excluded: Callable[[int], None]
) -> int:
    """Fork a process that sends one message for each query over ``answers``; its PID. Raises OSError.

    It connects to nothing before ``excluded`` has been called with that PID: it must not be observed.
    """
    held, hold = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            _child(ways, queries, answers, held)
        excluded(pid)
    finally:
        os.close(held)
        os.close(hold)
    return pid


def _child(ways: Ways, queries: Sequence[Query], answers: socket.socket, held: int) -> Never:
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(LONGEST_SECONDS)
        gc.disable()  # finalizers of the parent's objects must not close numbers that are used anew by then
        close_others((answers.fileno(), held))
        ways.confine()
        os.read(held, 1)  # until the parent has closed its end
        answers.setblocking(True)
        _answer(ways, queries, answers)
    finally:
        os._exit(0)  # nothing of the parent's is flushed, closed or reported a second time


def _answer(ways: Ways, queries: Sequence[Query], answers: socket.socket) -> None:
    sources, failed = _sources(ways)
    for query in queries:
        found: Answer | None = None
        is_missed = False
        for serves, source in sources:
            if not serves(query, found):
                continue
            answer = None
            if source.name not in failed:
                try:
                    answer = source.ask(query)
                except (OSError, ValueError) as error:
                    failed[source.name] = _reason(error)
            is_missed = is_missed or source.name in failed
            if answer:
                found = found.merged(answer) if found else answer
        _send(answers, _message(query, found, unreached=is_missed))
    for name in dict.fromkeys([*(source.name for _, source in sources), *failed]):
        _send(answers, {"source": name, "error": failed.get(name, "")})


_Serves = Callable[[Query, Answer | None], bool]


def _sources(ways: Ways) -> tuple[list[tuple[_Serves, Source]], dict[str, str]]:
    """All that can be asked, each with when it is, and what cannot be for want of a client.

    Clients are loaded only where there is a use for them.
    """
    sources: list[tuple[_Serves, Source]] = []
    lacking: dict[str, str] = {}
    labels = ways.container_labels
    for at in runtime_sockets(ways.sockets):
        try:
            client = _client(at, labels)
        except ImportError:
            lacking[at.path] = "it speaks gRPC: install otel-qtap[grpc]"
        else:
            sources.append((_of_runtime(at), client))
    if ways.kubelet is not None:
        from otel_qtap.discovery.containers.kubelet import Kubelet  # noqa: PLC0415

        kubelet = Kubelet(ways.kubelet, seconds=ASK_SECONDS, labels=POD_LABELS)
        sources.append((lambda query, _found: query.in_pod, kubelet))
    return sources, lacking


def _client(at: RuntimeSocket, labels: Collection[str]) -> Source:
    if at.speaks_cri:
        from otel_qtap.discovery.containers.cri import Cri  # noqa: PLC0415

        return Cri(at.path, seconds=ASK_SECONDS, labels=labels)
    from otel_qtap.discovery.containers.engine_api import EngineApi  # noqa: PLC0415

    return EngineApi(at.path, seconds=ASK_SECONDS, labels=labels)


def _of_runtime(at: RuntimeSocket) -> _Serves:
    """One runtime runs a container: the first that knows it."""
    return lambda query, found: found is None and at.serves(query.user_id)


def _message(query: Query, answer: Answer | None, *, unreached: bool) -> dict[str, Any]:
    if answer is None:
        return {"id": query.container_id, "unreached": unreached}
    return {
        "id": query.container_id,
        "container": asdict(answer.container),
        "pod": answer.pod and asdict(answer.pod),
        "unreached": unreached,
    }


def _send(answers: socket.socket, message: dict[str, Any]) -> None:
    answers.send(json.dumps(message, ensure_ascii=False).encode(errors="replace"))


def _reason(error: Exception) -> str:
    """What failed, without a word of what the other side said."""
    if isinstance(error, OSError):
        return error.strerror or "it does not answer in time"
    return "its answer cannot be read"
