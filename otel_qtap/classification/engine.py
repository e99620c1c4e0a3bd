# SPDX-License-Identifier: Apache-2.0
"""Exchange -> ClassifiedExchange, fail-closed: a payload that a classifier could not inspect is withheld."""

from collections.abc import Sequence
from dataclasses import dataclass

from otel_qtap.classification.base import Classifier
from otel_qtap.model.classified import ClassifiedExchange, ClearedPayload, Finding
from otel_qtap.model.exchange import Exchange, Payload
from otel_qtap.model.trace import SpanIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationStatistics:
    """What became of the payloads so far. ``cleared + withheld`` is their number."""

    exchanges: int
    cleared: int
    withheld: int
    """Payloads that a classifier failed on."""
    findings: int
    failures: dict[str, int]
    """Failed inspections by the classifier's name."""


class ClassificationEngine:
    """Runs every classifier over both payloads of each exchange."""

    __slots__ = ("_classifiers", "_cleared", "_exchanges", "_failures", "_findings", "_withheld")

    def __init__(self, classifiers: Sequence[Classifier]) -> None:
        self._classifiers = tuple(classifiers)
        self._exchanges = 0
        self._cleared = 0
        self._withheld = 0
        self._findings = 0
        self._failures: dict[str, int] = {}

    def classify(self, exchange: Exchange, identity: SpanIdentity) -> ClassifiedExchange:
        """Decide what of the exchange may leave. Never raises for what a payload holds."""
        self._exchanges += 1
        findings: list[Finding] = []
        request = exchange.request
        response = exchange.response
        cleared_request = None if request is None else self._clear(request, findings)
        cleared_response = None if response is None else self._clear(response, findings)
        self._findings += len(findings)
        return ClassifiedExchange(
            identity=identity,
            connection=exchange.connection,
            protocol=exchange.protocol,
            protocol_version=exchange.protocol_version,
            kind=exchange.kind,
            name=exchange.name,
            start_ns=exchange.start_ns,
            end_ns=exchange.end_ns,
            attributes=exchange.attributes,
            request=cleared_request,
            response=cleared_response,
            error_type=exchange.error_type,
            is_error=exchange.is_error,
            incomplete=exchange.incomplete,
            findings=tuple(findings),
        )

    def _clear(self, payload: Payload, findings: list[Finding]) -> ClearedPayload | None:
        """The payload as it may be stored, or None when a classifier failed on it.

        The others still run: what they find belongs on the span whether or not the payload is stored.
        """
        failed = False
        for classifier in self._classifiers:
            try:
                count = classifier.count(payload)
            except Exception:
                # The exception may quote the payload, so nothing of it is kept but the fact.
                failed = True
                self._failures[classifier.name] = self._failures.get(classifier.name, 0) + 1
            else:
                if count:
                    findings.append(
                        Finding(
                            classifier=classifier.name,
                            category=classifier.category,
                            part=payload.part,
                            count=count,
                        )
                    )
        if failed:
            self._withheld += 1
            return None
        self._cleared += 1
        return ClearedPayload(
            part=payload.part,
            record_type=payload.record_type,
            head=payload.head,
            body=payload.body,
            tail=payload.tail,
            size=payload.size,
            media_type=payload.media_type,
            encoding=payload.encoding,
            chunked=payload.chunked,
            truncated=payload.truncated,
            redacted=False,
        )

    def statistics(self) -> ClassificationStatistics:
        """The counts so far."""
        return ClassificationStatistics(
            exchanges=self._exchanges,
            cleared=self._cleared,
            withheld=self._withheld,
            findings=self._findings,
            failures=dict(self._failures),
        )
