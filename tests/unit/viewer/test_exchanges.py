# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.errors import StoreError
from otel_qtap.model.exchange import Part
from otel_qtap.viewer import exchanges
from otel_qtap.viewer.exchanges import ExchangeReader
from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.resolving import Place
from tests.support.cleared import exchange, request, response


def place(store, ref) -> Place:
    (key,) = store.keys()
    return Place(key, ref.offset, ref.offset + ref.length - 1)


def test_both_halves_from_either(store, stored) -> None:
    (record,) = stored(exchange(request(), response(b"hello")))
    for ref, named in ((record.request_ref, Part.REQUEST), (record.response_ref, Part.RESPONSE)):
        found = ExchangeReader(store).exchange(place(store, ref))
        assert found.named is named
        assert found.halves[Part.RESPONSE].body == b"hello"
        assert found.halves.keys() == set(Part)
        assert found.absent == {}


@pytest.mark.parametrize(
    ("item", "there", "absent"),
    [
        (exchange(request()), Part.REQUEST, Part.RESPONSE),
        (exchange(None, response()), Part.RESPONSE, Part.REQUEST),
    ],
)
def test_a_half_that_was_not_stored_is_said(store, stored, item, there, absent) -> None:
    (record,) = stored(item)
    found = ExchangeReader(store).exchange(place(store, record.request_ref or record.response_ref))
    assert found.halves.keys() == {there}
    assert found.absent == {absent: f"The {absent} of this exchange was not stored."}
    with pytest.raises(ProblemError) as caught:
        ExchangeReader(store).half(place(store, record.request_ref or record.response_ref), absent)
    assert caught.value.status == 404


def test_a_half_that_cannot_be_read_does_not_hide_the_other(store, stored, monkeypatch) -> None:
    (record,) = stored(exchange(request(), response(bytes(5000))))
    monkeypatch.setattr(exchanges, "LARGEST_RECORD", 2000)
    found = ExchangeReader(store).exchange(place(store, record.request_ref))
    assert found.halves.keys() == {Part.REQUEST}
    assert "too large" in found.absent[Part.RESPONSE]


def test_one_half(store, stored) -> None:
    (record,) = stored(exchange(request(), response(b"hello")))
    reader = ExchangeReader(store)
    where = place(store, record.request_ref)
    assert reader.half(where, None).part is Part.REQUEST
    assert reader.half(where, Part.REQUEST).part is Part.REQUEST
    assert reader.half(where, Part.RESPONSE).body == b"hello"


@pytest.mark.parametrize(
    ("where", "status"), [(Place("absent.warc.gz", 0, 9), 404), (Place("absent.warc.gz", 0, 1 << 40), 413)]
)
def test_what_cannot_be_read_has_a_status(store, where: Place, status: int) -> None:
    with pytest.raises(ProblemError) as caught:
        ExchangeReader(store).exchange(where)
    assert caught.value.status == status


def test_a_store_out_of_reach(store, stored, monkeypatch) -> None:
    (record,) = stored(exchange(request(), response()))
    where = place(store, record.request_ref)

    def refuse(*_: object) -> bytes:
        raise StoreError(
            "cannot read s3://b/k: EndpointConnectionError; is the endpoint right and reachable?"
        )

    monkeypatch.setattr(store, "get_range", refuse)
    with pytest.raises(ProblemError) as caught:
        ExchangeReader(store).exchange(where)
    assert caught.value.status == 502
    assert "EndpointConnectionError" in caught.value.why


def test_few_are_read_at_once(store, stored, monkeypatch) -> None:
    (record,) = stored(exchange(request(), response()))
    monkeypatch.setattr(exchanges, "_PATIENCE_SECONDS", 0.01)
    reader = ExchangeReader(store)
    for _ in range(exchanges.READS_AT_ONCE):
        reader._places.acquire()
    with pytest.raises(ProblemError) as caught:
        reader.half(place(store, record.request_ref), None)
    assert caught.value.status == 503
