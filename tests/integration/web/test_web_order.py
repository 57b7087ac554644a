"""One order the whole way over HTTP: placed, paid, grabbed, picked up, delivered, confirmed, rated."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from dispatch.model.account import Role

STUDENT, RUNNER, OPERATOR, ADMIN = Role.STUDENT, Role.RUNNER, Role.OPERATOR, Role.ADMIN


async def test_an_order_goes_the_whole_way(house: Any) -> None:
    student, runner, operator = await house.person(STUDENT), await house.person(RUNNER), await house.person(OPERATOR)
    order = await house.carried(student, runner)
    path = f"/orders/{order['id']}"
    seen = (await house.call("GET", path, who=student)).json
    assert seen["status"] == "assigned" and seen["runner"]["id"] == runner.id and len(seen["pin"]) == 4
    assert (await house.call("GET", path, who=runner)).json["pin"] is None

    assert (await house.call("POST", f"{path}/arrived", {}, who=runner)).json["task_status"] == "at_pickup"
    assert (await house.call("POST", f"{path}/picked-up", {}, who=runner)).json["status"] == "carrying"
    wrong = "0000" if seen["pin"] != "0000" else "1111"
    assert (await house.call("POST", f"{path}/delivered", {"pin": wrong}, who=runner)).code == "wrong_pin"
    done = await house.call("POST", f"{path}/delivered", {"pin": seen["pin"]}, who=runner)
    assert done.json["status"] == "delivered"
    assert (await house.call("POST", f"{path}/confirm", {}, who=student)).json["status"] == "confirmed"
    assert (await house.call("POST", f"{path}/rating", {"stars": 5}, who=student)).json["rating"] == 5

    timeline = (await house.call("GET", f"{path}/timeline", who=operator)).json["events"]
    assert [event["kind"] for event in timeline][:2] == ["order_placed", "payment_ready"]
    console = await house.call("GET", "/console", who=operator)
    assert console.status == 200
    for view in ("/runner/state", "/runner/hall", "/runner/wallet"):
        assert (await house.call("GET", view, who=runner)).status == 200
    assert (await house.call("GET", "/money", who=operator)).json["held_fen"] >= 0


async def test_a_photo_is_proof_and_private(house: Any) -> None:
    student, runner, stranger = await house.person(STUDENT), await house.person(RUNNER), await house.person(STUDENT)
    order = await house.carried(student, runner)
    raw = io.BytesIO()
    Image.new("RGB", (640, 480), (200, 30, 30)).save(raw, "PNG")
    path = f"/orders/{order['id']}"
    png = {"Content-Type": "image/png"}
    await house.call("POST", f"{path}/picked-up", {}, who=runner)
    photo = await house.call("POST", f"{path}/photos", who=runner, raw=raw.getvalue(), headers=png)
    assert photo.status == 200 and photo.json["width"] == 640
    got = await house.call("GET", f"/photos/{photo.json['id']}", who=student)
    assert got.headers["Content-Type"] == "image/jpeg" and got.body[:2] == b"\xff\xd8"
    assert (await house.call("GET", f"/photos/{photo.json['id']}", who=stranger)).status == 404
    refused = await house.call("POST", f"{path}/photos", who=runner, raw=b"no picture", headers=png)
    assert refused.status in (400, 415, 422)
    done = await house.call("POST", f"{path}/delivered", {"photo_id": photo.json["id"]}, who=runner)
    assert done.json["status"] == "delivered"


@pytest.mark.parametrize("key", ["once", "x" * 80, "with spaces inside"])
async def test_the_same_key_places_one_order(house: Any, key: str) -> None:
    student = await house.person(STUDENT)
    first, again = await house.place(student, key), await house.place(student, key)
    assert first == again
    assert len((await house.call("GET", "/orders", who=student)).json["orders"]) == 1


async def test_a_key_is_bound_to_its_request_and_account(house: Any) -> None:
    student, other = await house.person(STUDENT), await house.person(STUDENT)
    order = await house.place(student, "k")
    body = await house.quote_body() | {"description": "something else", "expected_total_fen": 1}
    reused = await house.call("POST", "/orders", body, who=student, headers={"Idempotency-Key": "k"})
    assert reused.status == 409 and reused.code == "idempotency_key_reused"
    assert (await house.place(other, "k"))["id"] != order["id"]
    missing = await house.call("POST", "/orders", body, who=student)
    assert missing.status == 400 and missing.json["error"]["field"] == "Idempotency-Key"


async def test_an_optional_key_repeats_the_answer(house: Any) -> None:
    student = await house.person(STUDENT)
    order = await house.paid(student)
    path, key = f"/orders/{order['id']}/cancel", {"Idempotency-Key": "c1"}
    body = {"reason": "no longer needed", "version": order["version"]}
    first = await house.call("POST", path, body, who=student, headers=key)
    assert first.status == 200 and first.json["status"] == "cancelled"
    await house.work()
    again = await house.call("POST", path, body, who=student, headers=key)
    assert again.body == first.body
    other = await house.call("POST", path, body | {"reason": "changed"}, who=student, headers=key)
    assert other.code == "idempotency_key_reused"


async def test_positions_come_in_the_callers_datum(house: Any) -> None:
    student = await house.person(STUDENT)
    order = await house.paid(student)
    here = (await house.call("GET", f"/orders/{order['id']}", who=student)).json["stops"][0]
    there = (await house.call("GET", f"/orders/{order['id']}?datum=gcj02", who=student)).json["stops"][0]
    assert 0.0005 < abs(here["lon"] - there["lon"]) < 0.02
