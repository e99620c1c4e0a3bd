# SPDX-License-Identifier: Apache-2.0
"""A real containerd with its Kubernetes interface, and a pod on it as a kubelet would start one.

The few messages that start a pod are written here field by field: what the agent understands of that
interface is not tested by itself.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from tests.support.containers import build_image, engine
from tests.support.subprocesses import end
from tests.support.waiting import eventually

IMAGE = "localhost/otel-qtap-tests/pod:2.1"
_CONFIG = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
[grpc]
  address = "{directory}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
"""
_NODE = 2
"""runtime.v1.NamespaceMode: the machine's own namespace."""

Field = tuple[int, "str | int | bytes"]


@dataclass(frozen=True, slots=True)
class Containerd:
    """``socket`` is where it serves."""

    socket: Path
    _channel: grpc.Channel

    def call(self, method: str, *fields: Field) -> str:
        """Call the runtime service; the first field of the answer, a text."""
        unary = self._channel.unary_unary(f"/runtime.v1.RuntimeService/{method}")
        answer: bytes = unary(_message(*fields), timeout=60)
        return answer[2 : 2 + answer[1]].decode() if answer else ""

    def control(self, *arguments: str) -> str:
        """What ``ctr`` prints, for what the service does not tell."""
        command = ["ctr", f"--address={self.socket}", "--namespace=k8s.io", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def pid(self, container_id: str) -> int:
        """Of a container's first process."""
        rows = map(str.split, self.control("tasks", "list").splitlines())
        return next(int(row[1]) for row in rows if row[0] == container_id)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of one container."""

    sandbox_id: str
    container_id: str
    pid: int
    """Of the container's process."""


@contextmanager
def running_containerd(directory: Path) -> Iterator[Containerd]:
    """An empty one but for ``IMAGE``, whose only process sleeps."""
    build_image(IMAGE, 'FROM debian:bookworm-slim\nCMD ["sleep", "infinity"]\n')
    directory.mkdir(parents=True, exist_ok=True)
    archive, socket = directory / "image.tar", directory / "containerd.sock"
    engine("save", "--format=docker-archive", f"--output={archive}", IMAGE)
    config = directory / "config.toml"
    config.write_text(_CONFIG.format(directory=directory, image=IMAGE))
    with (directory / "containerd.log").open("wb") as log:
        process = subprocess.Popen(
            ["containerd", "--config", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        control = ("ctr", f"--address={socket}", "--namespace=k8s.io")
        eventually(lambda: _succeeds(*control, "version"), "containerd answers", seconds=30, pause=0.2)
        subprocess.run([*control, "images", "import", str(archive)], check=True, capture_output=True)
        with grpc.insecure_channel(
            f"unix://{socket}", options=[("grpc.default_authority", "localhost")]
        ) as channel:
            yield Containerd(socket, channel)
    finally:
        end(process)


@contextmanager
def running_pod(
    containerd: Containerd,
    *,
    name: str,
    namespace: str,
    uid: str,
    container: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    environment: Mapping[str, str] = {},
    command: Sequence[str] = (),
    mounts: Mapping[str, str] = {},
) -> Iterator[Pod]:
    """A pod in the network of the machine, in the control group where a kubelet would put it.

    ``mounts`` are read-only, from place in the container to place on the machine.
    """
    metadata = _message((1, name), (2, uid), (3, namespace))
    host_network = _message((1, _message((1, _NODE))))
    config = _message(
        (1, metadata),
        *_map(6, labels),
        *_map(7, annotations),
        (8, _message((1, f"/kubepods/burstable/pod{uid}"), (2, host_network))),
    )
    sandbox = containerd.call("RunPodSandbox", (1, config))
    try:
        described = _message(
            (1, _message((1, container))),
            (2, _message((1, IMAGE))),
            *((3, word) for word in command),
            *_map(6, environment),
            *((7, _message((1, inside), (2, outside), (3, 1))) for inside, outside in mounts.items()),
            (15, _message((2, _message((3, _message((1, _NODE))))))),
        )
        identifier = containerd.call("CreateContainer", (1, sandbox), (2, described), (3, config))
        containerd.call("StartContainer", (1, identifier))
        yield Pod(sandbox, identifier, containerd.pid(identifier))
    finally:
        containerd.call("StopPodSandbox", (1, sandbox))
        containerd.call("RemovePodSandbox", (1, sandbox))


def _message(*fields: Field) -> bytes:
    """In protobuf's encoding: numbers as varints, all else with its length."""
    encoded = b""
    for number, value in fields:
        if isinstance(value, int):
            encoded += _varint(number << 3) + _varint(value)
            continue
        content = value.encode() if isinstance(value, str) else value
        encoded += _varint(number << 3 | 2) + _varint(len(content)) + content
    return encoded


def _map(number: int, pairs: Mapping[str, str]) -> list[Field]:
    return [(number, _message((1, key), (2, value))) for key, value in pairs.items()]


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes((low | 0x80,)) + _varint(rest) if rest else bytes((low,))


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
