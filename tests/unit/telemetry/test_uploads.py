# SPDX-License-Identifier: Apache-2.0
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from otel_qtap.model.record import SegmentDropped, SegmentStored
from otel_qtap.model.trace import SpanTarget
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.limits import AttributeLimits, SpanLimits
from otel_qtap.telemetry.uploads import UploadEncoder

OFFSET = 1_700_000_000_000_000_000
UPLOAD = SpanTarget(trace_id=b"\x07" * 16, span_id=b"\x08" * 8)


def stored(**changes):
    values = {
        "upload": UPLOAD,
        "uri": "s3://bucket/prefix/service.name=orders/a.warc.gz",
        "key": "prefix/service.name=orders/a.warc.gz",
        "bucket": "bucket",
        "size": 4096,
        "records": 12,
        "start_ns": 1000,
        "end_ns": 2000,
        "request_id": "REQ1",
        "region": "eu-central-1",
    }
    return SegmentStored(**(values | changes))


def dropped(**changes):
    values = {
        "upload": UPLOAD,
        "uri": "s3://bucket/a.warc.gz",
        "size": 4096,
        "reason": "access_denied",
        "start_ns": 1000,
        "end_ns": 2000,
        "spans": (),
    }
    return SegmentDropped(**(values | changes))


def encoded(outcome, limits=None):
    clock = UnixClock(boottime_ns=lambda: 0, unix_ns=lambda: OFFSET)
    message = UploadEncoder(limits=limits or SpanLimits(), clock=clock).encode(outcome)
    [span] = ScopeSpans.FromString(message).spans
    return span


def attributes(span):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_upload_to_s3_is_a_call_of_the_aws_api():
    span = encoded(stored())
    assert (span.trace_id, span.span_id, span.parent_span_id) == (UPLOAD.trace_id, UPLOAD.span_id, b"")
    assert span.name == "PutObject"
    assert span.kind == Span.SPAN_KIND_CLIENT
    assert span.flags == 0x101
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (OFFSET + 1000, OFFSET + 2000)
    assert not span.HasField("status")
    assert attributes(span) == {
        "rpc.system.name": "aws-api",
        "rpc.method": "PutObject",
        "aws.s3.bucket": "bucket",
        "aws.s3.key": "prefix/service.name=orders/a.warc.gz",
        "aws.request_id": "REQ1",
        "cloud.region": "eu-central-1",
        "qtap.payload.uri": "s3://bucket/prefix/service.name=orders/a.warc.gz",
        "qtap.payload.size": 4096,
        "qtap.payload.records": 12,
        "qtap.payload.status": "stored",
    }


@pytest.mark.parametrize("uri", ["file:///var/lib/otel-qtap/objects/a.warc.gz", "memory:/a.warc.gz"])
def test_store_that_is_no_server_is_an_internal_span(uri):
    span = encoded(stored(uri=uri, bucket="", request_id="", region=""))
    assert span.name == "qtap.payload.upload"
    assert span.kind == Span.SPAN_KIND_INTERNAL
    assert attributes(span) == {
        "qtap.payload.uri": uri,
        "qtap.payload.size": 4096,
        "qtap.payload.records": 12,
        "qtap.payload.status": "stored",
    }


def test_upload_that_was_given_up_is_an_error():
    span = encoded(dropped())
    assert span.status == Status(code=Status.STATUS_CODE_ERROR)
    told = attributes(span)
    assert told["error.type"] == told["qtap.payload.drop_reason"] == "access_denied"
    assert told["qtap.payload.status"] == "dropped"
    assert (told["aws.s3.bucket"], told["aws.s3.key"]) == ("bucket", "a.warc.gz")


def test_limits_apply():
    span = encoded(stored(), SpanLimits(attributes=AttributeLimits(count=2, value_length=6)))
    assert len(span.attributes) == 2
    assert span.dropped_attributes_count == 8
    assert attributes(span)["qtap.payload.uri"] == "s3://b"
