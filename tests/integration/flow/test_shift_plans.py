"""Runners' weeks, breaks and rests: written, read from files, told, and obeyed by whoever plans."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import answer_offer, go_on_duty, plan_shifts
from dispatch.model.errors import InvalidInput, NotAvailable, NotFound, NotPermitted, StaleVersion
from dispatch.model.offer import OfferStatus
from dispatch.model.requests import DeclineOffer, SetDuty
from dispatch.model.shift import Entry
from dispatch.model.shift_requests import SavePlan, TakeBreak
from tests.flow_world import World
from tests.shift_reading import excluded, ms, rules

#: The world begins on a Monday at ten.
CLASS = Entry(kind="class", weekday=1, from_min=10 * 60 + 30, to_min=12 * 60, label="数学")


async def test_a_runners_week_keeps_them_from_offers_while_they_are_in_class(world: World) -> None:
    runner, idle = await world.runner(), await world.runner()
    empty = await plan_shifts.plan(world.ctx, runner)
    assert (empty.version, empty.entries, empty.excluded, empty.time_zone) == (0, [], None, "Asia/Shanghai")
    saved = await plan_shifts.save_plan(world.ctx, runner, SavePlan(version=0, entries=[CLASS]))
    assert saved.version == 1 and saved.entries == [CLASS] and saved.until_ms == ms(world, 1800)
    assert (await rules(world)).runners[runner.account_id].until_ms == ms(world, 1800)
    world.advance(1800)
    assert await excluded(world, runner) == "in_class" and await excluded(world, idle) is None
    assert (await go_on_duty.state(world.ctx, runner)).excluded == "in_class"
    world.advance(5400)
    assert await excluded(world, runner) is None
    with pytest.raises(StaleVersion):
        await plan_shifts.save_plan(world.ctx, runner, SavePlan(version=0, entries=[]))
    assert (await plan_shifts.save_plan(world.ctx, runner, SavePlan(version=1, entries=[]))).version == 2


async def test_the_campus_team_plans_shifts_and_that_is_audited(world: World) -> None:
    operator, runner, other = await world.operator(), await world.runner(), await world.runner()
    shift = Entry(kind="shift", weekday=1, from_min=9 * 60, to_min=11 * 60)
    request = SavePlan(version=0, entries=[shift])
    assert (await plan_shifts.save_plan_of(world.ctx, operator, runner.account_id, request)).excluded is None
    rows = await world.read(lambda uow: uow.audit.page())
    assert [(row.action, row.subject, row.after["version"]) for row in rows if row.action == "runner.plan"] == [
        ("runner.plan", runner.account_id, 1)
    ]
    world.advance(3600)
    assert await excluded(world, runner) == "off_shift"
    assert (await plan_shifts.plan_of(world.ctx, operator, runner.account_id)).excluded == "off_shift"
    for refused in (
        plan_shifts.save_plan_of(world.ctx, other, runner.account_id, SavePlan(version=1, entries=[])),
        plan_shifts.plan_of(world.ctx, other, runner.account_id),
        plan_shifts.plan(world.ctx, operator),
        plan_shifts.save_plan(world.ctx, await world.student(), SavePlan(version=0, entries=[])),
    ):
        with pytest.raises(NotPermitted):
            await refused
    stranger = await world.operator(campus_id=world.other_campus_id)
    with pytest.raises(NotFound):
        await plan_shifts.plan_of(world.ctx, stranger, runner.account_id)
    student = await world.student()
    with pytest.raises(NotAvailable):
        await plan_shifts.save_plan_of(world.ctx, operator, student.account_id, SavePlan(version=0, entries=[]))


async def test_a_file_is_read_and_not_stored(home: World) -> None:
    runner = await home.runner()
    text = "星期,开始,结束,周次\n周一,08:00,09:35,1-8\n".encode("gb18030")
    found = await plan_shifts.read_plan(home.ctx, runner, "text/csv", text, home.clock.now().date())
    assert (found.entries[0].weekday, found.entries[0].weeks) == (1, tuple(range(1, 9)))
    assert (await plan_shifts.plan(home.ctx, runner)).version == 0
    with pytest.raises(InvalidInput) as refused:
        await plan_shifts.read_plan(home.ctx, runner, "text/csv", b"weekday,from,to\n9,8,9\n", None)
    assert refused.value.field == "lines.2.weekday"
    with pytest.raises(NotPermitted):
        await plan_shifts.read_plan(home.ctx, await home.student(), "text/csv", text, None)


async def test_a_break_gives_the_offer_back_and_ends_by_itself(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.paid(student)
    offer = await world.offered(order_id)
    view = await plan_shifts.take_break(world.ctx, runner, TakeBreak(until_ms=ms(world, 600)))
    assert (view.excluded, view.break_until_ms) == ("on_break", ms(world, 600))
    assert (await world.read(lambda uow: uow.offers.get(offer.id))).status is OfferStatus.DECLINED
    assert (await world.task(order_id)).status == "open"
    with pytest.raises(NotAvailable) as refused:
        await answer_offer.grab(world.ctx, runner, order_id)
    assert refused.value.detail["reason"] == "on_break"
    assert await excluded(world, runner) == "on_break"
    world.advance(600)
    assert await excluded(world, runner) is None, "a break is no refusal: nobody rests after it"
    await plan_shifts.take_break(world.ctx, runner, TakeBreak(until_ms=ms(world, 600)))
    assert (await plan_shifts.take_break(world.ctx, runner, TakeBreak(until_ms=None))).excluded is None
    heard = await world.publish() and [event.kind for event in await world.heard(f"runner:{runner.account_id}")]
    assert heard and heard.count("runner_paused") == 3


@pytest.mark.parametrize("seconds", [-60, 0, 59, 4 * 3600 + 1])
async def test_a_break_has_bounds(home: World, seconds: int) -> None:
    runner = await home.runner()
    with pytest.raises(InvalidInput) as refused:
        await plan_shifts.take_break(home.ctx, runner, TakeBreak(until_ms=ms(home, seconds)))
    assert refused.value.field == "until_ms"
    with pytest.raises(InvalidInput):
        await plan_shifts.take_break(home.ctx, runner, TakeBreak(until_ms=2**53))


async def test_only_who_is_on_duty_takes_breaks_and_coming_on_duty_ends_them(home: World) -> None:
    runner = await home.runner()
    await plan_shifts.take_break(home.ctx, runner, TakeBreak(until_ms=ms(home, 900)))
    await go_on_duty.set_duty(home.ctx, runner, SetDuty(is_on=True, vehicle="e_bike"))
    assert await excluded(home, runner) == "on_break", "another vehicle is no coming"
    await go_on_duty.set_duty(home.ctx, runner, SetDuty(is_on=False))
    with pytest.raises(NotAvailable):
        await plan_shifts.take_break(home.ctx, runner, TakeBreak(until_ms=ms(home, 900)))
    await go_on_duty.set_duty(home.ctx, runner, SetDuty(is_on=True))
    assert await excluded(home, runner) is None
    with pytest.raises(NotPermitted):
        await plan_shifts.take_break(home.ctx, await home.student(), TakeBreak(until_ms=None))


async def declined(world: World, runner: Principal, **more: Any) -> None:
    """The runner declines an order that they alone could have."""
    order_id = await world.paid(await world.student())
    offer = await world.offered(order_id)
    assert offer.runner_id == runner.account_id
    await answer_offer.decline(world.ctx, runner, offer.id, DeclineOffer(**more))


async def test_whoever_declined_rests_longer_each_time_and_not_after_taking_one(world: World) -> None:
    runner = await world.runner()
    rests = []
    for _ in range(3):
        await declined(world, runner)
        assert await excluded(world, runner) == "cooling_down"
        cool_until = (await go_on_duty.state(world.ctx, runner)).cool_until_ms
        assert cool_until is not None
        rests.append((cool_until - ms(world)) / 1000)
        world.advance(rests[-1])
        await world.stand(runner, world.map.center)
        assert await excluded(world, runner) is None
    assert rests == [60, 120, 240]
    order_id = await world.paid(await world.student())
    await world.assign(runner, order_id)
    pause = await world.read(lambda uow: uow.runner_plans.pause(runner.account_id))
    assert (pause.declines, pause.cool_until) == (0, None)


async def test_busy_ask_me_later(world: World) -> None:
    runner = await world.runner()
    await declined(world, runner, ask_again_s=900)
    world.advance(899)
    assert await excluded(world, runner) == "cooling_down"
    world.advance(1)
    assert await excluded(world, runner) is None
    pause = await world.read(lambda uow: uow.runner_plans.pause(runner.account_id))
    assert pause.declines == 0


async def test_whoever_rests_may_still_take_from_the_hall(home: World) -> None:
    runner = await home.runner()
    await declined(home, runner)
    order_id = await home.paid(await home.student())
    assert (await answer_offer.grab(home.ctx, runner, order_id)).status == "assigned"
