"""Asking for a price and placing an order: what is accepted, and what is refused by field."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import time, timedelta
from typing import Any

import msgspec
import pytest

from dispatch.flow import pay_order, payment_view, place_order, read_orders
from dispatch.model.errors import InvalidInput, KeyReused, NotPermitted, OutsideArea, QuoteExpired, Refusal, TooMany
from dispatch.model.order import OrderStatus
from dispatch.model.requests import StopRequest
from dispatch.store import tables
from dispatch.web.idempotency import KeptAnswers
from geo.datum import Datum, from_wgs84
from geo.point import Point
from tests.flow_world import World, run

_FAR = Point(39.9, 116.3)


def _stops(world: World, *changed: tuple[int, dict[str, Any]]) -> list[StopRequest]:
    fields: list[dict[str, Any]] = [{"place_id": place} for place in world.places()]
    for number, change in changed:
        fields[number] = change
    return [StopRequest(**one) for one in fields]


def _lake(world: World) -> Point:
    ring = world.map.zones[0].ring
    return Point(sum(point.lat for point in ring) / len(ring), sum(point.lon for point in ring) / len(ring))


async def test_a_quote_is_itemised_and_promises_a_time(home: World) -> None:
    student = await home.student()
    quote = await place_order.quote_order(home.ctx, student, home.request(weight_g=3500))
    assert sum(line.amount_fen for line in quote.lines) == quote.total_fen == quote.service_fen
    assert {line.kind for line in quote.lines} >= {"base", "weight"}
    assert home.clock.now().timestamp() * 1000 < quote.arrive_from_ms < quote.arrive_by_ms


async def test_the_price_knows_the_time_of_day_and_the_promise_the_backlog(home: World) -> None:
    student = await home.student()
    calm = await place_order.quote_order(home.ctx, student, home.request())
    for _ in range(3):
        await home.paid(student)
    busy = await place_order.quote_order(home.ctx, student, home.request())
    assert busy.total_fen == calm.total_fen and busy.arrive_by_ms > calm.arrive_by_ms
    home.advance(2 * 3600)  # noon
    noon = await place_order.quote_order(home.ctx, student, home.request())
    assert noon.total_fen == calm.total_fen + 100


async def test_a_position_in_gcj02_is_converted_on_the_way_in(home: World) -> None:
    student = await home.student()
    place = home.map.place(home.places()[0]).point
    shifted = from_wgs84(place, Datum.GCJ02)
    stops = _stops(home, (0, {"lat": shifted.lat, "lon": shifted.lon}))
    view = await home.place(student, stops=stops, datum="gcj02")
    stop = (await home.order(view.id)).stops[0]
    assert stop.lat == pytest.approx(place.lat, abs=1e-6) and stop.lon == pytest.approx(place.lon, abs=1e-6)
    assert stop.label, "a bare point is named after what is near"


async def test_errands_without_a_way_and_without_a_place(home: World) -> None:
    student = await home.student()
    queue = await home.place(student, type_code="queue", wait_min=25, stops=[StopRequest(place_id=home.places()[0])])
    assert queue.quote.distance_m == 0 and [line.amount_fen for line in queue.quote.lines] == [300, 600]
    helping = await home.place(student, type_code="help", wait_min=10, stops=[])
    assert helping.stops == []


_INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "unknown type": ({"type_code": "teleport"}, "type_code"),
    "one stop too few": ({"stops": [StopRequest(place_id="library")]}, "stops"),
    "unknown place": ({"stops": [StopRequest(place_id="library"), StopRequest(place_id="moon")]}, "stops.1.place_id"),
    "nowhere": ({"stops": [StopRequest(label="somewhere"), StopRequest(place_id="library")]}, "stops.0"),
    "half a position": ({"stops": [StopRequest(place_id="library"), StopRequest(lat=30.5)]}, "stops.1"),
    "from here to here": ({"stops": [StopRequest(place_id="library")] * 2}, "stops.1"),
    "goods without a cap": ({"type_code": "meal"}, "goods_cap_fen"),
    "a cap without goods": ({"goods_cap_fen": 100}, "goods_cap_fen"),
    "queueing for no time": (
        {"type_code": "queue", "stops": [StopRequest(place_id="library")]}, "wait_min",
    ),
    "waiting that is not paid": ({"wait_min": 5}, "wait_min"),
    "worth too much": ({"type_code": "shop", "goods_cap_fen": 1_000_000}, "goods_cap_fen"),
}  # fmt: skip


@pytest.mark.parametrize("name", _INVALID)
async def test_an_invalid_wish_is_refused_by_field(home: World, name: str) -> None:
    changes, field = _INVALID[name]
    student = await home.student()
    with pytest.raises(InvalidInput) as refused:
        await place_order.quote_order(home.ctx, student, home.request(**changes))
    assert refused.value.field == field
    with pytest.raises(InvalidInput) as refused:
        await place_order.place_order(home.ctx, student, home.wish(1, **changes), "k")
    assert refused.value.field == field


async def test_outside_the_area_in_the_lake_and_out_of_hours(home: World) -> None:
    student = await home.student()
    assert home.map.is_no_go(_lake(home))
    for point in (_FAR, _lake(home)):
        stops = _stops(home, (1, {"lat": point.lat, "lon": point.lon}))
        with pytest.raises(OutsideArea) as refused:
            await place_order.quote_order(home.ctx, student, home.request(stops=stops))
        assert refused.value.field == "stops.1"
    await home.settings(opens=time(12, 0), closes=time(22, 0))
    with pytest.raises(Refusal) as closed:
        await place_order.quote_order(home.ctx, student, home.request())
    assert closed.value.code == "outside_hours" and closed.value.detail["opens"] == "12:00"


async def test_an_errand_for_later_is_promised_later_and_only_within_hours(home: World) -> None:
    student = await home.student()
    now_ms = round(home.clock.now().timestamp() * 1000)
    soon = await home.place(student)
    later = await home.place(student, pickup_after_ms=now_ms + 3_600_000)
    assert later.promised_at_ms - soon.promised_at_ms >= 3_600_000
    for wrong in (now_ms - 1, now_ms + 4 * 86_400_000, 2**53):
        with pytest.raises(InvalidInput) as refused:
            await home.place(student, pickup_after_ms=wrong)
        assert refused.value.field == "pickup_after_ms"
    await home.settings(opens=time(8, 0), closes=time(22, 0))
    with pytest.raises(Refusal) as closed:
        await home.place(student, pickup_after_ms=now_ms + 15 * 3_600_000)
    assert (closed.value.code, closed.value.field) == ("outside_hours", "pickup_after_ms")


async def test_placing_keeps_the_wish_for_money_and_the_deadline_with_the_order(world: World) -> None:
    student = await world.student()
    quote = await place_order.quote_order(world.ctx, student, world.request())
    view = await place_order.place_order(world.ctx, student, world.wish(quote.total_fen), "k")
    assert view.status == "awaiting_payment" and view.pin is None and view.cancel_price_fen == 0
    unsent = await world.ctx.store.read_global(lambda unit: unit.commands.unsent())
    assert [(kind, command_id) for command_id, kind, _ in unsent] == [("OpenIntent", f"open:{view.id}")]
    due = await world.read(lambda uow: uow.jobs.due_at("expire_unpaid", view.id))
    assert due == world.clock.now() + timedelta(minutes=15)
    assert await world.kinds(view.id) == ["order_placed"]
    stored = (await world.order(view.id)).stops[1]
    assert (stored.detail, stored.contact_phone) == ("501", "13900001234")


async def test_the_same_key_places_once_even_at_once(world: World) -> None:
    student, other = await world.student(), await world.student()
    quote = await place_order.quote_order(world.ctx, student, world.request())
    wish = world.wish(quote.total_fen)
    views = await asyncio.gather(*(place_order.place_order(world.ctx, student, wish, "k") for _ in range(6)))
    assert len({view.id for view in views}) == 1
    assert (await place_order.place_order(world.ctx, student, wish, "k")) == views[0]
    assert (await place_order.place_order(world.ctx, other, wish, "k")).id != views[0].id
    with pytest.raises(KeyReused):
        await place_order.place_order(world.ctx, student, world.wish(quote.total_fen, weight_g=501), "k")
    orders = await world.read(lambda uow: uow.orders.page(student_id=student.account_id))
    assert len(orders) == 1


async def test_no_table_holds_a_door_or_a_phone_in_clear(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    here, there = world.places()
    door = StopRequest(place_id=there, detail="牡丹园乙501室", contact_name="欧阳娜娜", contact_phone="13911112222")
    order_id = await world.delivered(student, runner, stops=[StopRequest(place_id=here), door])

    async def answer() -> bytes:
        return msgspec.json.encode(await read_orders.order(world.ctx, student, order_id))

    kept = await KeptAnswers(world.ctx).once(student, "k", "digest", answer)
    assert "牡丹园乙501室".encode() in kept, "it is in the answer"
    assert await KeptAnswers(world.ctx).once(student, "k", "digest", answer) == kept
    own = (await world.read(lambda uow: uow.accounts.get(student.account_id))).phone

    def everything(unit: Any) -> dict[str, str]:
        sql = unit._scope.connection.exec_driver_sql
        return {name: _readable(sql(f"SELECT * FROM {name}")) for name in tables.metadata.tables}

    for name, text in (await world.ctx.store.read_global(everything)).items():
        for secret in ("牡丹园", "欧阳", "13911112222", own):
            assert secret not in text, name


def _readable(rows: Any) -> str:
    values = [bytes(value) if isinstance(value, memoryview) else value for row in rows for value in row]
    return "\n".join(value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values)


async def test_another_price_than_agreed_is_refused_with_the_new_one(home: World) -> None:
    student = await home.student()
    quote = await place_order.quote_order(home.ctx, student, home.request())
    with pytest.raises(QuoteExpired) as refused:
        await place_order.place_order(home.ctx, student, home.wish(quote.total_fen - 1), "k")
    assert refused.value.field == "expected_total_fen" and refused.value.detail["total_fen"] == quote.total_fen
    view = await place_order.place_order(home.ctx, student, home.wish(quote.total_fen), "k")
    assert view.status == "awaiting_payment", "a refusal does not use the key up"


async def test_five_unpaid_orders_are_enough(home: World) -> None:
    student = await home.student()
    for _ in range(place_order.MAX_UNPAID):
        first = await home.place(student)
    with pytest.raises(TooMany):
        await home.place(student)
    await home.pay(student, first.id)
    assert (await home.place(student)).status == "awaiting_payment"


async def test_who_may_place(home: World) -> None:
    operator, student = await home.operator(), await home.student()
    with pytest.raises(NotPermitted):
        await place_order.place_order(home.ctx, operator, home.wish(1), "k")

    def block(unit: Any) -> None:
        unit.accounts.save(replace(unit.accounts.get(student.account_id), is_blocked=True))

    await home.ctx.store.run_global(block)
    with pytest.raises(NotPermitted, match="blocked"):
        await home.place(student)


async def test_a_chosen_channel_goes_first_and_an_unknown_one_is_refused(home: World) -> None:
    student = await home.student()
    view = await home.place(student, channel="sandbox_backup")
    intent = await home.payments.view(payment_view.intent_id(view.id))
    assert intent is not None and intent.channel == "sandbox_backup"
    with pytest.raises(InvalidInput) as refused:
        await home.place(student, channel="gold")
    assert refused.value.field == "channel" and refused.value.detail["offered"] == ["sandbox", "sandbox_backup"]
    assert [channel.code for channel in await pay_order.channels(home.ctx, student)] == ["sandbox", "sandbox_backup"]


async def test_another_campus_is_invisible(home: World) -> None:
    student = await home.student()
    order_id = await home.paid(student)
    stranger = await home.student(campus_id=home.other_campus_id)
    with pytest.raises(Refusal) as refused:
        await pay_order.pay(home.ctx, stranger, order_id, pay_order.PayOrder(channel="sandbox"))
    assert refused.value.code == "not_found"
    assert (await home.order(order_id)).status is OrderStatus.OPEN
    assert await run(home, lambda uow: uow.orders.find(order_id)) is not None
