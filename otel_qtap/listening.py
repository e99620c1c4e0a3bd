# SPDX-License-Identifier: Apache-2.0
"""The addresses that users name for us to listen at."""

import errno
import socket

from otel_qtap.errors import SettingsError

_HINTS = {
    errno.EADDRINUSE: " (`ss --listening --tcp --processes` shows who has this one; another otel-qtap?)",
    errno.EACCES: " above 1023",
}


def listen(variable: str, host: str, port: int) -> socket.socket:
    """Bind the address that ``variable`` names. Raises SettingsError when it is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"{variable}={host}:{port}: cannot listen there: {error.strerror}. "
            f"Name a free HOST:PORT of this machine{_HINTS.get(error.errno or 0, '')}."
        ) from error
    return listener
