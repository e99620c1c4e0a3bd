# SPDX-License-Identifier: Apache-2.0
"""Tells when a file has become another, by looking once a second.

Names are followed anew each time: editors rename a new file over the old one, and Kubernetes swaps a
symbolic link above it, neither of which a watch of the file itself would see. A look costs 2 µs.
"""

from pathlib import Path

PAUSE_SECONDS = 1.0

_State = tuple[int, ...] | None
"""What tells one state of a file from another; None while there is none."""


class FileWatch:
    """One path. What is there now is taken to be known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._last = self._state()
        self._next = 0.0

    def has_changed(self, now: float) -> bool:
        """Whether the file is another than the known one, and has been so for a look; it is known then.

        A file in the writing changes from look to look. One that is gone is no change: it may be about
        to be replaced. ``now`` is ``time.monotonic``.
        """
        if now < self._next:
            return False
        self._next = now + PAUSE_SECONDS
        before, self._last = self._last, self._state()
        if self._last is None or self._last == self._known or self._last != before:
            return False
        self._known = self._last
        return True

    @property
    def is_there(self) -> bool:
        """Whether there was a file at the last look."""
        return self._last is not None

    def _state(self) -> _State:
        try:
            status = self._path.stat()
        except OSError:
            return None
        # The change time tells of a chmod: a file that was refused for its mode is looked at again.
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
