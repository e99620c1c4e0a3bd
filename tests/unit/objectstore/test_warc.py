# SPDX-License-Identifier: Apache-2.0
import gzip
import hashlib
import io
from http.client import HTTPResponse

import pytest
from hypothesis import given
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.recordloader import ArcWarcRecord

from otel_qtap.model.classified import ClassifiedExchange
from otel_qtap.model.identity import Role
from otel_qtap.objectstore.warc import WarcWriter
from tests.support.cleared import BOOT_UNIX_NS, chunked_response, connection, exchange, request, response


def encode(item: ClassifiedExchange, offset: int = 0) -> list[bytes]:
    """The members of an exchange."""
    stored = WarcWriter(bytes(range(16))).encode(item, BOOT_UNIX_NS + 1_234_567, offset)
    return [message.member for message in stored if message is not None]


def read(member: bytes) -> tuple[ArcWarcRecord, dict[str, str], bytes]:
    """The one record of a member by warcio: record, fields, content without transfer coding."""
    iterator = ArchiveIterator(io.BytesIO(member), check_digests="raise", no_record_parse=False)
    record = next(iter(iterator))
    content = record.content_stream().read()
    assert record.digest_checker.passed is True
    assert list(iterator) == []
    assert iterator.err_count == 0
    return record, dict(record.rec_headers.headers), content


def fields_of(item: ClassifiedExchange, index: int = 0) -> dict[str, str]:
    return read(encode(item)[index])[1]


def block_of(item: ClassifiedExchange) -> bytes:
    (member,) = encode(item)
    return gzip.decompress(member).partition(b"\r\n\r\n")[2].removesuffix(b"\r\n\r\n")


