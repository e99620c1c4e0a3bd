# SPDX-License-Identifier: Apache-2.0
"""Resource, span and link attributes. Those of HTTP are written by ``otel_qtap.protocols``."""

from otel_qtap.telemetry import names
from otel_qtap.telemetry.catalogue.tls import TLS_SPAN_ATTRIBUTES
from otel_qtap.telemetry.catalogue.types import DescribedAttribute as Attribute
from otel_qtap.telemetry.catalogue.types import DescribedSpan

SPANS = (
    DescribedSpan(
        "`{method}`",
        "CLIENT or SERVER",
        "workload",
        "`otel_qtap.http`",
        "One HTTP exchange, from the first byte of the request to the last of the response, as one end "
        "of the connection saw it. The name is the request method, `HTTP` for methods that are not known.",
    ),
    DescribedSpan(
        f"`{names.CAPTURE_SPAN}`",
        "INTERNAL",
        "workload",
        "`otel_qtap.http`",
        "The same where the process makes its own CLIENT or SERVER span of it: below the span whose context "
        "was on the wire, or a root where none was. See [correlation.md](correlation.md).",
    ),
    DescribedSpan(
        "`PutObject`",
        "CLIENT",
        "agent",
        "`otel_qtap.agent`",
        "One segment of payloads uploaded to an S3 store, in its own trace; spans of exchanges link to it.",
    ),
    DescribedSpan(
        f"`{names.UPLOAD_SPAN}`",
        "INTERNAL",
        "agent",
        "`otel_qtap.agent`",
        "The same where the store is no server: one segment put into a directory or into memory.",
    ),
)

RESOURCE_ATTRIBUTES = (
    Attribute(
        names.SERVICE_NAME,
        "string",
        "workload, agent",
        "Workload: the first name known, of an order that [workloads.md](workloads.md) tells. Agent: "
        "OTEL_SERVICE_NAME, by default `otel-qtap`.",
    ),
    Attribute(
        names.SERVICE_NAMESPACE, "string", "workload, if known", "Namespace of the workload's service."
    ),
    Attribute(names.SERVICE_VERSION, "string", "workload, if known; agent", "Version of the service."),
    Attribute(
        names.SERVICE_INSTANCE_ID,
        "string",
        "workload in a container; agent",
        "Workload: `<namespace>.<pod>.<container>`, or the container's id. Agent: this run, a random UUID.",
    ),
    Attribute(names.CONTAINER_ID, "string", "workload in a container", "Id of the container."),
    Attribute(
        names.CONTAINER_RUNTIME_NAME,
        "string",
        "workload in a container, if known",
        "`docker`, `containerd`, `cri-o` or `podman`.",
    ),
    Attribute(names.CONTAINER_NAME, "string", "workload in a container, if its runtime tells", "Its name."),
    Attribute(
        names.CONTAINER_IMAGE_NAME,
        "string",
        "workload in a container, if its runtime tells",
        "Name of its image, without tag.",
    ),
    Attribute(
        names.CONTAINER_IMAGE_TAGS,
        "string[]",
        "workload in a container, if its runtime tells",
        "The tag that it was started from.",
    ),
    Attribute(
        names.CONTAINER_IMAGE_ID,
        "string",
        "workload in a container, if its runtime tells",
        "The runtime's id of the image.",
    ),
    Attribute(
        names.CONTAINER_IMAGE_REPO_DIGESTS,
        "string[]",
        "workload in a container, if its runtime tells",
        "Digests of the image in its repositories.",
    ),
    Attribute(
        f"{names.CONTAINER_LABEL_PREFIX}<name>",
        "string",
        "workload in a container; by allow-list",
        "A label of the container that the user chose.",
    ),
    Attribute(names.K8S_POD_UID, "string", "workload in a pod", "Uid of the pod."),
    Attribute(names.K8S_POD_NAME, "string", "workload in a pod, if known", "Name of the pod."),
    Attribute(names.K8S_NAMESPACE_NAME, "string", "workload in a pod, if known", "Namespace of the pod."),
    Attribute(names.K8S_NODE_NAME, "string", "workload in a pod, if known", "Node that it runs on."),
    Attribute(
        names.K8S_CONTAINER_NAME,
        "string",
        "workload in a pod, if known",
        "Name of the container in the pod's specification.",
    ),
    *(
        Attribute(name, "string", "workload in a pod, if known", f"Name of the {kind} that made the pod.")
        for kind, name in names.K8S_OWNER_NAMES.items()
    ),
    Attribute(
        names.SYSTEMD_UNIT, "string", "workload in a systemd service", "The service, such as `nginx.service`."
    ),
    Attribute(names.HOST_NAME, "string", "workload, agent", "Name of the machine, not of the container."),
    Attribute(names.HOST_ID, "string", "workload, agent; if known", "Machine id (`/etc/machine-id`)."),
    Attribute(names.HOST_ARCH, "string", "workload, agent", "Architecture of the machine, such as `amd64`."),
    Attribute(names.OS_TYPE, "string", "workload, agent", "Always `linux`."),
    Attribute(names.PROCESS_PID, "int", "agent", "Process id of the agent; on spans that of the workload."),
    Attribute(names.TELEMETRY_DISTRO_NAME, "string", "workload, agent", "Always `otel-qtap`."),
    Attribute(names.TELEMETRY_DISTRO_VERSION, "string", "workload, agent", "Version of otel-qtap."),
)

