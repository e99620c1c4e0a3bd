# SPDX-License-Identifier: Apache-2.0
"""Whether the health endpoint's address is free."""

import http.client
import socket

from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok

_SECONDS = 2


def address(host: Host) -> Outcome:
    """Free, or held by an agent that runs already."""
    wanted = host.settings.health.address
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((wanted.host, wanted.port))
        except OSError as error:
            if _agent_answers(wanted.host, wanted.port):
                return ok(f"{wanted} is held by an agent that runs")
            return fail(
                f"{wanted} cannot be served: {error.strerror}",
                remedy="Stop what listens there, or name another address in OTEL_QTAP_HEALTH_ADDRESS.",
            )
    return ok(f"{wanted} is free")


def _agent_answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
