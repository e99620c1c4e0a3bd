# SPDX-License-Identifier: Apache-2.0
"""Processes as common instrumentations start them: their environment, command line and mapped files."""

import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.discovery.instrumentation import STANDARD_PORTS, InstrumentationReader, instrumentation
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.model.identity import NOT_INSTRUMENTED, ProcessFacts, ProcessId

EXPORT = {
    "OTEL_SERVICE_NAME": "shop",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.monitoring:4318",
    "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod",
}
"""What a cluster gives to everybody, instrumented or not."""


@dataclass(frozen=True)
class Sample:
    executable: str
    environment: Mapping[str, str]
    command_line: Sequence[str] = ()
    files: Collection[str] = ("libc.so.6", "libssl.so.3")

    def evidence(self, **more: str) -> str:
        return instrumentation(
            {**EXPORT, **self.environment, **more}, self.command_line, self.executable, lambda: self.files
        ).evidence


PYTHON_WHEEL = "/srv/venv/lib/python3.11/site-packages/opentelemetry/instrumentation/auto_instrumentation"
PYTHON_OPERATOR = "/otel-auto-instrumentation-python/opentelemetry/instrumentation/auto_instrumentation"
DOTNET = {
    "CORECLR_ENABLE_PROFILING": "1",
    "CORECLR_PROFILER": "{918728DD-259F-4A6A-AC2B-B85E1B658318}",
    "CORECLR_PROFILER_PATH": "/otel-dotnet-auto/linux-x64/OpenTelemetry.AutoInstrumentation.Native.so",
    "DOTNET_STARTUP_HOOKS": "/otel-dotnet-auto/net/OpenTelemetry.AutoInstrumentation.StartupHook.dll",
    "DOTNET_ADDITIONAL_DEPS": "/otel-dotnet-auto/AdditionalDeps",
}
DOTNET_FILES = ("libcoreclr.so", "libSystem.Security.Cryptography.Native.OpenSsl.so")

PYTHON = Sample(
    "/usr/bin/python3.11",
    {"PYTHONPATH": f"{PYTHON_WHEEL}:/srv/app"},
    ("/srv/venv/bin/python", "app.py"),
)
JAVA = Sample(
    "/opt/java/openjdk/bin/java",
    {"JAVA_TOOL_OPTIONS": "-Xmx1g -javaagent:/opt/opentelemetry-javaagent.jar"},
    ("java", "-jar", "app.jar"),
    ("libjvm.so",),
)
NODE = Sample(
    "/usr/local/bin/node",
    {"NODE_OPTIONS": "--max-old-space-size=512 --require @opentelemetry/auto-instrumentations-node/register"},
    ("node", "server.js"),
)
NET = Sample("/usr/share/dotnet/dotnet", DOTNET, ("dotnet", "Shop.dll"), DOTNET_FILES)

