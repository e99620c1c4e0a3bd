# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.viewer import responses
from otel_qtap.viewer.responses import Response

ALL = [
    responses.page("<p>é</p>"),
    responses.text("x"),
    responses.redirect("/"),
    responses.download(b"<script>", "payload-1.bin"),
    responses.image(b"x", "image/png"),
]


@pytest.mark.parametrize("response", ALL, ids=lambda r: r.content_type)
def test_every_answer_is_inert_and_stays_here(response: Response) -> None:
    headers = dict(response.all_headers())
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Content-Length"] == str(len(response.body))


def test_bytes_are_saved_and_not_shown() -> None:
    headers = dict(responses.download(b"<script>", "payload-1.bin").all_headers())
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == 'attachment; filename="payload-1.bin"'


def test_only_pages_may_load_styles_and_pictures() -> None:
    assert "img-src 'self'" in dict(ALL[0].all_headers())["Content-Security-Policy"]
    for response in ALL[1:]:
        assert "img-src" not in dict(response.all_headers())["Content-Security-Policy"]
