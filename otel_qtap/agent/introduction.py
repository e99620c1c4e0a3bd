# SPDX-License-Identifier: Apache-2.0
"""The first lines of the log: what was understood, what is captured, and where it goes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from otel_qtap import __version__
from otel_qtap.settings import Settings, SignalExport
from otel_qtap.telemetry.otlp.target import display_name

_S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_MIB = 1 << 20


def introduction(settings: Settings, environ: Mapping[str, str], record_to: Path | None) -> Iterator[str]:
    """What these settings make of the agent, or of a recorder to ``record_to``; no secret is in it."""
    yield f"otel-qtap {__version__}: {_understood(settings)}"
    if record_to is not None:
        yield f"recording {_chosen(settings)} to {record_to}, in plaintext; nothing is exported or stored"
        return
    yield f"capturing {_chosen(settings)}, bodies of up to {settings.capture.max_body_bytes / _MIB:g} MiB"
    yield _exports(settings)
    yield _store(settings, environ)


def _understood(settings: Settings) -> str:
    given = f"{', '.join(settings.sources)} given, the others" if settings.sources else "all settings"
    ignored = f"; not read by it: {', '.join(settings.ignored)}" if settings.ignored else ""
    return f"{given} at their defaults{ignored}"


def _chosen(settings: Settings) -> str:
    include = ", ".join(map(str, settings.capture.include))
    exclude = ", ".join(map(str, settings.capture.exclude))
    chosen = f"processes with {include}" if include else "all processes"
    return f"{chosen} but those with {exclude}" if exclude else chosen


def _exports(settings: Settings) -> str:
    """The three signals by where they go: nearly always that is one place."""
    places: dict[str, list[str]] = defaultdict(list)
    for signal, export in (
        ("spans", settings.traces),
        ("log events", settings.logs),
        ("metrics", settings.metrics),
    ):
        places[_place(export)].append(signal)
    return "; ".join(f"{_listed(signals)} go {place}" for place, signals in places.items())


def _place(export: SignalExport) -> str:
    match export.exporter:
        case "otlp":
            return f"to {display_name(export.endpoint)} ({export.protocol})"
        case "console":
            return "to standard output"
        case "none":
            return "nowhere"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _store(settings: Settings, environ: Mapping[str, str]) -> str:
    url = settings.objects.url
    if url == "none:":
        return "payloads are not kept"
    endpoint = next(filter(None, map(environ.get, _S3_ENDPOINTS)), "") if url.startswith("s3:") else ""
    return f"payloads go to {url}{f' at {display_name(endpoint)}' if endpoint else ''}"
