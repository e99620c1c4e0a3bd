# SPDX-License-Identifier: Apache-2.0
"""What settings become, seen from outside the rooms."""

from pathlib import Path

import pytest

from otel_qtap.agent.assembly import Rooms, boottime_ns, open_outside
from otel_qtap.agent.directories import prepare_directories
from otel_qtap.errors import SettingsError
from otel_qtap.settings import load_settings
from otel_qtap.telemetry.clock import UnixClock
from tests.support.otlp_sink import running_sink
from tests.support.pki import Pki


def rooms(directory: Path, **environment: str) -> Rooms:
    settings = load_settings(
        {
            "OTEL_QTAP_STATE_DIRECTORY": str(directory / "state"),
            "OTEL_QTAP_OBJECTS_URL": "memory:",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            **environment,
        }
    )
    prepare_directories(settings)
    return Rooms(settings, open_outside(settings, UnixClock()))


def end(built: Rooms) -> None:
    built.archive.shutdown(5)
    built.telemetry.shutdown(5)


def test_what_goes_nowhere_is_settled_at_once(tmp_path: Path) -> None:
    built = rooms(tmp_path)
    built.start()

    assert built.settled() == built.chain.exchanges == 0
    end(built)


def test_the_agents_own_resource_is_named_by_the_users_variables(tmp_path: Path) -> None:
    with running_sink() as sink:
        built = rooms(
            tmp_path,
            OTEL_METRICS_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
            OTEL_RESOURCE_ATTRIBUTES="service.name=tap-of-the-shop,team=platform",
        )
        built.start()
        end(built)
        sent = b"".join(request.body for request in sink.requests)

    assert b"tap-of-the-shop" in sent
    assert b"platform" in sent


def test_service_name_wins_over_resource_attributes(tmp_path: Path) -> None:
    with running_sink() as sink:
        built = rooms(
            tmp_path,
            OTEL_METRICS_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
            OTEL_SERVICE_NAME="winner",
            OTEL_RESOURCE_ATTRIBUTES="service.name=loser",
        )
        built.start()
        end(built)
        sent = b"".join(request.body for request in sink.requests)

    assert b"winner" in sent
    assert b"loser" not in sent


def test_a_certificate_that_went_away_since_the_settings_were_read_is_refused(
    tmp_path: Path, pki: Pki
) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_bytes(pki.ca.read_bytes())
    settings = load_settings(
        {
            "OTEL_QTAP_STATE_DIRECTORY": str(tmp_path / "state"),
            "OTEL_QTAP_OBJECTS_URL": "none:",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.test:4318",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificate),
        }
    )
    prepare_directories(settings)
    certificate.unlink()

    with pytest.raises(SettingsError, match=r"ca\.pem"):
        open_outside(settings, UnixClock())


def test_time_is_that_of_the_kernels_events() -> None:
    since_boot = float(Path("/proc/uptime").read_text().split()[0])

    assert since_boot <= boottime_ns() / 1e9 + 0.01
    assert boottime_ns() / 1e9 - since_boot < 60
