"""Carrying an errand out: arriving, picking up, handing over by code or photo, confirming and rating."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image

from dispatch.access.principal import Principal
from dispatch.flow import cancel_order, confirm_order, deliver_task, reassign_task
from dispatch.flow.order_view import ms
from dispatch.model.errors import (
    InvalidInput,
    NotFound,
    NotPermitted,
    PinLocked,
    StaleVersion,
    TooLarge,
    TooMany,
    UnsupportedMedia,
    WrongPin,
    WrongState,
)
from dispatch.model.order import OrderStatus
from dispatch.model.requests import (
    CancelOrder,
    ConfirmOrder,
    Deliver,
    OperatorCancel,
    PickUp,
    RateOrder,
    Reassign,
    StopRequest,
    Tap,
)
from dispatch.model.views import PhotoView
from geo.datum import Datum, from_wgs84
from tests.flow_world import World, run


async def _payload(world: World, order_id: str, kind: str) -> dict[str, Any]:
    return dict(next(event.payload for event in await world.events(order_id) if event.kind == kind))


async def _photo(world: World, runner: Principal, order_id: str) -> PhotoView:
    raw = io.BytesIO()
    Image.new("RGB", (640, 480), (10, 200, 30)).save(raw, "PNG")
    return await deliver_task.add_photo(world.ctx, runner, order_id, "image/png; q=1", raw.getvalue())


def _wrong(pin: str) -> str:
    return "0000" if pin != "0000" else "1111"


async def test_each_step_is_told_with_the_distance_from_its_stop(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.assigned(student, runner)
    order = await world.order(order_id)
    here = from_wgs84(world.map.place(world.places()[0]).point, Datum.GCJ02)
    pressed_ms = ms(world.clock.now())
    world.clock.advance(30)
    tap = Tap(lat=here.lat, lon=here.lon, datum="gcj02", tapped_at_ms=pressed_ms)
    view = await deliver_task.arrived(world.ctx, runner, order_id, tap)
    assert view.task_status == "at_pickup"
    told = await _payload(world, order_id, "runner_arrived")
    assert told["distance_from_stop_m"] <= 1
    assert told["at_ms"] == pressed_ms, "a tap that was made offline counts from when it was made"
    again = await deliver_task.arrived(world.ctx, runner, order_id, tap)
    assert again.version == view.version, "pressing it twice is harmless"
    picked = await deliver_task.picked_up(world.ctx, runner, order_id, PickUp())
    assert (await deliver_task.picked_up(world.ctx, runner, order_id, PickUp())).version == picked.version
    await deliver_task.arrived(world.ctx, runner, order_id, Tap())
    assert (await world.task(order_id)).status == "at_dropoff"
    far = world.map.place(world.places()[0]).point
    done = await deliver_task.delivered(world.ctx, runner, order_id, Deliver(pin=order.pin, lat=far.lat, lon=far.lon))
    assert done.status == "delivered" and done.pin is None
    told = await _payload(world, order_id, "order_delivered")
    assert told["distance_from_stop_m"] > 100 and told["proof"] == "pin" and told["is_late"] is False
    again = await deliver_task.delivered(world.ctx, runner, order_id, Deliver(pin=order.pin))
    assert again.version == done.version
    with pytest.raises(WrongState):
        await deliver_task.picked_up(world.ctx, runner, order_id, PickUp())
    assert await world.read(lambda uow: uow.jobs.due_at("check_late", order_id)) is None
    due = await world.read(lambda uow: uow.jobs.due_at("auto_confirm", order_id))
    assert due == world.clock.now() + timedelta(days=1)


async def test_queueing_has_one_place_and_no_pick_up(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    place = home.places()[0]
    order_id = await home.assigned(student, runner, type_code="queue", wait_min=10, stops=[StopRequest(place_id=place)])
    at = home.map.place(place).point
    await deliver_task.arrived(home.ctx, runner, order_id, Tap(lat=at.lat, lon=at.lon))
    told = await _payload(home, order_id, "runner_arrived")
    assert told["stop_role"] == "place" and told["distance_from_stop_m"] == 0
    with pytest.raises(WrongState, match="nothing to pick up"):
        await deliver_task.picked_up(home.ctx, runner, order_id, PickUp())
    pin = (await home.order(order_id)).pin
    view = await deliver_task.delivered(home.ctx, runner, order_id, Deliver(pin=pin))
    assert view.status == "delivered" and [step.step for step in view.steps if step.at_ms] == [
        "accepted", "on_the_way", "delivered",
    ]  # fmt: skip
    helping = await home.assigned(student, runner, type_code="help", wait_min=10, stops=[])
    pin = (await home.order(helping)).pin
    assert (await deliver_task.delivered(home.ctx, runner, helping, Deliver(pin=pin))).status == "delivered"


async def test_the_receipt_stays_under_the_cap(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    meal = await home.assigned(student, runner, type_code="meal", goods_cap_fen=2000)
    for wrong in (PickUp(), PickUp(goods_actual_fen=2001)):
        with pytest.raises(InvalidInput) as refused:
            await deliver_task.picked_up(home.ctx, runner, meal, wrong)
        assert refused.value.field == "goods_actual_fen"
    view = await deliver_task.picked_up(home.ctx, runner, meal, PickUp(goods_actual_fen=2000))
    assert view.goods_actual_fen == 2000
    parcel = await home.assigned(student, runner)
    with pytest.raises(InvalidInput):
        await deliver_task.picked_up(home.ctx, runner, parcel, PickUp(goods_actual_fen=1))
    with pytest.raises(WrongState, match="pick it up first"):
        await deliver_task.delivered(home.ctx, runner, parcel, Deliver(pin="0000"))


async def test_five_wrong_codes_lock_the_code_and_a_photo_still_proves(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.carrying(student, runner)
    pin = (await world.order(order_id)).pin
    with pytest.raises(InvalidInput) as nothing:
        await deliver_task.delivered(world.ctx, runner, order_id, Deliver())
    assert nothing.value.field == "pin"
    for left in (4, 3, 2, 1, 0):
        with pytest.raises(WrongPin) as wrong:
            await deliver_task.delivered(world.ctx, runner, order_id, Deliver(pin=_wrong(pin)))
        assert wrong.value.detail["tries_left"] == left
    for given in (pin, _wrong(pin)):
        with pytest.raises(PinLocked):
            await deliver_task.delivered(world.ctx, runner, order_id, Deliver(pin=given))
    assert (await world.order(order_id)).pin_tries == 5
    photo = await _photo(world, runner, order_id)
    view = await deliver_task.delivered(world.ctx, runner, order_id, Deliver(photo_id=photo.id))
    assert view.status == "delivered" and view.photo_ids == [photo.id]
    assert (await _payload(world, order_id, "order_delivered"))["proof"] == "photo"


async def test_a_photo_is_of_its_order_and_for_its_parties(home: World) -> None:
    student, runner, other = await home.student(), await home.runner(), await home.runner()
    operator = await home.operator()
    order_id, elsewhere = await home.carrying(student, runner), await home.carrying(student, other)
    photo = await _photo(home, runner, order_id)
    assert (photo.width, photo.height) == (640, 480) and photo.bytes <= 300_000
    foreign = await _photo(home, other, elsewhere)
    with pytest.raises(InvalidInput) as refused:
        await deliver_task.delivered(home.ctx, runner, order_id, Deliver(photo_id=foreign.id))
    assert refused.value.field == "photo_id"
    for viewer in (student, runner, operator):
        assert (await deliver_task.photo(home.ctx, viewer, photo.id))[:2] == b"\xff\xd8"
    for stranger in (other, await home.operator(campus_id=home.other_campus_id)):
        with pytest.raises(NotFound):
            await deliver_task.photo(home.ctx, stranger, photo.id)
    with pytest.raises(NotFound):
        await _photo(home, other, order_id)
    with pytest.raises(UnsupportedMedia):
        await deliver_task.add_photo(home.ctx, runner, order_id, "image/gif", b"GIF89a")
    with pytest.raises(UnsupportedMedia):
        await deliver_task.add_photo(home.ctx, runner, order_id, "image/png", b"no picture")
    with pytest.raises(TooLarge):
        await deliver_task.add_photo(home.ctx, runner, order_id, "image/png", bytes(2_000_001))
    for _ in range(deliver_task.MAX_PHOTOS - 1):
        await _photo(home, runner, order_id)
    with pytest.raises(TooMany):
        await _photo(home, runner, order_id)


async def test_a_tap_counts_from_when_it_was_made_within_what_is_possible(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    assigned_at = home.clock.now()
    first = await home.assigned(student, runner)
    second = await home.assigned(student, runner)
    third = await home.assigned(student, runner)
    home.advance(600)
    now_ms = round(home.clock.now().timestamp() * 1000)
    taps = {first: now_ms - 60_000, second: 0, third: 2**53}
    for order_id, tapped_at_ms in taps.items():
        await deliver_task.picked_up(home.ctx, runner, order_id, PickUp(tapped_at_ms=tapped_at_ms))
    picked = {order_id: (await home.order(order_id)).picked_up_at for order_id in taps}
    assert picked[first] == home.clock.now() - timedelta(seconds=60)
    assert picked[second] == assigned_at, "not before it was taken"
    assert picked[third] == home.clock.now(), "not in the future"


async def test_only_the_runner_who_carries_it_may_press(home: World) -> None:
    student, runner, other = await home.student(), await home.runner(), await home.runner()
    operator = await home.operator()
    order_id = await home.assigned(student, runner)
    with pytest.raises(NotFound):
        await deliver_task.arrived(home.ctx, other, order_id, Tap())
    with pytest.raises(NotPermitted):
        await deliver_task.arrived(home.ctx, student, order_id, Tap())
    unpaid = await home.place(student)
    with pytest.raises(NotFound):
        await deliver_task.arrived(home.ctx, runner, unpaid.id, Tap())
    version = (await home.order(order_id)).version
    wish = OperatorCancel(reason="a storm", version=version)
    await cancel_order.operator_cancel(home.ctx, operator, order_id, wish)
    with pytest.raises(WrongState, match="cancelled"):
        await deliver_task.arrived(home.ctx, runner, order_id, Tap())
    taken = await home.assigned(student, runner)
    version = (await home.order(taken)).version
    await reassign_task.reassign(home.ctx, operator, taken, Reassign(runner_id=None, version=version, reason="other"))
    with pytest.raises(NotFound):
        await deliver_task.picked_up(home.ctx, runner, taken, PickUp())


async def test_a_late_hand_over_says_so(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.carrying(student, runner)
    order = await home.order(order_id)
    home.advance((order.promised_at - home.clock.now()).total_seconds() + 1)
    view = await deliver_task.delivered(home.ctx, runner, order_id, Deliver(pin=order.pin))
    assert view.is_late and (await _payload(home, order_id, "order_delivered"))["is_late"] is True


async def test_confirming(world: World) -> None:
    student, other, runner = await world.student(), await world.student(), await world.runner()
    order_id = await world.delivered(student, runner)
    version = (await world.order(order_id)).version
    with pytest.raises(NotFound):
        await confirm_order.confirm(world.ctx, other, order_id, ConfirmOrder())
    with pytest.raises(StaleVersion):
        await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder(version=version - 1))
    view = await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder(version=version))
    assert view.status == "confirmed" and view.settle_at_ms == view.confirmed_at_ms + 86_400_000  # type: ignore[operator]
    again = await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder(version=version))
    assert again.version == view.version
    early = await world.carrying(student, runner)
    with pytest.raises(WrongState):
        await confirm_order.confirm(world.ctx, student, early, ConfirmOrder())


async def test_rating_once(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.carrying(student, runner)
    with pytest.raises(WrongState, match="delivered"):
        await confirm_order.rate(home.ctx, student, order_id, RateOrder(stars=5))
    await deliver_task.delivered(home.ctx, runner, order_id, Deliver(pin=(await home.order(order_id)).pin))
    view = await confirm_order.rate(home.ctx, student, order_id, RateOrder(stars=4, text="谢谢"))
    assert (view.rating, view.rating_text) == (4, "谢谢")
    again = await confirm_order.rate(home.ctx, student, order_id, RateOrder(stars=4, text="谢谢"))
    assert again.version == view.version
    with pytest.raises(WrongState, match="has been rated"):
        await confirm_order.rate(home.ctx, student, order_id, RateOrder(stars=5, text="谢谢"))
    with pytest.raises(NotFound):
        await confirm_order.rate(home.ctx, runner, order_id, RateOrder(stars=5))
    assert await run(home, lambda uow: uow.statistics.stars([runner.account_id])) == {runner.account_id: 4.0}
    (told,) = [event for event in await home.events(order_id) if event.kind == "order_rated"]
    assert "谢谢" not in str(told.payload)


async def test_the_silent_confirmation_leaves_a_confirmed_order_alone(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.delivered(student, runner)
    await confirm_order.confirm(home.ctx, student, order_id, ConfirmOrder())
    before = await home.order(order_id)
    for kind in ("auto_confirm", "check_late", "expire_unpaid"):
        await run(home, lambda uow, kind=kind: uow.jobs.schedule(kind, order_id, uow.now))
    await home.work()
    assert await home.order(order_id) == before
    assert before.status is OrderStatus.CONFIRMED
    with pytest.raises(WrongState):
        await cancel_order.cancel(home.ctx, student, order_id, CancelOrder(reason="x", version=before.version))
