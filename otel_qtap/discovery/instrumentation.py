# SPDX-License-Identifier: Apache-2.0
"""Whether an OpenTelemetry SDK makes spans in a process, by how the process was started.

A name in OTEL_SERVICE_NAME and an endpoint in OTEL_EXPORTER_OTLP_ENDPOINT prove nothing: whole clusters set
them for everybody, and every child inherits them. What proves it is that the process's own runtime was told
to load instrumentation: the variable that does so counts only where that runtime reads it, so that a
``curl`` started by an instrumented service is none.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from otel_qtap.discovery.bounded import read_bounded
from otel_qtap.model.identity import NOT_INSTRUMENTED, ProcessFacts

STANDARD_PORTS = frozenset({4317, 4318})
"""Of OTLP: gRPC and HTTP."""
_WEB_PORTS = frozenset({80, 443})

_PYTHON_PATH = "opentelemetry/instrumentation/auto_instrumentation"
_JAVA_OPTIONS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
_OTEL = re.compile(r"opentelemetry|(?<![a-z])otel(?![a-z])", re.IGNORECASE)
_JAVA_AGENT = "-javaagent:"
_NODE_LOAD = ("-r", "--require", "--import", "--loader", "--experimental-loader")
_RUBY_LOAD = ("-r",)
_DOTNET_PROFILER = "{918728DD-259F-4A6A-AC2B-B85E1B658318}"
"""Class id of OpenTelemetry's automatic instrumentation for .NET."""
_DOTNET_HOOK = "OpenTelemetry.AutoInstrumentation"
_NO_EXPORT = frozenset({"none", "console", "logging", "logging-otlp"})
_TRUE = frozenset({"true", "1"})
_VARIABLES = frozenset(
    name.encode()
    for name in (
        *("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"),
        *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        *("PYTHONPATH", "NODE_OPTIONS", "RUBYOPT", *_JAVA_OPTIONS, "OTEL_JAVAAGENT_ENABLED"),
        *(
            "CORECLR_ENABLE_PROFILING",
            "CORECLR_PROFILER",
            "DOTNET_STARTUP_HOOKS",
            "OTEL_PHP_AUTOLOAD_ENABLED",
        ),
    )
)
_MAX_ENVIRONMENT = 1 << 20
_MAX_MAPS = 32 << 20

Files = Callable[[], Collection[str]]
"""Base names of the files that a process maps; asked only where they decide."""


class Instrumentation(NamedTuple):
    """``evidence`` is empty where nothing shows an SDK, NOT_INSTRUMENTED where the process switched it off.

    ``ports`` are where its spans would go: connections to one of them show an SDK that code set up.
    """

    evidence: str
    ports: frozenset[int]


class _Process(NamedTuple):
    environment: Mapping[str, str]
    command_line: Sequence[str]
    program: str
    files: Files

    def maps(self, *prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in self.files())

    def runs(self, *programs: str) -> bool:
        return self.program.lower().startswith(programs)


def instrumentation(
    environment: Mapping[str, str], command_line: Sequence[str], executable: str, files: Files
) -> Instrumentation:
    """What the start of a process says.

    ``executable`` is a path.
    """
    if _is_off(environment):
        return Instrumentation(NOT_INSTRUMENTED, frozenset())
    process = _Process(environment, command_line, executable.rpartition("/")[2], files)
    evidence = next((sign for sign in _signs(process) if sign), "")
    return Instrumentation(evidence, _ports(environment))


