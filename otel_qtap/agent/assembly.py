# SPDX-License-Identifier: Apache-2.0
"""Settings to rooms: the only place that knows both."""

import os
import sys
import time
from dataclasses import dataclass

from otel_qtap.agent.chain import Chain
from otel_qtap.agent.directories import OpenDirectories, open_directories
from otel_qtap.agent.host import host_identity
from otel_qtap.agent.otlp_target import otlp_target
from otel_qtap.agent.watcher import chosen_processes
from otel_qtap.agent.workloads import Workloads
from otel_qtap.classification.engine import ClassificationEngine
from otel_qtap.classification.registry import CLASSIFIERS
from otel_qtap.correlation.clients import Join
from otel_qtap.correlation.correlator import CaptureSpans, Correlator, TraceMode
from otel_qtap.correlation.sampling import new_sampler
from otel_qtap.handshake.table import HandshakeTable
from otel_qtap.objectstore.archive import Archive
from otel_qtap.objectstore.base import ObjectStore
from otel_qtap.objectstore.registry import open_store, own_requests
from otel_qtap.protocols.dispatch import Dispatcher
from otel_qtap.protocols.http1 import HttpOptions
from otel_qtap.protocols.registry import new_protocols
from otel_qtap.reassembly.tracker import ConnectionTracker
from otel_qtap.settings import Settings, SignalExport
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.exporting import Telemetry
from otel_qtap.telemetry.limits import AttributeLimits, BatchLimits, SpanLimits
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.resource import AgentIdentity
from otel_qtap.telemetry.signal_pipeline import MetricsOutput, SignalOutput


def build_correlator(settings: Settings) -> Correlator:
    """How spans join traces."""
    standard = settings.standard
    return Correlator(
        propagators=[name for name in standard.propagators if name != "baggage"],
        mode=TraceMode(settings.trace.mode),
        sampler=new_sampler(standard.traces_sampler, standard.traces_sampler_arg),
        ignore_parent_sampling=settings.trace.ignore_parent_sampling,
        adoption_limit=settings.trace.adoption_limit,
        adoption_ns=int(settings.trace.adoption_seconds * 1e9),
        random_bytes=os.urandom,
        capture_spans=CaptureSpans(settings.trace.capture_span),
        join=Join(settings.trace.join),
    )


def build_dispatcher(settings: Settings) -> Dispatcher:
    """Which protocols are read, and what of them may stand in telemetry."""
    http = HttpOptions(
        client_request_headers=settings.allowed_headers("client", "request"),
        client_response_headers=settings.allowed_headers("client", "response"),
        server_request_headers=settings.allowed_headers("server", "request"),
        server_response_headers=settings.allowed_headers("server", "response"),
        query_allow=settings.http.query_allow,
        known_methods=settings.standard.instrumentation_http_known_methods,
    )
    return Dispatcher(new_protocols(http), max_body_bytes=settings.capture.max_body_bytes)


def build_telemetry(settings: Settings, clock: UnixClock) -> Telemetry:
    """Where telemetry goes. Reads certificates, so it is called while root."""
    standard = settings.standard
    span_count, span_length = standard.span_attribute_limits()
    log_count, log_length = standard.logrecord_attribute_limits()
    return Telemetry(
        traces=_output(
            settings.traces,
            BatchLimits(
                schedule_delay_ms=standard.bsp_schedule_delay,
                export_timeout_ms=standard.bsp_export_timeout,
                max_queue_size=standard.bsp_max_queue_size,
                max_export_batch_size=standard.bsp_max_export_batch_size,
            ),
        ),
        logs=_output(
            settings.logs,
            BatchLimits(
                schedule_delay_ms=standard.blrp_schedule_delay,
                export_timeout_ms=standard.blrp_export_timeout,
                max_queue_size=standard.blrp_max_queue_size,
                max_export_batch_size=standard.blrp_max_export_batch_size,
            ),
        ),
        metrics=MetricsOutput(
            exporter=settings.metrics.exporter,
            target=_target(settings.metrics),
            interval_ms=standard.metric_export_interval,
            export_timeout_ms=standard.metric_export_timeout,
            temporality_preference=standard.exporter_otlp_metrics_temporality_preference,
            default_histogram_aggregation=standard.exporter_otlp_metrics_default_histogram_aggregation,
        ),
        agent=AgentIdentity(
            service_name=_agent_service_name(settings),
            resource_attributes=standard.resource_attributes,
        ),
        host=host_identity(),
        span_limits=SpanLimits(
            attributes=AttributeLimits(count=span_count, value_length=span_length),
            link_count=standard.span_link_count_limit,
            link_attribute_count=standard.link_attribute_count_limit,
        ),
        log_limits=AttributeLimits(count=log_count, value_length=log_length),
        stream=sys.stdout,
        clock=clock,
    )


