# SPDX-License-Identifier: Apache-2.0
"""The readers that OTEL_PROPAGATORS names, in its order: where several find a context, the last wins."""

from collections.abc import Mapping, Sequence

from otel_qtap.correlation import b3, w3c, xray
from otel_qtap.correlation.context import MALFORMED, ObservedContext, Reader
from otel_qtap.errors import SettingsError

_READERS: dict[str, tuple[Reader, tuple[str, ...]]] = {
    "tracecontext": (w3c.read, w3c.FIELDS),
    "b3": (b3.read, b3.FIELDS),
    "b3multi": (b3.read, b3.FIELDS),
    "xray": (xray.read, xray.FIELDS),
}
# Baggage is user data and never becomes telemetry; it is in the variable's default, so it is a known name.
_WITHOUT_CONTEXT = frozenset({"baggage", "none"})


class Propagation:
    """The configured readers as one; ``malformed`` counts the values that a reader refused.

    Raises SettingsError for a name that is not supported.
    """

    __slots__ = ("_readers", "fields", "malformed")

    def __init__(self, propagators: Sequence[str]) -> None:
        readers: list[Reader] = []
        fields: set[str] = set()
        for name in propagators:
            if name in _WITHOUT_CONTEXT:
                continue
            if name not in _READERS:
                known = ", ".join((*_READERS, *sorted(_WITHOUT_CONTEXT)))
                raise SettingsError(f"OTEL_PROPAGATORS: {name!r} is not supported; choose from {known}")
            reader, names = _READERS[name]
            if reader in readers:
                readers.remove(reader)
            readers.append(reader)
            fields.update(names)
        readers.reverse()
        self._readers = tuple(readers)
        self.fields = frozenset(fields)
        """Lower-case names of the fields that are read; the others need not be collected."""
        self.malformed = 0

    def read(self, fields: Mapping[str, str]) -> ObservedContext | None:
        """The context on the wire, or None; a malformed value counts and hides no other format."""
        for reader in self._readers:
            context = reader(fields)
            if context is not None:
                if context is not MALFORMED:
                    return context
                self.malformed += 1
        return None
