# SPDX-License-Identifier: Apache-2.0
"""How requests of this agent's uploads are told where a captured program serves them.

A store on an observed host shows each upload from its server's side. As traffic like any other it would be
stored, uploaded and seen again, without end. The mark is drawn anew at each start, so nobody else's requests
pass for uploads.
"""

import secrets
from typing import Final

MARK: Final = f"otel-qtap/{secrets.token_hex(8)}"
"""Part of the user agent of this agent's requests to its store."""


def is_own(user_agent: str) -> bool:
    """Whether a request with this user agent is one of this agent's own."""
    return MARK in user_agent
