# SPDX-License-Identifier: Apache-2.0
"""What is in a payload, and whether it may leave. Pure. The only room that makes ClassifiedExchange.

base      the Classifier protocol
registry  the classifiers that exist
engine    Exchange -> ClassifiedExchange; what cannot be inspected is withheld
"""

from otel_qtap.classification.base import Classifier
from otel_qtap.classification.engine import ClassificationEngine, ClassificationStatistics
from otel_qtap.classification.registry import CLASSIFIERS

__all__ = ["CLASSIFIERS", "ClassificationEngine", "ClassificationStatistics", "Classifier"]
