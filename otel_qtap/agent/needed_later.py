# SPDX-License-Identifier: Apache-2.0
"""Modules that are first needed when the interpreter's files may be out of reach.

They may be closed to the pipeline's account, as those of an interpreter below /root are.
"""

import importlib
import importlib.util
import stat
from pathlib import Path

_BY_STANDARD_LIBRARY = ("encodings.idna", "stringprep", "unicodedata", "http.server")
"""What the standard library imports when it first needs it."""
_LARGE = ("cryptography.x509",)
"""What takes memory, and is better imported when it is needed, where it can be."""


def import_needed_later() -> None:
    """Import them now: all of the small ones, and the large ones where nobody else can read them."""
    for module in _BY_STANDARD_LIBRARY:
        importlib.import_module(module)
    for module in _LARGE:
        package = importlib.util.find_spec(module.partition(".")[0])
        if package is not None and package.origin and not is_open_to_all(Path(package.origin)):
            importlib.import_module(module)


def is_open_to_all(path: Path) -> bool:
    """Whether any account can read a file, by the modes of the file and of the directories above it."""
    return bool(path.stat().st_mode & stat.S_IROTH) and all(
        above.stat().st_mode & stat.S_IXOTH for above in path.resolve().parents
    )
