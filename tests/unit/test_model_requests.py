"""Requests as types: what is refused at the edge, and where the fault is said to be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dispatch.model import operator_views, requests, views
from dispatch.model.requests import Deliver, EditCampus, PlaceOrder, QuoteRequest, RateOrder, Reassign, Request, SignIn

ID = "acc_01M6D3DKSE0000000000ABCXYZ"


def records(module: Any, base: type) -> list[type]:
    return [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, base)]


def test_a_field_that_the_server_does_not_know_is_refused_everywhere() -> None:
    for kind in records(requests, Request):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(b'{"no_such_field": 1}', type=kind)


def test_every_record_says_what_it_is_or_is_plain() -> None:
    assert (
        len(records(requests, Request)) > 20
        and len(records(views, views.View)) + len(records(operator_views, views.View)) > 40
    )
    for kind in records(requests, Request):
        assert kind.__doc__


@pytest.mark.parametrize(
    ("kind", "body", "where"),
    [
        (SignIn, {"phone": "138", "campus_id": ID}, "$.phone"),
        (SignIn, {"phone": "13812345678", "campus_id": "cmp_1"}, "$.campus_id"),
        (SignIn, {"phone": "13812345678", "campus_id": ID, "code": "12345"}, "$.code"),
        (QuoteRequest, {"type_code": "parcel", "stops": [{"lat": 91}]}, "$.stops[0].lat"),
        (QuoteRequest, {"type_code": "parcel", "stops": [{}] * 5}, "$.stops"),
        (QuoteRequest, {"type_code": "parcel", "stops": [], "weight_g": 50_001}, "$.weight_g"),
        (QuoteRequest, {"type_code": "parcel", "stops": [], "volume_ml": 60_001}, "$.volume_ml"),
        (QuoteRequest, {"type_code": "parcel", "stops": [], "goods_cap_fen": 10**30}, "$.goods_cap_fen"),
        (QuoteRequest, {"type_code": "parcel", "stops": [], "datum": "bd09"}, "$.datum"),
        (
            PlaceOrder,
            {"type_code": "parcel", "stops": [], "description": "x", "expected_total_fen": 1},
            "$.description",
        ),
        (RateOrder, {"stars": 6}, "$.stars"),
        (RateOrder, {"stars": 4.5}, "$.stars"),
        (Deliver, {"pin": "12345"}, "$.pin"),
        (Reassign, {"runner_id": None, "version": 1, "reason": "bored"}, "$.reason"),
        (EditCampus, {"version": 1, "opens": "24:00"}, "$.opens"),
    ],
)
def test_the_fault_is_named(kind: type, body: dict[str, Any], where: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"at `(.+)`") as refused:
        msgspec.json.decode(msgspec.json.encode(body), type=kind)
    assert str(refused.value).endswith(f"at `{where}`")


def test_what_is_right_is_taken() -> None:
    body = b'{"type_code":"parcel","stops":[{"lat":40.0,"lon":116.3,"floor":-1}],"weight_g":500}'
    asked = msgspec.json.decode(body, type=QuoteRequest)
    assert (asked.stops[0].lat, asked.stops[0].floor, asked.datum) == (40.0, -1, "wgs84")
    assert msgspec.json.decode(b'{"version":3}', type=EditCampus).mode is msgspec.UNSET
