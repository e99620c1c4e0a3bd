# SPDX-License-Identifier: Apache-2.0
"""An answer with the headers that keep it inert, out of caches and out of other sites' pages."""

from dataclasses import dataclass
from http import HTTPStatus

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"

_ANYWHERE = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# Scripts are refused three times: no source is allowed, the sandbox does not allow them, and no
# page holds any. Styles and images come from this viewer alone.
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; sandbox allow-same-origin allow-forms allow-downloads allow-popups"
)
_BYTES_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer, headers complete but for those of the connection."""

    status: HTTPStatus
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """Every header field, in order."""
        policy = _PAGE_POLICY if self.content_type == HTML else _BYTES_POLICY
        return (
            ("Content-Type", self.content_type),
            ("Content-Length", str(len(self.body))),
            ("Content-Security-Policy", policy),
            *_ANYWHERE,
            *self.headers,
        )


def page(
    html: str, status: HTTPStatus = HTTPStatus.OK, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """An HTML page."""
    return Response(status=status, content_type=HTML, body=html.encode(), headers=headers)


def text(
    content: str, status: HTTPStatus = HTTPStatus.OK, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Plain text, for scripts."""
    return Response(status=status, content_type=TEXT, body=content.encode(), headers=headers)


def redirect(location: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """To another path of this viewer, with GET."""
    return Response(
        status=HTTPStatus.SEE_OTHER,
        content_type=TEXT,
        body=b"",
        headers=(("Location", location), *headers),
    )


def download(content: bytes, filename: str) -> Response:
    """Bytes that a browser saves and never shows. ``filename`` is ours: letters, digits, ``.`` and ``-``."""
    return Response(
        status=HTTPStatus.OK,
        content_type="application/octet-stream",
        body=content,
        headers=(("Content-Disposition", f'attachment; filename="{filename}"'),),
    )


def image(content: bytes, media_type: str) -> Response:
    """A picture of a type that was found in its own bytes."""
    return Response(status=HTTPStatus.OK, content_type=media_type, body=content)
