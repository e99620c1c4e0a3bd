# SPDX-License-Identifier: Apache-2.0
"""Every error a user can meet.

QtapError
├── SettingsError        bad configuration, refused at start (exit code 2)
├── PrivilegeError       a privilege or a kernel feature is missing (exit code 3)
├── CaptureError         the kernel refused to load, attach or map something (exit code 1)
├── StoreError           an object store refused or could not be reached
│   ├── NotStoredError   what is asked for is not in the store (any more)
│   └── TooLargeError    what is asked for is larger than the reader takes
├── ExportError          a collector refused or could not be reached
├── HealthError          no running agent answers
└── RecordingError       a recording file cannot be read or written

Messages name what failed, where, and how to fix it; they never carry a byte of payload.
"""


class QtapError(Exception):
    """Base of all errors that otel-qtap raises on purpose."""

    exit_code = 1


class SettingsError(QtapError):
    """A setting was refused: the variable's name, the shape it wants, and the fix."""

    exit_code = 2


class PrivilegeError(QtapError):
    """A privilege or a kernel feature that the task needs is missing."""

    exit_code = 3


class CaptureError(QtapError):
    """The kernel refused to load, attach or map something."""


class StoreError(QtapError):
    """An object store refused a request or could not be reached."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class NotStoredError(StoreError):
    """What is asked for is not in the store: never stored, not yet, expired, or deleted."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class TooLargeError(StoreError):
    """What is asked for is larger than the reader takes."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class ExportError(QtapError):
    """A collector refused a request or could not be reached."""


class HealthError(QtapError):
    """No running agent answers at the health address."""


class RecordingError(QtapError):
    """A recording cannot be read or written."""
