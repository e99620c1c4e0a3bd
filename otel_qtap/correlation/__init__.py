# SPDX-License-Identifier: Apache-2.0
"""Where a span stands in its trace: ids, parent, link and sampling. Pure: no clock, no socket.

context      what a propagation format says: ObservedContext, or MALFORMED
w3c b3 xray  one reader per format, each Mapping[str, str] -> ObservedContext | None
propagation  the readers that OTEL_PROPAGATORS names, in its order
sampling     the samplers that OTEL_TRACES_SAMPLER names
exports      which exchanges are OTLP, and which processes export spans
adoption     how often and how long one observed context may be a parent
ids          random trace and span ids
derivation   ids that both ends of a TLS connection derive alike
clients      whether the client of a server is observed, too
correlator   Exchange -> SpanIdentity
"""

from otel_qtap.correlation.clients import Join
from otel_qtap.correlation.correlator import CaptureSpans, CorrelationStatistics, Correlator, TraceMode
from otel_qtap.correlation.ids import IdSource
from otel_qtap.correlation.sampling import Sampler, new_sampler

__all__ = [
    "CaptureSpans",
    "CorrelationStatistics",
    "Correlator",
    "IdSource",
    "Join",
    "Sampler",
    "TraceMode",
    "new_sampler",
]
