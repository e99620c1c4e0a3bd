# SPDX-License-Identifier: Apache-2.0
"""What one setting was given, and where: the environment and the file speak the same language."""

from collections.abc import Mapping
from typing import NamedTuple

ENVIRONMENT = "environment"
COMMAND_LINE = "command line"
USUAL_PLACE = "usual place"


class Given(NamedTuple):
    """The text of one setting, in the form that its variable takes."""

    text: str
    source: str
    """``environment``, or ``FILE:LINE``; of the file's own path also how that was found."""

    @property
    def in_file(self) -> bool:
        """Whether it stands in the configuration file."""
        return self.source not in (ENVIRONMENT, COMMAND_LINE, USUAL_PLACE)


def from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """The ``OTEL_`` variables by name; an empty one counts as unset."""
    return {
        name: Given(value, ENVIRONMENT)
        for name, value in environ.items()
        if name.startswith("OTEL_") and value.strip()
    }
