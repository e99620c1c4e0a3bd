# SPDX-License-Identifier: Apache-2.0
"""JSON over HTTP, bounded, for sources that answer in one piece."""

import http.client
import json
from collections.abc import Mapping
from typing import Any


class StatusError(ValueError):
    """The answer's status is not 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


def get_json(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str], max_bytes: int
) -> Any:
    """The JSON at ``path``; closes the connection. Raises OSError, StatusError, ValueError."""
    try:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise StatusError(response.status)
        body = response.read(max_bytes + 1)
    except http.client.HTTPException as error:
        raise ValueError(f"no HTTP ({type(error).__name__})") from None
    finally:
        connection.close()
    if len(body) > max_bytes:
        raise ValueError(f"more than {max_bytes} bytes")
    return json.loads(body)
