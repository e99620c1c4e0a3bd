# SPDX-License-Identifier: Apache-2.0
"""What a classifier is."""

from typing import Protocol

from otel_qtap.model.exchange import Payload


class Classifier(Protocol):
    """Finds one category of sensitive data. Deterministic, stateless, linear in the payload's size."""

    @property
    def name(self) -> str:
        """Stable identifier, lower-case with underscores."""

    @property
    def category(self) -> str:
        """What kind of data it finds, e.g. ``payment_card``."""

    def count(self, payload: Payload) -> int:
        """How many values of its category the payload holds.

        May raise anything: the payload is then withheld.
        """
