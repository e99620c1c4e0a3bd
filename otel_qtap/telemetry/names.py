# SPDX-License-Identifier: Apache-2.0
"""Names that this room writes into telemetry. What they mean stands in ``catalogue``.

Semantic conventions 1.44.0 where they have a name; ``qtap.*`` where they have none. The ``*_ref``
names are those of the open proposal for reference attributes (open-telemetry/semantic-conventions
pull request 4102), not yet of a release.
"""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
SCOPE_PREFIX: Final = "otel_qtap."
AGENT_SCOPE: Final = "agent"

# Spans and log events
UPLOAD_SPAN: Final = "qtap.payload.upload"
CAPTURE_SPAN: Final = "qtap.capture"
EVENT_PAYLOAD_CAPTURED: Final = "qtap.payload.captured"
EVENT_PAYLOAD_STORED: Final = "qtap.payload.stored"
EVENT_PAYLOAD_DROPPED: Final = "qtap.payload.dropped"
EVENT_TLS_HANDSHAKE: Final = "qtap.tls.handshake"
EVENT_CONNECTION_CLOSED: Final = "qtap.connection.closed"
EVENT_SENSITIVE_DATA_FOUND: Final = "qtap.sensitive_data.found"
EVENT_CAPTURE_LOST: Final = "qtap.capture.lost"
EVENT_NOT_CAPTURED: Final = "qtap.process.not_captured"

# Resources
SERVICE_NAME: Final = "service.name"
SERVICE_NAMESPACE: Final = "service.namespace"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
CONTAINER_ID: Final = "container.id"
CONTAINER_NAME: Final = "container.name"
CONTAINER_RUNTIME_NAME: Final = "container.runtime.name"
CONTAINER_IMAGE_ID: Final = "container.image.id"
CONTAINER_IMAGE_NAME: Final = "container.image.name"
CONTAINER_IMAGE_TAGS: Final = "container.image.tags"
CONTAINER_IMAGE_REPO_DIGESTS: Final = "container.image.repo_digests"
CONTAINER_LABEL_PREFIX: Final = "container.label."
K8S_POD_UID: Final = "k8s.pod.uid"
K8S_POD_NAME: Final = "k8s.pod.name"
K8S_NAMESPACE_NAME: Final = "k8s.namespace.name"
K8S_NODE_NAME: Final = "k8s.node.name"
K8S_CONTAINER_NAME: Final = "k8s.container.name"
K8S_OWNER_NAMES: Final = {
    kind: f"k8s.{kind}.name"
    for kind in ("deployment", "replicaset", "statefulset", "daemonset", "cronjob", "job")
}
SYSTEMD_UNIT: Final = "qtap.systemd.unit"
HOST_NAME: Final = "host.name"
HOST_ID: Final = "host.id"
HOST_ARCH: Final = "host.arch"
OS_TYPE: Final = "os.type"
TELEMETRY_DISTRO_NAME: Final = "telemetry.distro.name"
TELEMETRY_DISTRO_VERSION: Final = "telemetry.distro.version"

# Process, on spans
PROCESS_PID: Final = "process.pid"
PROCESS_CREATION_TIME: Final = "process.creation.time"
PROCESS_COMMAND: Final = "process.command"
PROCESS_EXECUTABLE_NAME: Final = "process.executable.name"
PROCESS_EXECUTABLE_PATH: Final = "process.executable.path"
PROCESS_USER_ID: Final = "process.user.id"
PROCESS_USER_NAME: Final = "process.user.name"

# Peers, on connection events (on spans the protocol sets them)
NETWORK_PEER_ADDRESS: Final = "network.peer.address"
NETWORK_PEER_PORT: Final = "network.peer.port"
NETWORK_LOCAL_ADDRESS: Final = "network.local.address"
NETWORK_LOCAL_PORT: Final = "network.local.port"
SERVER_ADDRESS: Final = "server.address"

# Outcome
ERROR_TYPE: Final = "error.type"