def body_by_http_client(block: bytes) -> bytes:
    class Connection:
        def makefile(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(block)

    reader = HTTPResponse(Connection())  # type: ignore[arg-type]
    reader.begin()
    return reader.read()


def test_an_exchange_becomes_a_request_and_a_response_record_that_name_each_other():
    item = exchange(request(), response())
    request_member, response_member = encode(item, offset=300)
    _, request_fields, _ = read(request_member)
    record, response_fields, content = read(response_member)

    assert (request_fields["WARC-Type"], response_fields["WARC-Type"]) == ("request", "response")
    assert request_fields["WARC-Concurrent-To"] == response_fields["WARC-Record-ID"]
    assert response_fields["WARC-Concurrent-To"] == request_fields["WARC-Record-ID"]
    assert response_fields["Qtap-Concurrent-Range"] == f"300-{300 + len(request_member) - 1}"
    assert response_fields["Qtap-Trace-Id"] == item.identity.trace_id.hex()
    assert response_fields["Qtap-Span-Id"] == item.identity.span_id.hex()
    assert response_fields["WARC-Date"] == request_fields["WARC-Date"] == "2026-11-24T06:00:00.001234Z"
    assert response_fields["WARC-IP-Address"] == "10.0.0.7"
    assert response_fields["Content-Type"] == "application/http; msgtype=response"
    assert [value for name, value in record.rec_headers.headers if name == "WARC-Protocol"] == [
        "http/1.1",
        "tls",
    ]
    assert record.http_headers.get_header("Content-Length") == "5"
    assert content == b"hello"


@pytest.mark.parametrize(
    ("present", "kind"),
    [({"request_payload": request()}, "request"), ({"response_payload": response()}, "response")],
)
def test_half_an_exchange_is_one_record_that_names_no_other(present, kind):
    (member,) = encode(exchange(**present))
    _, fields, _ = read(member)
    assert fields["WARC-Type"] == kind
    assert "WARC-Concurrent-To" not in fields
    assert "Qtap-Concurrent-Range" not in fields


def test_the_target_is_the_real_url_of_the_request_not_the_scrubbed_one_of_the_span():
    assert (
        fields_of(exchange(request(), response()), 1)["WARC-Target-URI"]
        == "https://api.example.com/v1/items?id=7"
    )


@pytest.mark.parametrize(
    ("item", "target"),
    [
        (exchange(request(b"GET http://other.example/x?y=1 HTTP/1.1\r\n\r\n")), "http://other.example/x?y=1"),
        (exchange(request(b"OPTIONS * HTTP/1.1\r\n\r\n")), "https://api.example.com/"),
        (exchange(request(b"GET /a\x80\x01 HTTP/1.1\r\n\r\n")), "https://api.example.com/a%80%01"),
        (exchange(None, response()), "https://api.example.com/v1/items?id=REDACTED"),
        (exchange(request(), attributes={}), "https://10.0.0.7/v1/items?id=7"),
        (exchange(None, response(), attributes={"url.path": "/p"}), "https://10.0.0.7/p"),
        (
            exchange(request(), attributes={"server.address": "::1", "server.port": 8443}),
            "https://[::1]:8443/v1/items?id=7",
        ),
        (
            exchange(
                request(),
                attributes={"server.address": "evil\r\nWARC-Type: response\udcff", "server.port": 443},
            ),
            "https://[evil%0D%0AWARC-Type:%20response?]/v1/items?id=7",
        ),
        (exchange(request(b"GET\r\n\r\n")), "https://api.example.com/"),
    ],
)
def test_target_uri_in_odd_cases(item, target):
    assert fields_of(item)["WARC-Target-URI"] == target


def test_the_address_is_that_of_the_server_also_when_the_server_was_observed():
    item = exchange(request(), context=connection(role=Role.SERVER))
    assert fields_of(item)["WARC-IP-Address"] == "10.0.0.1"


@pytest.mark.parametrize("tail", [b"", b"X-Sum: 1\r\n", b"X-Sum: 1\r\n\r\n", b"\r\n", b"X-Sum: 1"])
@pytest.mark.parametrize("body", [b"", b"some text", b"x" * 70_000])
def test_a_chunked_message_is_stored_as_one_chunk_with_its_trailers(body, tail):
    item = exchange(None, chunked_response(body, tail))
    _, fields, _ = read(encode(item)[0])
    # Not by warcio, which takes trailer fields for content.
    assert body_by_http_client(block_of(item)) == body
    framing = block_of(item).partition(b"\r\n\r\n")[2]
    trailer = b"X-Sum: 1\r\n" if b"X-Sum" in tail else b""
    chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    assert framing == chunk + b"0\r\n" + trailer + b"\r\n"
    offset = int(fields["Qtap-Body-Offset"])
    assert block_of(item)[offset : offset + int(fields["Qtap-Body-Length"])] == body


def test_the_digest_is_of_what_follows_the_head_and_the_reference_hash_of_the_body_alone():
    item = exchange(None, chunked_response(b"abc"))
    _, stored = WarcWriter(bytes(16)).encode(item, BOOT_UNIX_NS, 0)
    assert stored is not None
    _, fields, _ = read(stored.member)
    assert stored.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert fields["WARC-Payload-Digest"] == "sha256:" + hashlib.sha256(b"3\r\nabc\r\n0\r\n\r\n").hexdigest()


@pytest.mark.parametrize(
    ("why", "standard"), [("length", "length"), ("disconnect", "disconnect"), ("gap", "unspecified")]
)
def test_a_cut_body_says_so_and_why(why, standard):
    fields = fields_of(exchange(None, response(b"abc", size=10, truncated=why)))
    assert (fields["WARC-Truncated"], fields["Qtap-Truncated"]) == (standard, why)


def test_a_whole_body_does_not_claim_to_be_cut():
    fields = fields_of(exchange(None, response()))
    assert not {"WARC-Truncated", "Qtap-Truncated", "Qtap-Redacted", "Qtap-Body-Encoding"} & fields.keys()


def test_encoding_and_redaction_are_noted():
    fields = fields_of(exchange(None, response(gzip.compress(b"abc"), encoding="gzip", redacted=True)))
    assert (fields["Qtap-Body-Encoding"], fields["Qtap-Redacted"]) == ("gzip", "true")


def test_a_message_of_another_protocol_has_a_digest_of_its_block():
    payload = request(b"", b"*1\r\n$4\r\nPING\r\n", record_type="application/x-redis; msgtype=request")
    (member,) = encode(exchange(payload, attributes={"server.address": "cache", "server.port": 6379}))
    record = gzip.decompress(member)
    assert f"WARC-Block-Digest: sha256:{hashlib.sha256(payload.body).hexdigest()}".encode() in record


def test_record_ids_differ_within_a_segment_and_between_segments():
    ids = set()
    for random_bytes in (b"a" * 16, b"b" * 16):
        writer = WarcWriter(random_bytes)
        for _ in range(3):
            for message in writer.encode(exchange(request(), response()), BOOT_UNIX_NS, 0):
                assert message is not None
                ids.add(read(message.member)[1]["WARC-Record-ID"])
    assert len(ids) == 12


def test_dates_follow_the_clock_across_seconds():
    writer = WarcWriter(bytes(16))
    dates = []
    for unix_ns in (999_999_999, 1_000_000_000, 999_999_000):
        message = writer.encode(exchange(request()), unix_ns, 0)[0]
        assert message is not None
        dates.append(read(message.member)[1]["WARC-Date"])
    assert dates == [
        "1970-01-01T00:00:00.999999Z",
        "1970-01-01T00:00:01.000000Z",
        "1970-01-01T00:00:00.999999Z",
    ]


def test_the_first_record_describes_the_file():
    member = WarcWriter(bytes(16)).warcinfo(
        filename="x.warc.gz", software="otel-qtap/0", unix_ns=BOOT_UNIX_NS
    )
    record = next(iter(ArchiveIterator(io.BytesIO(member))))
    assert record.rec_type == "warcinfo"
    assert record.rec_headers.get_header("WARC-Filename") == "x.warc.gz"
    assert b"software: otel-qtap/0\r\n" in record.content_stream().read()


@given(
    head=st.binary(max_size=200),
    body=st.binary(max_size=200),
    tail=st.binary(max_size=50),
    chunked=st.booleans(),
)
def test_any_bytes_are_stored_and_their_body_is_found_again(head, body, tail, chunked):
    (member,) = encode(exchange(None, response(body, head, chunked=chunked, tail=tail)))
    header, _, rest = gzip.decompress(member).partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in header.split(b"\r\n")[1:])
    block = rest[: int(fields[b"Content-Length"])]
    assert rest == block + b"\r\n\r\n"
    offset = int(fields[b"Qtap-Body-Offset"])
    assert block.startswith(head)
    assert block[offset : offset + int(fields[b"Qtap-Body-Length"])] == body


@given(text=st.text(max_size=50))
def test_no_attribute_breaks_the_header(text):
    (member,) = encode(exchange(request(), attributes={"server.address": text, "url.scheme": text}))
    header = gzip.decompress(member).partition(b"\r\n\r\n")[0]
    lines = header.decode("ascii").split("\r\n")
    assert all(":" in line for line in lines[1:])
    assert sum(line.startswith("WARC-Type") for line in lines) == 1
