# SPDX-License-Identifier: Apache-2.0
"""A network of the test's own, where well-known ports are free (network_namespaces(7))."""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_network() -> Iterator[None]:
    """This thread, and what it starts, with a loopback of its own and no other interface; needs root."""
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        _check(_libc.unshare(_CLONE_NEWNET))
        try:
            with socket.socket() as any_socket:
                fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
            yield
        finally:
            _check(_libc.setns(before.fileno(), _CLONE_NEWNET))


@contextmanager
def current_network() -> Iterator[int]:
    """A descriptor of this thread's network, which lives as long as that."""
    with Path("/proc/thread-self/ns/net").open("rb") as network:
        yield network.fileno()


@contextmanager
def entered(network: int) -> Iterator[None]:
    """This thread, and what it starts, in a network by its descriptor."""
    with current_network() as before:
        _check(_libc.setns(network, _CLONE_NEWNET))
        try:
            yield
        finally:
            _check(_libc.setns(before, _CLONE_NEWNET))


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
