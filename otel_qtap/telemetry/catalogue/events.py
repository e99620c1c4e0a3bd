# SPDX-License-Identifier: Apache-2.0
"""Log events and the attributes that only they have."""

from otel_qtap.telemetry import names
from otel_qtap.telemetry.catalogue.tls import TLS_EVENT_ATTRIBUTES, TLS_SPAN_ATTRIBUTES
from otel_qtap.telemetry.catalogue.types import DescribedAttribute as Attribute
from otel_qtap.telemetry.catalogue.types import DescribedEvent

_PROCESS = (
    names.PROCESS_PID,
    names.PROCESS_CREATION_TIME,
    names.PROCESS_COMMAND,
    names.PROCESS_EXECUTABLE_NAME,
    names.PROCESS_EXECUTABLE_PATH,
    names.PROCESS_USER_ID,
    names.PROCESS_USER_NAME,
)

_CONNECTION = (
    *_PROCESS,
    names.TLS_LIBRARY,
    names.PEER_SOURCE,
    names.CAPTURE_SIDE,
    names.NETWORK_PEER_ADDRESS,
    names.NETWORK_PEER_PORT,
    names.NETWORK_LOCAL_ADDRESS,
    names.NETWORK_LOCAL_PORT,
)

_CAPTURED = (
    names.INSTRUMENTATION_EVIDENCE,
    names.CAPTURE_SIDE,
    names.CAPTURE_COMPLETE,
    names.CAPTURE_INCOMPLETE_REASON,
    names.REQUEST_CONTENT_REF,
    names.RESPONSE_CONTENT_REF,
    names.PAYLOAD_URI,
    names.PAYLOAD_PART,
    names.PAYLOAD_STATUS,
    names.PAYLOAD_DROP_REASON,
)

EVENTS = (
    DescribedEvent(
        names.EVENT_PAYLOAD_CAPTURED,
        "INFO",
        "workload",
        _CAPTURED,
        "An exchange was captured whose span the process makes itself: with these, all attributes that our "
        "span would have. It stands under the ids that were on the wire: on the client's side those of its "
        "own span, on the server's those of the caller's; where there were none, under those of "
        f"`{names.CAPTURE_SPAN}`.",
    ),
    DescribedEvent(
        names.EVENT_TLS_HANDSHAKE,
        "INFO",
        "workload",
        (
            *_CONNECTION,
            names.TLS_ESTABLISHED,
            names.TLS_HANDSHAKE_DURATION,
            names.SERVER_ADDRESS,
            *(row.name for row in TLS_SPAN_ATTRIBUTES),
            *(row.name for row in TLS_EVENT_ATTRIBUTES),
        ),
        "A TLS handshake ended well. What it agreed on is told as far as its messages are in clear and were "
        f"seen; `{names.SERVER_ADDRESS}` is the name that the client asked for.",
    ),
    DescribedEvent(
        names.EVENT_CONNECTION_CLOSED,
        "INFO",
        "workload",
        (
            *_CONNECTION,
            names.CONNECTION_CLOSE_REASON,
            names.CONNECTION_EGRESS_BYTES,
            names.CONNECTION_INGRESS_BYTES,
        ),
        "A TLS connection is over.",
    ),
    DescribedEvent(
        names.EVENT_SENSITIVE_DATA_FOUND,
        "WARN",
        "workload",
        (names.FINDING_CLASSIFIER, names.FINDING_CATEGORY, names.PAYLOAD_PART, names.FINDING_COUNT),
        "Sensitive data was found in a payload; in the trace of its exchange, one event per finding.",
    ),
    DescribedEvent(
        names.EVENT_PAYLOAD_STORED,
        "INFO",
        "agent",
        (names.PAYLOAD_URI, names.PAYLOAD_SIZE, names.PAYLOAD_RECORDS, names.PAYLOAD_STATUS),
        "A segment of payloads reached the store; in the trace of its upload.",
    ),
    DescribedEvent(
        names.EVENT_PAYLOAD_DROPPED,
        "WARN",
        "agent",
        (names.PAYLOAD_URI, names.PAYLOAD_STATUS, names.PAYLOAD_DROP_REASON, names.ERROR_TYPE),
        "A segment was given up: one event for each span whose references lead nowhere now, in its trace.",
    ),
    DescribedEvent(
        names.EVENT_CAPTURE_LOST,
        "WARN",
        "agent",
        (names.CAPTURE_LOST_REASON, names.CAPTURE_LOST_BYTES, names.CAPTURE_LOST_EVENTS),
        "Captured data did not reach the pipeline.",
    ),
    DescribedEvent(
        names.EVENT_NOT_CAPTURED,
        "INFO",
        "workload",
        (*_PROCESS, names.TLS_LIBRARY, names.COVERAGE_REASON, names.COVERAGE_DETAIL),
        "A process was seen to speak TLS, and is not captured: one event for each process and reason. "
        f"`{names.TLS_LIBRARY}` is what it speaks it with, where that is recognised: here also one that "
        "cannot be captured, such as `java` or `rustls`.",
    ),
)

EVENT_ATTRIBUTES = (
    Attribute(names.TLS_ESTABLISHED, "boolean", names.EVENT_TLS_HANDSHAKE, "Always true."),
    Attribute(
        names.TLS_HANDSHAKE_DURATION,
        "double",
        names.EVENT_TLS_HANDSHAKE,
        "Seconds from the first call to the last. Absent where a read or a write made the handshake.",
    ),
    *TLS_EVENT_ATTRIBUTES,
    Attribute(
        names.CONNECTION_CLOSE_REASON,
        "string",
        names.EVENT_CONNECTION_CLOSED,
        "`ssl_free`, `socket_closed`, `replaced`, `process_exit`, `idle`, `evicted` or `agent_stopped`.",
    ),
    Attribute(
        names.CONNECTION_EGRESS_BYTES, "int", names.EVENT_CONNECTION_CLOSED, "Plaintext bytes written."
    ),
    Attribute(names.CONNECTION_INGRESS_BYTES, "int", names.EVENT_CONNECTION_CLOSED, "Plaintext bytes read."),
    Attribute(
        names.COVERAGE_REASON,
        "string",
        names.EVENT_NOT_CAPTURED,
        "`unsupported` (an implementation that is known and cannot be captured), `refused` (where to probe "
        "this file could not be made out), `not_plaintext` (what came out was none), `permission` (the "
        "kernel or a limit is against it), `no_call` (probed, and not called), `no_library` (none is known), "
        "`excluded` (by the settings) or `ended` (before it was looked at).",
    ),
    Attribute(
        names.COVERAGE_DETAIL,
        "string",
        names.EVENT_NOT_CAPTURED,
        "What it is about and what to do, for a person to read.",
    ),
    Attribute(names.FINDING_CLASSIFIER, "string", names.EVENT_SENSITIVE_DATA_FOUND, "What found it."),
    Attribute(names.FINDING_CATEGORY, "string", names.EVENT_SENSITIVE_DATA_FOUND, "What kind of data it is."),
    Attribute(names.FINDING_COUNT, "int", names.EVENT_SENSITIVE_DATA_FOUND, "How often it was found."),
    Attribute(names.CAPTURE_LOST_REASON, "string", names.EVENT_CAPTURE_LOST, "Why, e.g. `ring_full`."),
    Attribute(names.CAPTURE_LOST_BYTES, "int", names.EVENT_CAPTURE_LOST, "Plaintext bytes lost, if known."),
    Attribute(names.CAPTURE_LOST_EVENTS, "int", names.EVENT_CAPTURE_LOST, "Kernel events lost."),
)
