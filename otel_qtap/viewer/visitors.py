# SPDX-License-Identifier: Apache-2.0
"""Whoever is let in."""

from typing import NamedTuple


class Visitor(NamedTuple):
    """Who sees payloads: for the log, and for the corner of the page."""

    name: str
    has_session: bool = False
    """Whether there is a session to end here; a proxy's are its own."""
