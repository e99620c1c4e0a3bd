# SPDX-License-Identifier: Apache-2.0
"""Under which account the process runs that parses what was captured."""

import os

from otel_qtap.agent.capabilities import effective_capabilities, mask
from otel_qtap.settings import Settings

_CHANGES_ACCOUNT = mask(("CAP_SETUID", "CAP_SETGID"))


def pipeline_account(settings: Settings) -> tuple[int, int]:
    """Uid and gid: that of the settings, or the agent's own where it is not root and cannot change.

    To be asked before capabilities are given up.
    """
    if os.geteuid() == 0 or effective_capabilities() & _CHANGES_ACCOUNT == _CHANGES_ACCOUNT:
        return settings.pipeline.user
    return own_account()


def own_account() -> tuple[int, int]:
    """The agent's own uid and gid."""
    return os.geteuid(), os.getegid()
