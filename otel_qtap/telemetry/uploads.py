# SPDX-License-Identifier: Apache-2.0
"""UploadOutcome -> the span of the upload: what the links of conversation spans point at.

It stands in a trace of its own, under the ids that were given out before the upload began, and
belongs to the agent's resource.
"""

from typing import Final

from otel_qtap.model.exchange import Attributes
from otel_qtap.model.record import SegmentDropped, SegmentStored, UploadOutcome
from otel_qtap.telemetry import names
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.limits import SpanLimits
from otel_qtap.telemetry.otlp.attributes import SPAN_ATTRIBUTES, AttributeEncoder
from otel_qtap.telemetry.otlp.spans import (
    FLAG_HAS_IS_REMOTE,
    FLAG_SAMPLED,
    KIND_CLIENT,
    KIND_INTERNAL,
    span_message,
)

_S3: Final = "s3://"


def upload_attributes(outcome: UploadOutcome) -> Attributes:
    """Span attributes of an upload; those of the AWS SDK conventions where it went to an S3 store."""
    known: Attributes = {names.PAYLOAD_URI: outcome.uri, names.PAYLOAD_SIZE: outcome.size}
    if outcome.uri.startswith(_S3):
        bucket, _, key = outcome.uri.removeprefix(_S3).partition("/")
        known |= {
            names.RPC_SYSTEM_NAME: "aws-api",
            names.RPC_METHOD: "PutObject",
            names.AWS_S3_BUCKET: bucket,
            names.AWS_S3_KEY: key,
        }
    match outcome:
        case SegmentStored():
            known[names.PAYLOAD_STATUS] = "stored"
            known[names.PAYLOAD_RECORDS] = outcome.records
            if outcome.request_id:
                known[names.AWS_REQUEST_ID] = outcome.request_id
            if outcome.region:
                known[names.CLOUD_REGION] = outcome.region
        case SegmentDropped():
            known[names.PAYLOAD_STATUS] = "dropped"
            known[names.PAYLOAD_DROP_REASON] = outcome.reason
            known[names.ERROR_TYPE] = outcome.reason
    return known


class UploadEncoder:
    """Encodes upload spans. Used by one thread at a time."""

    def __init__(self, *, limits: SpanLimits, clock: UnixClock) -> None:
        self._count = limits.attributes.count
        self._attributes = AttributeEncoder(SPAN_ATTRIBUTES, value_length=limits.attributes.value_length)
        self._clock = clock

    def encode(self, outcome: UploadOutcome) -> bytes:
        """Return the span of an upload, framed. Its kind is CLIENT where a server was called."""
        remote = outcome.uri.startswith(_S3)
        fragments = self._attributes.fragments(upload_attributes(outcome))
        start_unix_ns = self._clock.unix(outcome.start_ns)
        return span_message(
            trace_id=outcome.upload.trace_id,
            span_id=outcome.upload.span_id,
            name="PutObject" if remote else names.UPLOAD_SPAN,
            kind=KIND_CLIENT if remote else KIND_INTERNAL,
            start_unix_ns=start_unix_ns,
            end_unix_ns=max(start_unix_ns, self._clock.unix(outcome.end_ns)),
            attributes=fragments[: self._count],
            dropped_attributes=max(0, len(fragments) - self._count),
            flags=FLAG_HAS_IS_REMOTE | FLAG_SAMPLED,
            is_error=isinstance(outcome, SegmentDropped),
        )
