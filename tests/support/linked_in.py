# SPDX-License-Identifier: Apache-2.0
"""``programs/tls_client.c`` with OpenSSL linked into it, as a program and as a shared object of any name."""

from pathlib import Path

from tests.support.cache import cached_build, fingerprint, run_build_step

_SOURCE = Path(__file__).parent / "programs" / "tls_client.c"
_OPENSSL = ("-Wl,-Bstatic", "-lssl", "-lcrypto", "-Wl,-Bdynamic")
_VARIANTS: dict[str, tuple[str, ...]] = {
    "program": _OPENSSL,
    "stripped": ("-s", *_OPENSSL),
    "module.so": ("-shared", "-fPIC", "-Wl,-Bsymbolic", *_OPENSSL, "-Wl,--exclude-libs,ALL"),
}


def linked_client(variant: str) -> Path:
    """The client as a ``program`` with symbols, the same ``stripped``, or a ``module.so`` whose
    ``main`` is to be called and which exports nothing of OpenSSL."""

    def build(directory: Path) -> None:
        for name, options in _VARIANTS.items():
            run_build_step("gcc", "-O2", "-w", "-o", name, str(_SOURCE), *options, cwd=directory)

    version = fingerprint(_SOURCE.read_text(), repr(_VARIANTS))
    return cached_build("linked-client", version, build) / variant
