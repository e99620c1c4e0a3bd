# SPDX-License-Identifier: Apache-2.0
"""Whether the health endpoint's address is free."""

import http.client
import socket

from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok

_SECONDS = 2
_MAX_PAGE = 8 << 20


def address(host: Host) -> Outcome:
    """Free, or held by an agent that runs already."""
    wanted = host.settings.health.address
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((wanted.host, wanted.port))
        except OSError as error:
            if page_of_agent(wanted.host, wanted.port, "/livez") is not None:
                return ok(f"{wanted} is held by an agent that runs")
            return fail(
                f"{wanted} cannot be served: {error.strerror}",
                remedy="Stop what listens there, or name another address in OTEL_QTAP_HEALTH_ADDRESS.",
            )
    return ok(f"{wanted} is free")


def page_of_agent(host: str, port: int, path: str) -> bytes | None:
    """A page of an agent that runs; None where none answers with it."""
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(_MAX_PAGE)
        return text if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
