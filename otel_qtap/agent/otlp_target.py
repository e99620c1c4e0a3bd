# SPDX-License-Identifier: Apache-2.0
"""From what the user set for a signal to where its requests go: for the agent and for ``doctor`` alike."""

from pathlib import Path

from otel_qtap.errors import SettingsError
from otel_qtap.settings import SignalExport
from otel_qtap.telemetry.otlp.target import OtlpTarget


def otlp_target(export: SignalExport) -> OtlpTarget:
    """The destination of a signal, with the certificates and keys that its settings name.

    Raises SettingsError when one of those files cannot be read.
    """
    return OtlpTarget(
        protocol=export.protocol,
        endpoint=export.endpoint,
        headers=tuple(export.headers.items()),
        timeout_seconds=export.timeout_seconds,
        compression=export.compression,
        ca_certificate=_content(export.certificate_path),
        client_certificate=_content(export.client_certificate_path),
        client_key=_content(export.client_key_path),
        insecure=export.insecure,
    )


def _content(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{path}, which an OTEL_EXPORTER_OTLP_*CERTIFICATE or *CLIENT_KEY names, cannot be read: "
            f"{error.strerror}"
        ) from error