INSTRUMENTED = {
    "opentelemetry-instrument": (PYTHON, "python_path"),
    "operator, Python": (
        Sample(
            "/usr/local/bin/python3.12",
            {"PYTHONPATH": f"{PYTHON_OPERATOR}:/otel-auto-instrumentation-python"},
            ("gunicorn", "shop.wsgi"),
        ),
        "python_path",
    ),
    "Python in uWSGI": (
        Sample(
            "/usr/local/bin/uwsgi",
            {"PYTHONPATH": PYTHON_WHEEL},
            ("uwsgi", "app.ini"),
            ("libpython3.11.so.1.0",),
        ),
        "python_path",
    ),
    "Java agent by environment": (JAVA, "java_agent"),
    "Java agent on the command line": (
        Sample(
            "/usr/lib/jvm/java-21-openjdk-amd64/bin/java",
            {},
            ("java", "-javaagent:/srv/opentelemetry-javaagent-2.20.1.jar=debug", "-jar", "shop.jar"),
        ),
        "java_agent",
    ),
    "operator, Java": (
        Sample(
            "/opt/java/bin/java",
            {"JAVA_TOOL_OPTIONS": " -javaagent:/otel-auto-instrumentation-java/javaagent.jar"},
            ("java", "org.example.Shop"),
        ),
        "java_agent",
    ),
    "a vendor's Java agent in a launcher of its own": (
        Sample(
            "/opt/shop/bin/shop",
            {"JDK_JAVA_OPTIONS": "-javaagent:/opt/splunk-otel-javaagent.jar"},
            (),
            ("libjvm.so",),
        ),
        "java_agent",
    ),
    "Node --require": (NODE, "node_options"),
    "Node --import=": (
        Sample(
            "/usr/bin/node",
            {},
            ("node", "--import=@opentelemetry/auto-instrumentations-node/register", "a.mjs"),
        ),
        "node_options",
    ),
    "operator, Node": (
        Sample(
            "/usr/bin/node",
            {"NODE_OPTIONS": " --require /otel-auto-instrumentation-nodejs/autoinstrumentation.js"},
        ),
        "node_options",
    ),
    "Node -r, joined": (
        Sample("/usr/bin/node", {"NODE_OPTIONS": "-r@opentelemetry/auto-instrumentations-node/register"}),
        "node_options",
    ),
    "Node program with a loader": (
        Sample(
            "/usr/bin/node", {}, ("node", "--experimental-loader", "@opentelemetry/instrumentation/hook.mjs")
        ),
        "node_options",
    ),
    ".NET": (NET, "dotnet_profiler"),
    "operator, .NET, an executable of its own": (
        Sample(
            "/app/Shop", {"DOTNET_STARTUP_HOOKS": DOTNET["DOTNET_STARTUP_HOOKS"]}, ("./Shop",), DOTNET_FILES
        ),
        "dotnet_profiler",
    ),
    "Ruby": (
        Sample("/usr/bin/ruby3.1", {"RUBYOPT": "-W0 -r opentelemetry-auto-instrumentation"}, ("puma",)),
        "ruby_options",
    ),
    ".NET, one single file": (
        Sample("/app/Shop", DOTNET, ("./Shop",), ("OpenTelemetry.AutoInstrumentation.Native.so",)),
        "dotnet_profiler",
    ),
    "PHP": (
        Sample("/usr/sbin/php-fpm8.2", {"OTEL_PHP_AUTOLOAD_ENABLED": "true"}, ("php-fpm",)),
        "php_autoload",
    ),
    "PHP in Apache": (
        Sample("/usr/sbin/apache2", {"OTEL_PHP_AUTOLOAD_ENABLED": "1"}, (), ("libphp8.2.so",)),
        "php_autoload",
    ),
}

NOT_SEEN = {
    "names and endpoints alone": Sample("/usr/bin/python3.11", {}, ("python", "app.py")),
    "language settings without the wrapper": Sample(
        "/usr/bin/python3.11",
        {"OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true"},
        ("python", "app.py"),
    ),
    "curl, child of an instrumented Python": Sample(
        "/usr/bin/curl", PYTHON.environment, ("curl", "https://a")
    ),
    "curl, child of an instrumented JVM": Sample("/usr/bin/curl", JAVA.environment, ("curl", "https://a")),
    "curl, child of an instrumented Node": Sample("/usr/bin/curl", NODE.environment, ("curl", "https://a")),
    "curl, child of an instrumented .NET": Sample("/usr/bin/curl", DOTNET, ("curl", "https://a")),
    "another Java agent": Sample(
        "/usr/bin/java", {"JAVA_TOOL_OPTIONS": "-javaagent:/opt/newrelic.jar"}, (), ("libjvm.so",)
    ),
    "another Java agent, of a hotel": Sample(
        "/usr/bin/java", {"JAVA_TOOL_OPTIONS": "-javaagent:/srv/hotel/otella/newrelic.jar"}
    ),
    "another .NET profiler": Sample(
        "/usr/bin/dotnet",
        {"CORECLR_ENABLE_PROFILING": "1", "CORECLR_PROFILER": "{846F5F1C-F9AE-4B07-969E-05C26BC060D8}"},
        (),
        DOTNET_FILES,
    ),
    "another module required by Node": Sample("/usr/bin/node", {"NODE_OPTIONS": "--require dotenv/config"}),
    "a Node program that is named so": Sample("/usr/bin/node", {}, ("node", "opentelemetry-demo.js")),
    "curl, child of an instrumented PHP": Sample("/usr/bin/curl", {"OTEL_PHP_AUTOLOAD_ENABLED": "true"}),
    "Go, instrumented by eBPF from a container beside it": Sample("/app/shop", {}, ("/app/shop",), ()),
}


@pytest.mark.parametrize("name", INSTRUMENTED)
def test_instrumented(name: str) -> None:
    sample, evidence = INSTRUMENTED[name]
    assert sample.evidence() == evidence


