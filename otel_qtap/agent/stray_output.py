# SPDX-License-Identifier: Apache-2.0
"""Standard error, as those write it who know nothing of the log: C libraries, children, the interpreter.

Their lines would stand between the log's, in another form and with whatever control characters. They go into
a pipe instead, which the owner's loop reads; the log goes on where standard error went before.
"""

import contextlib
import logging
import os

from otel_qtap.agent.log_output import redirect, redirected_to

logger = logging.getLogger(__name__)

_STANDARD_ERROR = 2
_LONGEST_LINE = 2000
_MOST_BYTES = 65536
"""Of one reading; a pipe holds no more."""


class StrayOutput:
    """Takes standard error over. ``show``: whether the lines may be told.

    In a process that has captured data in its memory they may not: a library that fails may quote it.
    """

    def __init__(self, *, show: bool) -> None:
        self._show = show
        self._rest = b""
        if redirected_to() is None:
            redirect(os.fdopen(os.dup(_STANDARD_ERROR), "w", encoding="utf-8", errors="replace"))
        # Full, it fails rather than blocks: its reader may be who writes.
        self._pipe, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.dup2(writer, _STANDARD_ERROR)
        os.close(writer)

    def fileno(self) -> int:
        """For selectors: readable when somebody wrote."""
        return self._pipe

    def drain(self) -> None:
        """Log what was written since."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while len(data) < _MOST_BYTES and (more := os.read(self._pipe, _MOST_BYTES)):
                data += more
        if not data:
            return
        extra = {"event_name": "otel_qtap.stray_output"}
        if not self._show:
            logger.warning(
                "%d bytes were written to standard error; not shown, for they may quote what was captured",
                len(data),
                extra=extra,
            )
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            if text := line[:_LONGEST_LINE].decode(errors="replace").strip():
                logger.warning("standard error: %s", text, extra=extra)

    def close(self) -> None:
        """Log the rest and give standard error back."""
        self.drain()
        log = redirected_to()
        if log is not None:
            os.dup2(log.fileno(), _STANDARD_ERROR)
            redirect(None)
        os.close(self._pipe)
        if self._rest:
            logger.warning("standard error: %s", self._rest.decode(errors="replace"))
