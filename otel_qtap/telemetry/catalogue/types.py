# SPDX-License-Identifier: Apache-2.0
"""What a description says."""

from dataclasses import dataclass
from typing import Literal

AttributeType = Literal["string", "string[]", "int", "double", "boolean"]
Instrument = Literal["counter", "updowncounter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class DescribedAttribute:
    """One attribute; ``where`` says what carries it, and when."""

    name: str
    type: AttributeType
    where: str
    description: str


@dataclass(frozen=True, slots=True)
class DescribedSpan:
    """One kind of span."""

    name: str
    kind: str
    resource: str
    scope: str
    description: str


@dataclass(frozen=True, slots=True)
class DescribedEvent:
    """One log event: its EventName, severity, whose resource it has, and its attributes."""

    name: str
    severity: Literal["INFO", "WARN"]
    resource: Literal["workload", "agent"]
    attributes: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class DescribedMetric:
    """One metric of the agent; ``unit`` is a UCUM unit."""

    name: str
    instrument: Instrument
    unit: str
    attributes: tuple[str, ...]
    description: str