def _is_off(environment: Mapping[str, str]) -> bool:
    """Whether the process's own settings say that it exports no spans."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return True
    named = {name.strip().lower() for name in environment.get("OTEL_TRACES_EXPORTER", "").split(",")}
    exporters = named - {""}
    return bool(exporters) and exporters <= _NO_EXPORT


def _signs(process: _Process) -> Iterator[str]:
    yield _python(process)
    yield _java(process)
    yield _node(process)
    yield _dotnet(process)
    yield _ruby(process)
    yield _php(process)


def _python(process: _Process) -> str:
    """``opentelemetry-instrument`` and the Kubernetes operator put one directory into PYTHONPATH."""
    paths = process.environment.get("PYTHONPATH", "").split(":")
    told = any(path.rstrip("/").endswith(_PYTHON_PATH) for path in paths)
    return "python_path" if told and (process.runs("python", "pypy") or process.maps("libpython")) else ""


def _java(process: _Process) -> str:
    environment = process.environment
    if environment.get("OTEL_JAVAAGENT_ENABLED", "").strip().lower() == "false":
        return ""
    options = [*process.command_line]
    for name in _JAVA_OPTIONS:
        options += environment.get(name, "").split()
    told = any(option.startswith(_JAVA_AGENT) and _names_otel(option) for option in options)
    return "java_agent" if told and (process.runs("java") or process.maps("libjvm.so")) else ""


def _node(process: _Process) -> str:
    options = [*process.environment.get("NODE_OPTIONS", "").split(), *process.command_line[1:]]
    told = any(map(_names_otel, _loaded(options, _NODE_LOAD)))
    return "node_options" if told and process.runs("node") else ""


def _dotnet(process: _Process) -> str:
    environment = process.environment
    profiler = (
        environment.get("CORECLR_ENABLE_PROFILING", "").strip() == "1"
        and environment.get("CORECLR_PROFILER", "").strip().upper() == _DOTNET_PROFILER
    )
    told = profiler or _DOTNET_HOOK in environment.get("DOTNET_STARTUP_HOOKS", "")
    # A program that is one single file has the runtime in itself, and then maps the profiler alone.
    return "dotnet_profiler" if told and process.maps("libcoreclr.so", f"{_DOTNET_HOOK}.Native") else ""


def _ruby(process: _Process) -> str:
    told = any(map(_names_otel, _loaded(process.environment.get("RUBYOPT", "").split(), _RUBY_LOAD)))
    return "ruby_options" if told and (process.runs("ruby") or process.maps("libruby")) else ""


def _php(process: _Process) -> str:
    told = process.environment.get("OTEL_PHP_AUTOLOAD_ENABLED", "").strip().lower() in _TRUE
    return "php_autoload" if told and (process.runs("php") or process.maps("libphp")) else ""


def _names_otel(text: str) -> bool:
    return _OTEL.search(text) is not None


def _loaded(options: Sequence[str], switches: Sequence[str]) -> Iterator[str]:
    """What the options load: the word after a switch, or behind it with or without ``=``.

    By words, not by a pattern: observed processes choose these texts, and a megabyte of them must not
    take more than a look at each.
    """
    for position, option in enumerate(options):
        if option in switches:
            yield from options[position + 1 : position + 2]
        elif option.startswith(tuple(f"{switch}=" for switch in switches)):
            yield option.partition("=")[2]
        elif option.startswith("-r"):
            yield option[2:]


def _ports(environment: Mapping[str, str]) -> frozenset[int]:
    """The standard ones, and what the process's own endpoint names. A web server's port proves nothing."""
    named = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environment.get(
        "OTEL_EXPORTER_OTLP_ENDPOINT", ""
    )
    try:
        port = urlsplit(named if "//" in named else f"//{named}").port
    except ValueError:
        port = None
    return STANDARD_PORTS | ({port} if port else set()) - _WEB_PORTS


class InstrumentationReader:
    """Reads what processes were started with. ``proc`` is where procfs is mounted."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc

    def read(self, facts: ProcessFacts) -> Instrumentation:
        """What the start of a process says; nothing when it is gone."""
        pid = facts.process.tgid
        return instrumentation(
            _variables(read_bounded(f"{self._proc}/{pid}/environ", _MAX_ENVIRONMENT)),
            facts.command_line,
            facts.executable,
            lambda: _mapped_names(read_bounded(f"{self._proc}/{pid}/maps", _MAX_MAPS)),
        )


def _variables(environment: bytes) -> dict[str, str]:
    """The variables that matter; the first of each name counts, as for getenv(3)."""
    variables: dict[str, str] = {}
    for entry in environment.split(b"\0"):
        name, found, value = entry.partition(b"=")
        if found and name in _VARIABLES:
            variables.setdefault(name.decode(), value.decode("utf-8", "replace"))
    return variables


def _mapped_names(maps: bytes) -> frozenset[str]:
    """Base names of mapped files (proc_pid_maps(5))."""
    paths = {fields[5] for line in maps.split(b"\n") if len(fields := line.split(None, 5)) == 6}
    return frozenset(path.rpartition(b"/")[2].decode("utf-8", "replace") for path in paths)