def _agent_service_name(settings: Settings) -> str:
    standard = settings.standard
    if settings.origin("OTEL_SERVICE_NAME") == "default":
        return standard.resource_attributes.get("service.name", standard.service_name)
    return standard.service_name


def _output(export: SignalExport, batch: BatchLimits) -> SignalOutput:
    return SignalOutput(exporter=export.exporter, target=_target(export), batch=batch)


def _target(export: SignalExport) -> OtlpTarget | None:
    return otlp_target(export) if export.exporter == "otlp" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Openings:
    """What may need privilege to open, and none to use: certificates, credentials, directories."""

    directories: OpenDirectories
    telemetry: Telemetry
    store: ObjectStore | None


def open_outside(settings: Settings, clock: UnixClock) -> Openings:
    """Open the ways out. Raises QtapError when one of them cannot be used as it is."""
    directories = open_directories(settings)
    return Openings(
        directories=directories,
        telemetry=build_telemetry(settings, clock),
        store=open_store(
            settings.objects.url,
            root=directories.objects,
            sse=settings.objects.sse,
            sse_kms_key_id=settings.objects.sse_kms_key_id,
            tags=settings.objects.tags,
        ),
    )


class Rooms:
    """The rooms of the pipeline, built and joined; nothing runs before ``start``."""

    def __init__(self, settings: Settings, openings: Openings) -> None:
        self.settings = settings
        self.telemetry = openings.telemetry
        correlator = build_correlator(settings)
        self.archive = Archive(
            openings.store,
            openings.directories.state,
            segment_bytes=settings.objects.segment_bytes,
            segment_seconds=settings.objects.segment_seconds,
            max_disk_bytes=settings.objects.max_disk_bytes,
            new_upload_target=correlator.id_source.new_span_target,
            now_ns=boottime_ns,
            to_unix_ns=self.telemetry.clock.unix,
        )
        self.handshakes = HandshakeTable()
        self.tracker = ConnectionTracker()
        self.dispatcher = build_dispatcher(settings)
        self.classifier = ClassificationEngine(CLASSIFIERS)
        self.correlator = correlator
        self.workloads = Workloads(chosen_processes(settings).allows)
        self.chain = Chain(
            now_ns=boottime_ns(),
            workloads=self.workloads,
            handshakes=self.handshakes,
            tracker=self.tracker,
            dispatcher=self.dispatcher,
            correlator=correlator,
            classifier=self.classifier,
            payloads=self.archive,
            telemetry=self.telemetry,
            keep_otlp=settings.capture.otlp,
            own=own_requests(openings.store),
        )

    def start(self) -> None:
        """Start the threads of exporters and uploaders."""
        self.telemetry.start()
        self.archive.start()

    def settled(self) -> int:
        """Spans that have left the process, one way or another."""
        settled = self.telemetry.settled_spans
        return self.chain.exchanges if settled is None else settled


def boottime_ns() -> int:
    """The clock of the kernel's events."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
