# SPDX-License-Identifier: Apache-2.0
"""Ends of TLS connections on s2n, by the C functions that awscrt's module exports; as ``tls_end/main.c``.

    s2n_end.py server CERTIFICATE KEY              sends back whatever it gets; prints its port
    s2n_end.py client PORT CA VERSION SIZE ROUNDS  sends messages and expects them back
    s2n_end.py pingpong CERTIFICATE KEY SIZE       as pingpong.c: what a round trip costs

A client gives each message away in pieces, some of them empty, and goes on where the last call ended.
"""

import ctypes
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import _awscrt

SERVER, CLIENT = 0, 1
POLICIES = {12: b"20190214", 13: b"20240503", 0: b"20240503"}
"""Security policies of s2n that speak TLS 1.2 alone, and 1.3 where the peer does."""


class Piece(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


def load() -> ctypes.CDLL:
    library = ctypes.CDLL(_awscrt.__file__)
    pointers = ("s2n_config_new", "s2n_connection_new", "s2n_cert_chain_and_key_new", "s2n_strerror_debug")
    for name in pointers:
        getattr(library, name).restype = ctypes.c_void_p
    library.s2n_strerror_debug.restype = ctypes.c_char_p
    for name in ("s2n_recv", "s2n_send", "s2n_sendv_with_offset"):
        getattr(library, name).restype = ctypes.c_ssize_t
    library.s2n_errno_location.restype = ctypes.POINTER(ctypes.c_int)
    return library


S2N = load()


def call(name: str, *arguments: object) -> int:
    result: int = getattr(S2N, name)(*arguments)
    if result < 0:
        number = S2N.s2n_errno_location()[0]
        raise OSError(f"{name}: {S2N.s2n_strerror_debug(number, None).decode()}")
    return result


def configuration(version: int, certificate: str = "", key: str = "") -> ctypes.c_void_p:
    config = ctypes.c_void_p(S2N.s2n_config_new())
    call("s2n_config_set_cipher_preferences", config, POLICIES[version])
    call("s2n_config_disable_x509_verification", config)
    if certificate:
        chain = ctypes.c_void_p(S2N.s2n_cert_chain_and_key_new())
        texts = (Path(certificate).read_bytes(), Path(key).read_bytes())
        call("s2n_cert_chain_and_key_load_pem", chain, *texts)
        call("s2n_config_add_cert_chain_and_key_to_store", config, chain)
    return config


class End:
    """One end of a connection on a connected, blocking socket."""

    def __init__(self, plain: socket.socket, config: ctypes.c_void_p, mode: int) -> None:
        self._plain = plain
        self._connection = ctypes.c_void_p(S2N.s2n_connection_new(mode))
        self._blocked = ctypes.c_int()
        call("s2n_connection_set_config", self._connection, config)
        call("s2n_connection_set_fd", self._connection, plain.fileno())
        if mode == CLIENT:
            call("s2n_set_server_name", self._connection, b"localhost")
        call("s2n_negotiate", self._connection, ctypes.byref(self._blocked))

    def read(self, size: int) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        got = call("s2n_recv", self._connection, buffer, ctypes.c_ssize_t(size), ctypes.byref(self._blocked))
        return buffer.raw[:got]

    def write_one(self, data: bytes) -> None:
        while data:
            size = ctypes.c_ssize_t(len(data))
            data = data[call("s2n_send", self._connection, data, size, ctypes.byref(self._blocked)) :]

    def write(self, pieces: list[bytes]) -> None:
        vector = (Piece * len(pieces))(*((piece, len(piece)) for piece in pieces))
        size, done = sum(map(len, pieces)), 0
        while done < size:
            done += call(
                "s2n_sendv_with_offset",
                self._connection,
                vector,
                ctypes.c_ssize_t(len(pieces)),
                ctypes.c_ssize_t(done),
                ctypes.byref(self._blocked),
            )

    def close(self) -> None:
        S2N.s2n_shutdown_send(self._connection, ctypes.byref(self._blocked))
        call("s2n_connection_free", self._connection)
        self._plain.close()


def serve(certificate: str, key: str) -> None:
    config = configuration(0, certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def echo(plain: socket.socket) -> None:
        end = End(plain, config, SERVER)
        while data := end.read(65536):
            end.write_one(data)
        end.close()

    while True:
        plain, _ = listener.accept()
        threading.Thread(target=echo, args=(plain,), daemon=True).start()


def talk(port: int, version: int, size: int, rounds: int) -> None:
    end = End(socket.create_connection(("127.0.0.1", port)), configuration(version), CLIENT)
    for number in range(rounds):
        start = size * number
        message = b"".join(b"%015d\n" % offset for offset in range(start, start + size, 16))[:size]
        cuts = [0, 1, 1, 4000, 4000, 9000, 80_000, 400_000, size]
        end.write([message[a:b] for a, b in pairwise(cuts)])
        answer = b""
        while len(answer) < size:
            answer += end.read(size - len(answer))
        assert answer == message
    end.close()


def measure(certificate: str, key: str, size: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    for plain in near, far:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with ThreadPoolExecutor() as pool:
        serving = pool.submit(End, far, configuration(0, certificate, key), SERVER)
        client, server = End(near, configuration(0), CLIENT), serving.result()
    message = b"x" * size
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            for one, other in (client, server), (server, client):
                one.write_one(message)
                got = 0
                while got < size:
                    got += len(other.read(size))
        taken = time.perf_counter() - wall, time.process_time() - cpu
        print(*(seconds / int(line) * 1e6 for seconds in taken), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        serve(*sys.argv[2:])
    elif sys.argv[1] == "pingpong":
        measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        talk(*(int(text) for text in (sys.argv[2], *sys.argv[4:])))
