# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP (OTLP specification, "OTLP/HTTP"): protocol buffers or JSON, gzip, TLS, mTLS."""

import json
import os
import ssl
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

import urllib3
from isal import isal_zlib
from urllib3.exceptions import HTTPError, NewConnectionError, SSLError, TimeoutError
from urllib3.util import parse_url

from otel_qtap.errors import ExportError
from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.otlp.transport import (
    MAX_RESPONSE_BYTES,
    USER_AGENT,
    Attempt,
    Outcome,
    read_partial_success,
)

_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_GZIP_WINDOW: Final = 31
_GZIP_LEVEL: Final = 1
_REJECTED_KEYS: Final = ("rejectedSpans", "rejectedLogRecords", "rejectedDataPoints")


class HttpTransport:
    """Posts requests of one signal over one kept-alive connection.

    TLS material is loaded here, once: the process may drop its privileges afterwards.

    Raises:
        ExportError: the endpoint or the TLS material of ``target`` cannot be used.
    """

    def __init__(self, target: OtlpTarget, signal: Signal) -> None:
        url = parse_url(target.endpoint)
        if url.scheme not in {"http", "https"} or not url.host:
            raise ExportError(f"OTLP endpoint for {signal}: not an http or https URL: {target.display_name}")
        self._signal = signal
        self._to_json: Callable[[Signal, bytes], bytes] | None = None
        if target.protocol == "http/json":
            from otel_qtap.telemetry.otlp.json_form import to_json  # noqa: PLC0415 - protobuf, only for JSON

            self._to_json = to_json
        self._gzip = target.compression == "gzip"
        self._path = url.request_uri
        self._headers = {
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json" if self._to_json else "application/x-protobuf",
            **dict(target.headers),
        }
        if self._gzip:
            self._headers["Content-Encoding"] = "gzip"
        if url.scheme == "https":
            self._pool: urllib3.HTTPConnectionPool = urllib3.HTTPSConnectionPool(
                url.host, url.port or 443, maxsize=1, ssl_context=_tls_context(target, signal)
            )
        else:
            self._pool = urllib3.HTTPConnectionPool(url.host, url.port or 80, maxsize=1)

    def send(self, body: bytes, timeout_seconds: float | None) -> Attempt:
        """Post once; see ``Transport.send``."""
        if self._to_json is not None:
            body = self._to_json(self._signal, body)
        if self._gzip:
            body = isal_zlib.compress(body, _GZIP_LEVEL, _GZIP_WINDOW)
        try:
            response = self._pool.urlopen(
                "POST",
                self._path,
                body=body,
                headers=self._headers,
                timeout=urllib3.Timeout(total=timeout_seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                answer = response.read(MAX_RESPONSE_BYTES)
            finally:
                response.release_conn()
        except NewConnectionError:  # refused or not resolved; urllib3 counts it among the timeouts
            return Attempt(outcome=Outcome.RETRY, reason="connection_error")
        except TimeoutError:
            return Attempt(outcome=Outcome.RETRY, reason="timeout")
        except SSLError:
            return Attempt(outcome=Outcome.RETRY, reason="tls_error")
        except HTTPError:
            return Attempt(outcome=Outcome.RETRY, reason="connection_error")
        return self._judge(response.status, response.headers.get("Retry-After"), answer)

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()

    def _judge(self, status: int, retry_after: str | None, answer: bytes) -> Attempt:
        if 200 <= status < 300:
            read = _json_partial_success if self._to_json else read_partial_success
            rejected, message = read(answer)
            return Attempt(outcome=Outcome.DELIVERED, rejected=rejected, message=message)
        reason = str(status)
        if status in _RETRYABLE:
            return Attempt(outcome=Outcome.RETRY, reason=reason, retry_after=_seconds(retry_after))
        if status == 413:
            return Attempt(outcome=Outcome.TOO_LARGE, reason=reason)
        return Attempt(outcome=Outcome.REFUSED, reason=reason)


def _seconds(retry_after: str | None) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3): seconds or an HTTP date; None if absent or unreadable."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _json_partial_success(answer: bytes) -> tuple[int, str]:
    try:
        partial = json.loads(answer or b"{}").get("partialSuccess") or {}
        rejected = next((int(partial[key]) for key in _REJECTED_KEYS if key in partial), 0)
        return rejected, str(partial.get("errorMessage", ""))
    except (ValueError, TypeError, AttributeError):  # not the JSON of an OTLP response: says nothing
        return 0, ""


def _tls_context(target: OtlpTarget, signal: Signal) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if target.ca_certificate is not None:
            context = ssl.create_default_context(cadata=target.ca_certificate.decode("ascii"))
        if target.client_certificate is not None:
            _load_client_certificate(context, target.client_certificate, target.client_key)
    except (ssl.SSLError, ValueError) as error:
        raise ExportError(f"OTLP certificate or key for {signal} cannot be used: {error}") from error
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes | None) -> None:
    # The ssl module takes a path only; this one names memory of our own and works without privileges.
    descriptor = os.memfd_create("otel-qtap-client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, certificate + b"\n" + (key or b""))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
