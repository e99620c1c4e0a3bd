# SPDX-License-Identifier: Apache-2.0
"""otel-qtap: TLS plaintext, captured out of band, as OpenTelemetry spans with payloads by reference.

Data flows one way through the rooms of this package; ``docs/architecture.md`` draws the map.
"""

__version__ = "0.1.0"