HTTP_ATTRIBUTES = (
    Attribute(
        "http.request.method", "string", "client, server", "Request method, `_OTHER` if not a known one."
    ),
    Attribute(
        "http.request.method_original",
        "string",
        "client, server; if the method is `_OTHER`",
        "Request method as it was on the wire.",
    ),
    Attribute(
        "http.response.status_code",
        "int",
        "client, server; if a response was seen",
        "Status of the response.",
    ),
    Attribute("http.request.body.size", "int", "client, server", "Bytes of the request body on the wire."),
    Attribute("http.response.body.size", "int", "client, server", "Bytes of the response body on the wire."),
    Attribute(
        "http.request.header.<name>",
        "string[]",
        "client, server; by allow-list",
        "Values of a request header field that the user allowed.",
    ),
    Attribute(
        "http.response.header.<name>",
        "string[]",
        "client, server; by allow-list",
        "Values of a response header field that the user allowed.",
    ),
    Attribute("url.full", "string", "client", "Absolute URL, without credentials, query values redacted."),
    Attribute("url.scheme", "string", "server", "`https`, or what a proxy said that it was."),
    Attribute("url.path", "string", "server", "Path of the request target."),
    Attribute("url.query", "string", "server; if there is one", "Query, values redacted unless allowed."),
    Attribute("server.address", "string", "client, server", "Host that the client asked for."),
    Attribute("server.port", "int", "client, server", "Port of the server."),
    Attribute(
        "client.address",
        "string",
        "server; if known",
        "Address of the client, by a proxy's word or of the peer.",
    ),
    Attribute("network.peer.address", "string", "client, server; if known", "Address of the socket's peer."),
    Attribute("network.peer.port", "int", "client, server; if known", "Port of the socket's peer."),
    Attribute("network.local.address", "string", "client, server; if known", "Address of this end."),
    Attribute("network.local.port", "int", "client, server; if known", "Port of this end."),
    Attribute("network.protocol.version", "string", "client, server", "`1.0` or `1.1`."),
    Attribute("network.transport", "string", "client, server", "`tcp`."),
    Attribute("user_agent.original", "string", "client, server; if sent", "User-Agent of the request."),
)