# How it was captured
CAPTURE_SIDE: Final = "qtap.capture.side"
CAPTURE_COMPLETE: Final = "qtap.capture.complete"
CAPTURE_INCOMPLETE_REASON: Final = "qtap.capture.incomplete_reason"
CAPTURE_LOST_BYTES: Final = "qtap.capture.lost.bytes"
CAPTURE_LOST_EVENTS: Final = "qtap.capture.lost.events"
CAPTURE_LOST_REASON: Final = "qtap.capture.lost.reason"
COVERAGE_REASON: Final = "qtap.coverage.reason"
COVERAGE_DETAIL: Final = "qtap.coverage.detail"
INSTRUMENTATION_EVIDENCE: Final = "qtap.instrumentation.evidence"
TRACE_JOIN: Final = "qtap.trace.join"
PEER_SOURCE: Final = "qtap.peer.source"
TLS_LIBRARY: Final = "qtap.tls.library"
TLS_ESTABLISHED: Final = "tls.established"
TLS_HANDSHAKE_DURATION: Final = "qtap.tls.handshake.duration"
TLS_PROTOCOL_NAME: Final = "tls.protocol.name"
TLS_PROTOCOL_VERSION: Final = "tls.protocol.version"
TLS_CIPHER: Final = "tls.cipher"
TLS_CURVE: Final = "tls.curve"
TLS_NEXT_PROTOCOL: Final = "tls.next_protocol"
TLS_RESUMED: Final = "tls.resumed"
TLS_SERVER_NAME: Final = "qtap.tls.client.server_name"
TLS_OFFERED_PROTOCOLS: Final = "qtap.tls.client.next_protocols"
TLS_OFFERED_CIPHERS: Final = "tls.client.supported_ciphers"
TLS_PROTOCOLS_OMITTED: Final = "qtap.tls.client.next_protocols_omitted"
TLS_CIPHERS_OMITTED: Final = "qtap.tls.client.supported_ciphers_omitted"
TLS_CLIENT_JA3: Final = "tls.client.ja3"
TLS_CLIENT_JA4: Final = "qtap.tls.client.ja4"
TLS_SERVER_JA3S: Final = "tls.server.ja3s"
TLS_SERVER_JA4S: Final = "qtap.tls.server.ja4s"
TLS_CLIENT_SUBJECT: Final = "tls.client.subject"
TLS_CLIENT_ISSUER: Final = "tls.client.issuer"
TLS_CLIENT_NOT_BEFORE: Final = "tls.client.not_before"
TLS_CLIENT_NOT_AFTER: Final = "tls.client.not_after"
TLS_CLIENT_HASH: Final = "tls.client.hash.sha256"
TLS_SERVER_SUBJECT: Final = "tls.server.subject"
TLS_SERVER_ISSUER: Final = "tls.server.issuer"
TLS_SERVER_NOT_BEFORE: Final = "tls.server.not_before"
TLS_SERVER_NOT_AFTER: Final = "tls.server.not_after"
TLS_SERVER_HASH: Final = "tls.server.hash.sha256"
CONNECTION_CLOSE_REASON: Final = "qtap.connection.close_reason"
CONNECTION_EGRESS_BYTES: Final = "qtap.connection.egress.bytes"
CONNECTION_INGRESS_BYTES: Final = "qtap.connection.ingress.bytes"

# Payloads by reference
REQUEST_CONTENT_REF: Final = "http.request.body.content_ref"
RESPONSE_CONTENT_REF: Final = "http.response.body.content_ref"
PAYLOAD_URI: Final = "qtap.payload.uri"
PAYLOAD_PART: Final = "qtap.payload.part"
PAYLOAD_SIZE: Final = "qtap.payload.size"
PAYLOAD_CAPTURED_SIZE: Final = "qtap.payload.captured_size"
PAYLOAD_SHA256: Final = "qtap.payload.sha256"
PAYLOAD_CONTENT_TYPE: Final = "qtap.payload.content_type"
PAYLOAD_ENCODING: Final = "qtap.payload.encoding"
PAYLOAD_OFFSET: Final = "qtap.payload.offset"
PAYLOAD_LENGTH: Final = "qtap.payload.length"
PAYLOAD_TRUNCATED: Final = "qtap.payload.truncated"
PAYLOAD_REDACTED: Final = "qtap.payload.redacted"
PAYLOAD_STATUS: Final = "qtap.payload.status"
PAYLOAD_DROP_REASON: Final = "qtap.payload.drop_reason"
PAYLOAD_RECORDS: Final = "qtap.payload.records"
LINK_KIND: Final = "qtap.link.kind"
FINDING_CLASSIFIER: Final = "qtap.finding.classifier"
FINDING_CATEGORY: Final = "qtap.finding.category"
FINDING_COUNT: Final = "qtap.finding.count"

# Uploads (AWS SDK conventions)
RPC_SYSTEM_NAME: Final = "rpc.system.name"
RPC_METHOD: Final = "rpc.method"
AWS_S3_BUCKET: Final = "aws.s3.bucket"
AWS_S3_KEY: Final = "aws.s3.key"
AWS_REQUEST_ID: Final = "aws.request_id"
CLOUD_REGION: Final = "cloud.region"

# The agent's metrics that this room fills itself
METRIC_OPERATION_DURATION: Final = "otel.sdk.exporter.operation.duration"
