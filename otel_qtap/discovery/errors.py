# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a file that is looked at."""

from otel_qtap.errors import CaptureError


class ElfError(CaptureError):
    """A file cannot be read as an ELF64 x86-64 image; the message says why."""


class FileGoneError(ElfError):
    """A file cannot be opened, or not any more: nothing is known of what is in it."""