SPAN_ATTRIBUTES = (
    Attribute(
        names.ERROR_TYPE,
        "string",
        "exchanges that failed; uploads that were given up",
        "Why: the status code, or a word like `connection_closed`.",
    ),
    Attribute(names.CAPTURE_SIDE, "string", "exchanges", "Which end was observed: `client` or `server`."),
    Attribute(
        names.CAPTURE_COMPLETE, "boolean", "exchanges", "Whether all bytes of the exchange were captured."
    ),
    Attribute(
        names.CAPTURE_INCOMPLETE_REASON,
        "string[]",
        f"exchanges where `{names.CAPTURE_COMPLETE}` is false",
        "What is missing: `gap`, `truncated`, `attached_midstream`, `request_not_seen`, `response_not_seen`, "
        "`connection_ended`, `malformed`.",
    ),
    Attribute(
        names.INSTRUMENTATION_EVIDENCE,
        "string",
        f"exchanges whose span is the process's own: on `{names.CAPTURE_SPAN}`",
        "What shows that the process makes spans: `python_path`, `java_agent`, `node_options`, "
        "`dotnet_profiler`, `ruby_options`, `php_autoload`, `otlp_connection`, `otlp_export`, or the user's "
        "word: `operator`.",
    ),
    Attribute(
        names.TRACE_JOIN,
        "string",
        "exchanges",
        "By what the span found its trace: `propagated` (a context on the wire), `derived` (ids that both "
        "ends of the TLS connection derive alike), `both` (the trace by the one, the span's own id by the "
        "other), or `none`: then the ids are random.",
    ),
    Attribute(
        names.PEER_SOURCE,
        "string",
        "exchanges",
        "What bound the TLS object to its socket: `nested_syscall` (the library's own call moved bytes "
        "there), `hello_random` (the random of a hello that went by there), `ciphertext` (what went "
        "by there is what the library made or took), `descriptor` (the object holds it), or `none`: then "
        "there is no `network.*`.",
    ),
    Attribute(
        names.TLS_LIBRARY,
        "string",
        "exchanges",
        "TLS library whose calls were observed: `openssl`, `boringssl`, `gnutls`, `nss`, `mbedtls`, "
        "`wolfssl`, `s2n` or `go`.",
    ),
    *TLS_SPAN_ATTRIBUTES,
    Attribute(names.PROCESS_PID, "int", "exchanges", "Process id of the workload."),
    Attribute(
        names.PROCESS_CREATION_TIME,
        "string",
        "exchanges; if known",
        "When it started (ISO 8601, to 10 ms); with its id this names a process for ever.",
    ),
    Attribute(names.PROCESS_COMMAND, "string", "exchanges; if known", "The kernel's short name of it."),
    Attribute(names.PROCESS_EXECUTABLE_NAME, "string", "exchanges; if known", "File name of its executable."),
    Attribute(names.PROCESS_EXECUTABLE_PATH, "string", "exchanges; if known", "Path of its executable."),
    Attribute(names.PROCESS_USER_ID, "int", "exchanges; if known", "User id of the process."),
    Attribute(names.PROCESS_USER_NAME, "string", "exchanges; if known", "User name of the process."),
    Attribute(
        names.REQUEST_CONTENT_REF,
        "string",
        "HTTP exchanges with a stored request",
        "URI of the stored request: `<store URL>/<key>#bytes=<first>-<last>`.",
    ),
    Attribute(
        names.RESPONSE_CONTENT_REF,
        "string",
        "HTTP exchanges with a stored response",
        "URI of the stored response.",
    ),
    Attribute(
        names.PAYLOAD_URI,
        "string",
        "exchanges with a stored payload; uploads",
        "URI of the main payload: the response, or the request if no response was stored. On uploads: of the "
        "segment.",
    ),
    Attribute(
        names.PAYLOAD_PART,
        "string",
        "with a payload",
        "Which message the `qtap.payload.*` attributes describe: `response` or `request`.",
    ),
    Attribute(
        names.PAYLOAD_STATUS,
        "string",
        "exchanges with a payload; uploads",
        "`pending`: stored in a segment that is uploaded later. `dropped`: not stored. "
        "On uploads: `stored` or `dropped`.",
    ),
    Attribute(
        names.PAYLOAD_DROP_REASON,
        "string",
        f"where `{names.PAYLOAD_STATUS}` is `dropped`",
        "Why, e.g. `disk_full`. Where the user chose no store, neither attribute is there.",
    ),
    Attribute(
        names.PAYLOAD_SIZE, "int", "with a payload; uploads", "Bytes of the body on the wire; of the segment."
    ),
    Attribute(names.PAYLOAD_CAPTURED_SIZE, "int", "with a payload", "Bytes of the body that were captured."),
    Attribute(names.PAYLOAD_SHA256, "string", "with a payload", "SHA-256 of the captured body, in hex."),
    Attribute(names.PAYLOAD_CONTENT_TYPE, "string", "with a payload; if known", "Media type of the body."),
    Attribute(names.PAYLOAD_ENCODING, "string", "with a payload; if coded", "Content coding, e.g. `gzip`."),
    Attribute(
        names.PAYLOAD_OFFSET, "int", "with a payload", "First byte of the stored record in its object."
    ),
    Attribute(names.PAYLOAD_LENGTH, "int", "with a payload", "Bytes of the stored record."),
    Attribute(
        names.PAYLOAD_TRUNCATED,
        "string",
        "with a payload that was cut",
        "Why: `length` (the user's limit), `gap` (bytes lost) or `disconnect`.",
    ),
    Attribute(
        names.PAYLOAD_REDACTED, "boolean", "with a redacted payload", "True: sensitive data was removed."
    ),
    Attribute(names.PAYLOAD_RECORDS, "int", "uploads that succeeded", "Records in the segment."),
    Attribute(names.RPC_SYSTEM_NAME, "string", "uploads to S3", "`aws-api`."),
    Attribute(names.RPC_METHOD, "string", "uploads to S3", "`PutObject`."),
    Attribute(names.AWS_S3_BUCKET, "string", "uploads to S3", "Bucket."),
    Attribute(names.AWS_S3_KEY, "string", "uploads to S3", "Key of the segment."),
    Attribute(
        names.AWS_REQUEST_ID, "string", "uploads to S3; if known", "Request id that the store answered."
    ),
    Attribute(names.CLOUD_REGION, "string", "uploads to S3; if known", "Region of the bucket."),
)

LINK_ATTRIBUTES = (
    Attribute(
        names.LINK_KIND,
        "string",
        "all links",
        "`payload`: to the upload that carries the payload. `observed_context`: to the context that was on "
        "the wire, where it did not become the parent.",
    ),
    Attribute(names.PAYLOAD_URI, "string", "links to uploads", "As on the span."),
    Attribute(names.PAYLOAD_OFFSET, "int", "links to uploads", "As on the span."),
    Attribute(names.PAYLOAD_LENGTH, "int", "links to uploads", "As on the span."),
    Attribute(names.PAYLOAD_SHA256, "string", "links to uploads", "As on the span."),
    Attribute(names.PAYLOAD_CONTENT_TYPE, "string", "links to uploads; if known", "As on the span."),
)
