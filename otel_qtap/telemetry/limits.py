# SPDX-License-Identifier: Apache-2.0
"""How much one span, one log record, one batch may hold: the OTEL_* limits, as plain values."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeLimits:
    """Limits on the attributes of one span, link or log record (specification, common/README.md).

    ``value_length`` counts characters of a string, or of each string of an array; None is no limit.
    """

    count: int = 128
    value_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanLimits:
    """OTEL_SPAN_* and OTEL_LINK_* limits. Spans of this agent carry no span events: they are log records."""

    attributes: AttributeLimits = field(default_factory=AttributeLimits)
    link_count: int = 128
    link_attribute_count: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """OTEL_BSP_* (defaults here) or OTEL_BLRP_*; times in milliseconds.

    ``export_timeout_ms`` bounds one attempt to send, as the target's own timeout does. A batch that
    was late is kept and sent again; it is given up only when the spool overflows.
    """

    schedule_delay_ms: int = 5000
    export_timeout_ms: int = 30_000
    max_queue_size: int = 2048
    max_export_batch_size: int = 512
