"""The edge's decoding and errors, without a server."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.web import HTTPError

from dispatch.model.errors import InvalidInput, NotFound, NotSignedIn, Refusal, TooMany, UnsupportedMedia
from dispatch.model.requests import PlaceOrder, QuoteRequest, SetRoles
from dispatch.web.application import url_pattern
from dispatch.web.decoding import check_key, check_media, decode_body, decode_query, dotted
from dispatch.web.errors import failure_of
from dispatch.web.queries import ListOrders
from dispatch.web.route import Anyone, Nothing
from dispatch.web.routes import ROUTES
from payments.service.remote import PaymentsUnreachable
from payments.store.group_commit import TooBusy


@pytest.mark.parametrize(
    ("path", "name"),
    [("$", None), ("$.stops[0].lat", "stops.0.lat"), ("$.roles[...]", "roles"), ("$[2]", "2")],
)
def test_paths_are_dotted(path: str, name: str | None) -> None:
    assert dotted(path) == name


def test_an_element_of_a_list_is_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_body(b'{"roles": ["student", "king"]}', SetRoles)
    assert refused.value.field is not None and refused.value.field.startswith("roles")


def test_no_body_is_an_empty_object() -> None:
    assert decode_body(b"", Nothing) == Nothing()
    with pytest.raises(InvalidInput):
        decode_body(b'{"x": 1}', Nothing)


def refusal_of(decode: Callable[[], object]) -> InvalidInput | None:
    """What was refused; anything else that is raised fails the test."""
    try:
        decode()
    except InvalidInput as refused:
        return refused
    return None


@given(st.binary(max_size=400))
def test_any_bytes_are_a_request_or_a_refusal(body: bytes) -> None:
    refused = refusal_of(lambda: decode_body(body, PlaceOrder))
    assert refused is not None and refused.message


LEAVES = st.none() | st.booleans() | st.floats() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(JSON)
def test_any_json_is_a_request_or_a_refusal(value: Any) -> None:
    refused = refusal_of(lambda: decode_body(msgspec.json.encode(value), QuoteRequest))
    assert refused is None or refused.field is None or len(refused.field) <= 200


@given(st.dictionaries(st.text(max_size=100), st.lists(st.binary(max_size=50), max_size=3)))
def test_any_query_is_a_request_or_a_refusal(arguments: dict[str, list[bytes]]) -> None:
    refused = refusal_of(lambda: decode_query(arguments, ListOrders))
    assert refused is None or (refused.field is not None and len(refused.field) <= 200)


def test_queries_are_converted() -> None:
    query = decode_query({"limit": [b"7"], "scope": [b"all"]}, ListOrders)
    assert (query.limit, query.scope, query.before) == (7, "all", None)


def test_media_and_keys() -> None:
    assert check_media("Application/JSON; charset=utf-8", ("application/json",)) == "application/json"
    for kind, encoding in (("", ""), ("text/html", ""), ("application/json", "br")):
        with pytest.raises(UnsupportedMedia):
            check_media(kind, ("application/json",), encoding)
    assert check_key(None) is None and check_key("a b") == "a b"


def test_refusals_become_answers() -> None:
    answer = failure_of(NotFound(id="x"))
    assert (answer.status, answer.view.error.code, answer.view.error.detail) == (404, "not_found", {"id": "x"})
    assert failure_of(NotSignedIn()).headers == {"WWW-Authenticate": "Bearer"}
    for trouble in (PaymentsUnreachable("submit: refused"), TooBusy("5000 transactions wait already")):
        busy = failure_of(trouble)
        assert (busy.status, busy.view.error.code, busy.headers) == (503, "unavailable", {"Retry-After": "1"})
    assert failure_of(TooMany(retry_after_s=7)).headers == {"Retry-After": "7"}
    assert failure_of(HTTPError(405)).view.error.code == "method_not_allowed"
    assert failure_of(None, status=599).view.error.message
    assert failure_of(InvalidInput("x", what=object)).body()


def test_bugs_are_answered_kindly_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = failure_of(ValueError("the secret is 42"))
    assert answer.status == 500 and b"42" not in answer.body() and "the secret is 42" in caplog.text


def test_every_refusal_has_its_own_code() -> None:
    kinds = Refusal.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds) and all(400 <= kind.status < 600 for kind in kinds)


def test_the_table_is_whole() -> None:
    named = [(route.method, route.path) for route in ROUTES]
    assert len(set(named)) == len(named)
    public = {route.path for route in ROUTES if route.needs is Anyone.PUBLIC}
    assert public == {
        "/auth/code", "/auth/sign-in", "/auth/exchange", "/auth/refresh", "/campuses", "/campuses/{id}",
        "/campuses/{id}/map", "/campuses/{id}/places", "/payments/callbacks/{channel}",
        "/payments/codes",  # signed by a payments process of its own
    }  # fmt: skip
    assert url_pattern("/orders/{id}/why") == r"/api/v1/orders/(?P<id>[A-Za-z0-9_-]{1,64})/why"
