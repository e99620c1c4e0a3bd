# SPDX-License-Identifier: Apache-2.0
"""The TLS libraries that can be captured. One line a library."""

from otel_qtap.probes import openssl
from otel_qtap.probes.spec import TlsLibrary

LIBRARIES: tuple[TlsLibrary, ...] = (openssl.LIBRARY,)

NAME_MARKS = tuple(sorted({library.path_marks[0].encode() for library in LIBRARIES}))
"""A file whose name holds none of these is none of the libraries."""
