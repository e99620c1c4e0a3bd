# SPDX-License-Identifier: Apache-2.0
"""The checks, in the order in which they run and are shown; ids are stable."""

from typing import Final

from otel_qtap.agent.doctor import (
    capture,
    clock,
    configuration,
    confinement,
    coverage,
    directories,
    environment,
    features,
    health,
    kernel,
    libraries,
    privileges,
    store,
)
from otel_qtap.agent.doctor.collector import collector
from otel_qtap.agent.doctor.examination import Check
from otel_qtap.agent.doctor.report import Severity
from otel_qtap.telemetry.otlp.requests import Signal

_MAY_LOAD = ("privileges.user_namespace", "privileges.capabilities", "privileges.seccomp")
_LOADS = (*_MAY_LOAD, "kernel.programs")

CHECKS: Final[tuple[Check, ...]] = (
    Check("configuration.settings", Severity.CONFIGURATION, configuration.settings),
    Check("privileges.user", Severity.PRIVILEGE, privileges.user),
    Check("privileges.user_namespace", Severity.PRIVILEGE, privileges.user_namespace),
    Check("privileges.capabilities", Severity.PRIVILEGE, privileges.capabilities),
    Check("privileges.seccomp", Severity.PRIVILEGE, confinement.seccomp),
    Check("privileges.security_module", Severity.PRIVILEGE, confinement.security_module),
    Check("kernel.architecture", Severity.PRIVILEGE, kernel.architecture),
    Check("kernel.release", Severity.PRIVILEGE, kernel.release),
    Check("kernel.lockdown", Severity.PRIVILEGE, kernel.lockdown),
    Check("kernel.unprivileged_bpf", Severity.PRIVILEGE, kernel.unprivileged_bpf),
    Check("kernel.perf_event_paranoid", Severity.PRIVILEGE, kernel.perf_event_paranoid),
    Check("kernel.btf", Severity.PRIVILEGE, features.btf),
    Check("kernel.programs", Severity.PRIVILEGE, features.programs, needs=_MAY_LOAD),
    Check("kernel.ring_buffer", Severity.PRIVILEGE, features.ring_buffer, needs=_LOADS),
    Check("kernel.uprobe_events", Severity.PRIVILEGE, features.uprobe_events),
    Check("kernel.uprobe_multi", Severity.PRIVILEGE, features.uprobe_multi, needs=_LOADS),
    Check("kernel.tracefs", Severity.PRIVILEGE, features.tracefs),
    Check("capture.bcc", Severity.DELIVERY, capture.bcc),
    Check(
        "capture.programs",
        Severity.PRIVILEGE,
        capture.programs,
        needs=(*_LOADS, "kernel.architecture", "kernel.btf", "kernel.ring_buffer", "capture.bcc"),
    ),
    Check("capture.libraries", Severity.DELIVERY, libraries.libraries),
    Check("capture.coverage", Severity.DELIVERY, coverage.coverage),
    Check("collector.traces", Severity.DELIVERY, collector(Signal.TRACES)),
    Check("collector.metrics", Severity.DELIVERY, collector(Signal.METRICS)),
    Check("collector.logs", Severity.DELIVERY, collector(Signal.LOGS)),
    Check("objects.store", Severity.DELIVERY, store.payloads),
    Check("objects.state_directory", Severity.DELIVERY, directories.state),
    Check("host.runtime", Severity.PRIVILEGE, environment.runtime),
    Check("host.processes", Severity.PRIVILEGE, environment.processes),
    Check("host.process_access", Severity.PRIVILEGE, environment.process_access, needs=("host.processes",)),
    Check("host.cgroups", Severity.PRIVILEGE, environment.cgroups),
    Check("host.time_namespace", Severity.PRIVILEGE, environment.time_namespace),
    Check("host.clock", Severity.DELIVERY, clock.synchronised),
    Check("host.health_address", Severity.CONFIGURATION, health.address),
)
