# SPDX-License-Identifier: Apache-2.0
"""The agent's rooms in the test's own process, without a kernel; no thread of them runs."""

import time
from pathlib import Path

from otel_qtap.agent.assembly import Rooms, boottime_ns, open_outside
from otel_qtap.agent.directories import prepare_directories
from otel_qtap.settings import load_settings
from otel_qtap.telemetry.clock import UnixClock


def build_rooms(directory: Path, *, objects: str = "", capacity: int = 1024) -> Rooms:
    """Rooms whose queues hold ``capacity`` exchanges; payloads go to files unless ``objects`` says else."""
    settings = load_settings(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_QTAP_OBJECTS_URL": objects or (directory / "objects").as_uri(),
            "OTEL_QTAP_STATE_DIRECTORY": str(directory / "state"),
            "OTEL_BSP_MAX_QUEUE_SIZE": str(2 * capacity),
            "OTEL_BLRP_MAX_QUEUE_SIZE": str(2 * capacity),
        }
    )
    prepare_directories(settings)
    return Rooms(settings, open_outside(settings, UnixClock(boottime_ns=boottime_ns, unix_ns=time.time_ns)))
