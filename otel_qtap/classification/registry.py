# SPDX-License-Identifier: Apache-2.0
"""The classifiers that exist, in the order in which they run."""

from typing import Final

from otel_qtap.classification.base import Classifier

CLASSIFIERS: Final[tuple[Classifier, ...]] = ()
