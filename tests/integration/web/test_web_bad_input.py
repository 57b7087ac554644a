"""Bad input over HTTP: each gets its own clear error, loses nothing, and never a 500."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jwt
import pytest

from dispatch.model.account import Role

JSON_LIMIT = 65_536


async def quote(house: Any, who: Any, **changed: Any) -> Any:
    return await house.call("POST", "/quotes", await house.quote_body() | changed, who=who)


BODIES = [
    (b'{"type_code": ', None),
    (b"\xff\xfe\x00", None),
    (b'"\xc3\x28"', None),
    (b"[]", None),
    (b"null", None),
    (b"NaN", None),
    (b'{"type_code": "parcel", "stops": [], "weight_g": NaN}', None),
    (b'{"type_code": "parcel", "stops": [], "weight_g": 1e999}', "weight_g"),
    (b'{"type_code": "parcel", "stops": [], "weight_g": 1.5}', "weight_g"),
    (b'{"type_code": "parcel", "stops": [], "weight_g": "5"}', "weight_g"),
    (b'{"type_code": "parcel", "stops": [], "weight_g": 99999999999999999999999}', "weight_g"),
    (b'{"type_code": "parcel", "stops": [{"lat": 91, "lon": 0}]}', "stops.0.lat"),
    (b'{"type_code": "parcel", "stops": [{"lat": 1, "lon": 0}, {"floor": "x"}]}', "stops.1.floor"),
    (b'{"type_code": "parcel", "stops": [], "colour": 1}', "colour"),
    (b'{"type_code": "parcel", "stops": [{"colour": 1}]}', "stops.0.colour"),
    (b'{"stops": []}', "type_code"),
    (b'{"type_code": "", "stops": []}', "type_code"),
    (b'{"type_code": "par\\u0000cel", "stops": []}', "type_code"),
    (b'{"type_code": "parcel", "stops": [{"label": "\\u0000"}]}', "stops.0.label"),
    (b'{"type_code": "parcel", "stops": [], "datum": "bd09"}', "datum"),
    (b"[" * 60_000, None),
]


async def test_a_body_that_is_not_what_was_asked_for(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    for raw, field in BODIES:
        answer = await house.call("POST", "/quotes", who=student, raw=raw)
        assert answer.status == 400 and answer.code == "invalid_input", answer.body
        assert answer.json["error"]["field"] == field, raw[:100]


async def test_what_is_well_formed_and_still_refused(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    outside = [{"lat": 39.9, "lon": 116.3}, {"lat": 39.91, "lon": 116.31}]
    assert (await quote(house, student, stops=outside)).code == "outside_area"
    assert (await quote(house, student, type_code="fly")).json["error"]["field"] == "type_code"
    assert (await quote(house, student, stops=[{"place_id": "nowhere"}] * 2)).status in (400, 404, 422)
    assert (await quote(house, student, type_code="meal", goods_cap_fen=1_000_000)).status == 400


async def test_a_body_that_is_too_large(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    for size in (JSON_LIMIT + 1, 1_000_000):
        answer = await house.call("POST", "/quotes", who=student, raw=b" " * size)
        assert answer.status == 413 and answer.code == "too_large"


async def test_nobody_reads_a_body_of_any_size(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.url.rsplit(":", 1)[1]))
    head = f"POST /api/v1/quotes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {student.token}\r\n"
    writer.write(f"{head}Content-Length: 9000000\r\n\r\n".encode())
    said = await asyncio.wait_for(reader.read(), 5)
    assert said.startswith(b"HTTP/1.1 413") and b"too_large" in said
    writer.close()


async def test_chunks_without_a_length_are_counted(house: Any) -> None:
    student = await house.person(Role.STUDENT)

    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 4096

    headers = {"Authorization": f"Bearer {student.token}", "Content-Type": "application/json"}
    async with house.http.post(f"{house.url}/api/v1/quotes", data=chunks(), headers=headers) as response:
        assert response.status == 413 and (await response.json())["error"]["code"] == "too_large"


async def test_a_body_of_another_kind(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    for headers in (
        {"Content-Type": "application/msgpack"},
        {"Content-Type": "text/plain"},
        {"Content-Encoding": "gzip"},
    ):
        answer = await house.call("POST", "/quotes", who=student, raw=b"\x82\xa1a\x01", headers=headers)
        assert answer.status == 415 and answer.code == "unsupported_media"


async def test_photos_are_bounded_pictures(house: Any) -> None:
    student, runner = await house.person(Role.STUDENT), await house.person(Role.RUNNER)
    order = await house.carried(student, runner)
    path = f"/orders/{order['id']}/photos"

    async def send(raw: bytes, kind: str) -> Any:
        return await house.call("POST", path, who=runner, raw=raw, headers={"Content-Type": kind})

    assert (await send(b"\xff\xd8" * 1_100_000, "image/jpeg")).status == 413
    assert (await send(b"GIF89a", "image/gif")).status == 415
    for raw in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + b"\0" * 100):
        refused = await send(raw, "image/png")
        assert 400 <= refused.status < 500, refused.body


QUERIES = {
    "limit=0": "limit", "limit=101": "limit", "limit=x": "limit", "limit=1&limit=2": "limit", "colour=red": "colour",
    "scope=theirs": "scope", "before=../x": "before", "datum=bd09": "datum", "q=%ff": "q", "q=a%00b": "q",
    "status=lost": "status", "q=" + "x" * 81: "q",
}  # fmt: skip


async def test_query_parameters_are_typed_too(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    for query, field in QUERIES.items():
        answer = await house.call("GET", f"/orders?{query}", who=student)
        assert answer.status == 400 and answer.json["error"]["field"] == field, answer.body


async def test_idempotency_keys_have_a_form(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    body = await house.quote_body() | {"description": "abc", "expected_total_fen": 1}
    for key in ("", " ", "é", "x" * 81, "tab\there"):
        answer = await house.call("POST", "/orders", body, who=student, headers={"Idempotency-Key": key})
        assert answer.status == 400 and answer.json["error"]["field"] == "Idempotency-Key", key


async def test_unknown_urls_and_methods(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    lost = await house.call("GET", "/nothing/here", who=student)
    assert (lost.status, lost.code) == (404, "not_found")
    wrong = await house.call("DELETE", "/orders", who=student)
    assert (wrong.status, wrong.code, wrong.headers["Allow"]) == (405, "method_not_allowed", "GET, HEAD, POST")
    assert (await house.call("PROPFIND", "/orders", who=student)).status == 405
    assert (await house.call("GET", "/orders/..%2f..%2fetc%2fpasswd", who=student)).status == 404
    assert (await house.call("GET", "/orders/" + "x" * 65, who=student)).status == 404
    assert (await house.call("GET", "/orders/ord_x", who=student)).code == "not_found"
    assert (await house.call("GET", "/campuses/cmp_none")).code == "not_found"
    assert (await house.call("GET", "/me", who=student, raw=b"{}")).status == 400
    page = await house.call("GET", "//no-such-page", headers={"Accept": "text/html"})
    assert page.status == 404 and page.headers["Content-Type"].startswith("text/html")
    assert (await house.call("GET", "//no-such-page")).code == "not_found"
    assert (await house.call("POST", "//console", {})).status == 405


async def test_tokens_of_others(house: Any) -> None:
    house_key = b"t" * 32
    student = await house.person(Role.STUDENT)
    claims = jwt.decode(student.token, house_key, algorithms=["HS256"], options={"verify_exp": False})
    forged = [
        jwt.encode(claims, b"another key of thirty-two bytes!", "HS256", headers={"kid": "1"}),
        jwt.encode(claims, house_key, "HS256", headers={"kid": "2"}),
        jwt.encode(claims, "", "none", headers={"kid": "1"}),
        student.token[:-2] + ("AA" if not student.token.endswith("AA") else "BB"),
        jwt.encode({**claims, "typ": "socket"}, house_key, "HS256", headers={"kid": "1"}),
        jwt.encode({key: claims[key] for key in ("sub", "exp")}, house_key, "HS256", headers={"kid": "1"}),
    ]
    for token in forged:
        answer = await house.call("GET", "/me", who=token)
        assert answer.status == 401 and answer.code == "not_signed_in"


async def test_another_campus_is_invisible(house: Any) -> None:
    student, runner = await house.person(Role.STUDENT), await house.person(Role.RUNNER)
    operator = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    order = await house.carried(student, runner)
    assert (await house.call("GET", f"/orders/{order['id']}", who=operator)).code == "not_found"
    assert (await house.call("GET", "/orders?scope=all", who=operator)).json["orders"] == []
    console = (await house.call("GET", "/console", who=operator)).json
    assert console["orders"] == [] and console["runners"] == []
    accounts = (await house.call("GET", "/accounts", who=operator)).json["accounts"]
    assert [one["id"] for one in accounts] == [operator.id]


async def test_many_versions_and_times_at_their_edges(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    order = await house.paid(student)
    path = f"/orders/{order['id']}"
    stale = await house.call("POST", f"{path}/cancel", {"reason": "x", "version": 2**53}, who=student)
    assert stale.status == 409 and stale.code == "stale_version"
    for edge in (0, 2**53):
        tap = await house.call("POST", f"{path}/arrived", {"tapped_at_ms": edge}, who=await house.person(Role.RUNNER))
        assert tap.code == "not_found"
    body = await house.quote_body() | {"description": "abc", "expected_total_fen": 1, "pickup_after_ms": 2**53}
    late = await house.call("POST", "/orders", body, who=student, headers={"Idempotency-Key": "edge"})
    assert 400 <= late.status < 500, late.body


async def test_a_fault_of_ours_is_friendly_and_logged(house: Any, caplog: pytest.LogCaptureFixture) -> None:
    student = await house.person(Role.STUDENT)
    await house.payments.stop()
    order_id = (await _unpaid(house, student))["id"]
    answer = await house.call("GET", f"/orders/{order_id}", who=student)
    assert answer.status == 500 and answer.code == "internal"
    incident = answer.json["error"]["detail"]["incident"]
    assert f"incident {incident}" in caplog.text and "Traceback" not in answer.body.decode()


async def _unpaid(house: Any, student: Any) -> Any:
    body = await house.quote_body()
    total = (await house.call("POST", "/quotes", body, who=student)).json["total_fen"]
    body |= {"description": "abc", "expected_total_fen": total}
    placed = await house.call("POST", "/orders", body, who=student, headers={"Idempotency-Key": "u"})
    return json.loads(placed.body)
