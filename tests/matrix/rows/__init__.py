# SPDX-License-Identifier: Apache-2.0
"""The rows of the matrix, one module a family of libraries. A new row is one entry there."""

from tests.matrix.protocols import Protocol
from tests.matrix.row import Program, Row
from tests.matrix.rows import boringssl, c_libraries, golang, openssl_shared, openssl_static, unsupported

ROWS: tuple[Row, ...] = (
    *openssl_shared.ROWS,
    *openssl_static.ROWS,
    *boringssl.ROWS,
    *golang.ROWS,
    *c_libraries.ROWS,
    *unsupported.ROWS,
)


def reference(protocol: Protocol, role: str) -> Program:
    """The program that stands in where a runtime has the other role only."""
    return openssl_shared.REFERENCES[protocol, role]