@pytest.mark.parametrize("name", NOT_SEEN)
def test_nothing_shows_it(name: str) -> None:
    assert NOT_SEEN[name].evidence() == ""


@pytest.mark.parametrize("sample", [PYTHON, JAVA, NODE, NET])
@pytest.mark.parametrize(
    "settings",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "console, none"},
    ],
)
def test_what_exports_no_spans_makes_no_second_ones(sample: Sample, settings: dict[str, str]) -> None:
    assert sample.evidence(**settings) == NOT_INSTRUMENTED


def test_spans_to_a_console_and_to_a_collector_are_exported() -> None:
    assert PYTHON.evidence(OTEL_TRACES_EXPORTER="console,otlp") == "python_path"


def test_java_agent_that_is_switched_off() -> None:
    assert JAVA.evidence(OTEL_JAVAAGENT_ENABLED="false") == ""


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:9090/otlp"}, 9090),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:9095"}, 9095),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1111",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:2222/v1/traces",
            },
            2222,
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c:443"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:http"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1"}, None),
    ],
)
def test_ports_where_spans_would_go(settings: dict[str, str], port: int | None) -> None:
    ports = instrumentation(settings, (), "/usr/bin/app", tuple).ports
    assert ports == STANDARD_PORTS | ({port} if port else set())


def test_mapped_files_are_read_only_where_they_decide() -> None:
    def files() -> Collection[str]:
        raise AssertionError("the memory map was read")

    assert instrumentation(EXPORT, ("nginx",), "/usr/sbin/nginx", files).evidence == ""
    assert instrumentation(PYTHON.environment, (), PYTHON.executable, files).evidence == "python_path"


def test_a_running_process() -> None:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "print(flush=True); input()"],
        env={"PYTHONPATH": PYTHON_WHEEL},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        facts = ProcessReader().facts(process.pid)
        assert facts is not None
        found = InstrumentationReader().read(facts)
        process.stdin.close()
    assert found.evidence == "python_path"


def test_mapped_files_of_a_made_up_process(tmp_path: Path) -> None:
    directory = tmp_path / "42"
    directory.mkdir()
    (directory / "environ").write_bytes(b"JAVA_TOOL_OPTIONS=-javaagent:/otel.jar\0JAVA_TOOL_OPTIONS=\0odd\0")
    (directory / "maps").write_bytes(
        b"7f00-7f10 r-xp 00000000 08:01 7 /opt/java/lib/server/libjvm.so\n7f20-7f30 rw-p 00000000 00:00 0 \n"
    )
    facts = ProcessFacts(process=ProcessId(42, 1), executable="/opt/shop/launcher")
    assert InstrumentationReader(str(tmp_path)).read(facts).evidence == "java_agent"


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    facts = ProcessFacts(process=ProcessId(os.getpid(), 1))
    assert InstrumentationReader(str(tmp_path)).read(facts) == ("", STANDARD_PORTS)


@pytest.mark.parametrize(
    ("executable", "name", "text"),
    [
        ("/usr/bin/java", "JAVA_TOOL_OPTIONS", "-javaagent:"),
        ("/usr/bin/node", "NODE_OPTIONS", "-r="),
        ("/usr/bin/node", "NODE_OPTIONS", "--require =="),
        ("/usr/bin/ruby", "RUBYOPT", "-r "),
        ("/usr/bin/python3", "PYTHONPATH", ":/"),
    ],
)
def test_a_hostile_process_cannot_make_it_take_long(executable: str, name: str, text: str) -> None:
    hostile = {name: text * (1 << 20 >> len(text).bit_length() - 1)}
    began = time.process_time()
    assert instrumentation(hostile, (), executable, tuple).evidence == ""
    assert time.process_time() - began < 2, "a megabyte is looked through once"


NAMES = sorted({name for sample, _ in INSTRUMENTED.values() for name in sample.environment} | set(EXPORT))


@given(
    environment=st.dictionaries(st.sampled_from(NAMES), st.text() | st.text(alphabet="-/:[]rjavgentol@")),
    executable=st.sampled_from(["/usr/bin/python3", "/usr/bin/java", "/usr/bin/node", "/app", ""]),
)
def test_whatever_a_process_says_has_an_answer(environment: dict[str, str], executable: str) -> None:
    found = instrumentation(environment, [*environment.values()], executable, lambda: DOTNET_FILES)
    assert found.ports >= STANDARD_PORTS or found.evidence == NOT_INSTRUMENTED
