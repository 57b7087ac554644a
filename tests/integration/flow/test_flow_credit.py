"""Credit along an errand's way: what moves it, once each, in the same commit; and what a low score no longer allows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import answer_offer, confirm_order, deliver_task, go_on_duty, reassign_task
from dispatch.flow.credit_limits import acceptance_of, credit_limits
from dispatch.flow.move_credit import credit_delivery, fade_credit, move
from dispatch.model.account import RunnerStatus
from dispatch.model.credit import CreditCause, CreditEntry, CreditReason, CreditRule, CreditRules
from dispatch.model.errors import NotAvailable
from dispatch.model.offer import Offer, OfferStatus
from dispatch.model.photo import Photo
from dispatch.model.requests import DeclineOffer, Deliver, PickUp, RateOrder, Reassign, UndoReassign
from dispatch.model.task import TaskMove, next_status
from geo.point import Point
from tests.flow_world import World, run

R = CreditReason


async def lines(world: World, who: Principal) -> list[CreditEntry]:
    """Oldest first."""
    found: list[CreditEntry] = await world.read(lambda uow: uow.credit.page(who.account_id, limit=100))
    return found[::-1]


async def told(world: World, who: Principal) -> list[tuple[str, int]]:
    """The lines after the first, as reason and points; the score is their sum."""
    found = await lines(world, who)
    assert await score(world, who) == (sum(entry.delta for entry in found) if found else 80)
    return [(str(entry.reason), entry.delta) for entry in found[1:]]


async def score(world: World, who: Principal) -> int:
    return int((await world.read(lambda uow: uow.memberships.get(who.account_id))).credit)


async def fall_to(world: World, who: Principal, wanted: int) -> None:
    """An operator's word takes the score there."""

    settings = (await world.ctx.grounds.get(world.campus_id)).campus.settings

    def change(uow: Any) -> None:
        delta = wanted - uow.memberships.get(who.account_id).credit
        move(uow, settings, who.account_id, CreditCause(R.CORRECTED, delta), subject_id=uow.new_id("crd"))

    await run(world, change)


async def hand_over(world: World, runner: Principal, order_id: str) -> None:
    pin = (await world.order(order_id)).pin
    await deliver_task.delivered(world.ctx, runner, order_id, Deliver(pin=pin))


async def force(world: World, order_id: str, runner: Principal | None, reason: Any, by: Principal) -> None:
    version = (await world.order(order_id)).version
    request = Reassign(runner_id=runner and runner.account_id, version=version, reason=reason)
    await reassign_task.reassign(world.ctx, by, order_id, request)


async def test_in_time_and_well_rated_goes_up_once_each(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.delivered(student, runner)
    await hand_over(world, runner, order_id)  # pressed twice
    assert await told(world, runner) == [("on_time", 1)]
    for _ in range(2):
        await confirm_order.rate(world.ctx, student, order_id, RateOrder(stars=5))
    assert await told(world, runner) == [("on_time", 1), ("well_rated", 1)] and await score(world, runner) == 82
    first, second, third = await lines(world, runner)
    assert (first.reason, first.delta, first.number, first.subject_id) == (R.OPENING, 80, 1, runner.account_id)
    assert (second.order_id, second.rule_version, second.actor_id, second.balance) == (order_id, "credit-1", None, 81)
    assert third.facts == {"stars": 5} and (third.number, third.balance) == (3, 82)


async def test_late_goes_down_by_how_much_and_a_bad_word_too(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.carrying(student, runner)
    order = await home.order(order_id)
    home.advance((order.promised_at - home.clock.now()).total_seconds() + 3_600)
    await hand_over(home, runner, order_id)
    (line,) = (await lines(home, runner))[1:]
    assert (line.reason, line.delta) == (R.LATE, -6) and 30 < line.facts["minutes"] <= 60
    await confirm_order.rate(home.ctx, student, order_id, RateOrder(stars=1))
    assert await told(home, runner) == [("late", -6), ("badly_rated", -2)]


async def test_what_was_late_when_it_was_taken_is_not_the_takers_fault(home: World) -> None:
    student, first, second = await home.student(), await home.runner(), await home.runner()
    operator = await home.operator()
    waited = await home.paid(student)
    home.advance(7_200)
    await home.assign(first, waited)
    await deliver_task.picked_up(home.ctx, first, waited, PickUp())
    home.advance(300)
    await hand_over(home, first, waited)
    assert await told(home, first) == []
    # Nor is what another one dawdled with.
    dawdled = await home.carrying(student, first)
    home.advance(7_200)
    await force(home, dawdled, second, "too_late", operator)
    home.advance(300)
    await hand_over(home, second, dawdled)
    assert await told(home, second) == []


async def test_a_photo_taken_far_away_costs_and_a_right_code_does_not(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    away = Point(home.map.center.lat + 0.02, home.map.center.lon)

    async def deliver_from(where: Point, **proof: Any) -> None:
        order_id = await home.carrying(student, runner)
        if not proof:
            proof = {"pin": (await home.order(order_id)).pin}
        else:
            proof = {"photo_id": await run(home, lambda uow: photo_of(uow, order_id, runner))}
        await deliver_task.delivered(home.ctx, runner, order_id, Deliver(lat=where.lat, lon=where.lon, **proof))

    await deliver_from(away)
    assert await told(home, runner) == [("on_time", 1)]
    await deliver_from(away, photo=True)
    assert await told(home, runner) == [("on_time", 1), ("on_time", 1), ("far_from_stop", -1)]
    assert (await lines(home, runner))[-1].facts["metres"] > 1_000


def photo_of(uow: Any, order_id: str, runner: Principal) -> str:
    photo = Photo(uow.new_id("pho"), uow.campus_id, order_id, runner.account_id, uow.now, b"jpeg", 1, 1)
    uow.photos.insert(photo)
    return photo.id


async def test_saying_no_is_free_and_the_fourth_silence_of_a_day_is_not(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    for _ in range(2):
        offer_id = await put_to(home, runner, await home.paid(student))
        await answer_offer.decline(home.ctx, runner, offer_id, DeclineOffer())
    for silence in range(6):
        await put_to(home, runner, await home.paid(student))
        await home.pass_time(16)
        costs = max(0, silence - 2)
        assert await told(home, runner) == [("ignored", -1)] * min(2, costs)
    share = (await home.read(acceptance_of))[runner.account_id]
    assert share == pytest.approx(8.7 / 18)


async def put_to(home: World, runner: Principal, order_id: str) -> str:
    """An offer without the planner, who lets a runner rest after a no; its id."""
    task = await home.task(order_id)

    def offer(uow: Any) -> str:
        made = Offer(
            uow.new_id("ofr"), uow.campus_id, task.id, order_id, runner.account_id, OfferStatus.PENDING, uow.now,
            uow.now + home.ctx.options.offer_ttl,
        )  # fmt: skip
        uow.tasks.save(
            replace(task, status=next_status(task.status, TaskMove.OFFER), version=task.version + 1, offer_id=made.id)
        )
        uow.offers.insert(made)
        uow.jobs.schedule("expire_offer", made.id, made.expires_at)
        return made.id

    return str(await run(home, offer))


async def test_taken_back_for_the_runners_own_reason_costs_and_the_undo_gives_it_back(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    first, second = await world.runner(), await world.runner()
    order_id = await world.assigned(student, first)
    await force(world, order_id, second, "runner_unreachable", operator)
    assert await told(world, first) == [("taken_back", -5)] and await told(world, second) == []
    version = (await world.order(order_id)).version
    await reassign_task.undo(world.ctx, operator, order_id, UndoReassign(version=version))
    assert await told(world, first) == [("taken_back", -5), ("reversed", 5)]
    await force(world, order_id, None, "student_asked", operator)
    assert await told(world, first) == [("taken_back", -5), ("reversed", 5)], "not the runner's doing"


async def test_two_events_at_once_lose_neither(world: World) -> None:
    """A delivery and three ratings of the same runner, all at the same moment; each on its own would read 80."""
    student, runner = await world.student(), await world.runner()
    rated = [await world.delivered(student, runner) for _ in range(3)]
    carried = await world.carrying(student, runner)
    pin = (await world.order(carried)).pin
    await asyncio.gather(
        deliver_task.delivered(world.ctx, runner, carried, Deliver(pin=pin)),
        *(confirm_order.rate(world.ctx, student, order_id, RateOrder(stars=1)) for order_id in rated),
    )
    found = await told(world, runner)
    # Within the bounds of a day: three points for being in time, four for bad words.
    assert sorted(found) == sorted([("on_time", 1)] * 3 + [("badly_rated", -2)] * 2)
    numbers = [entry.number for entry in await lines(world, runner)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert await world.ctx.store.read_global(lambda unit: unit.checks.violations()) == {}


async def test_a_line_that_fails_undoes_its_event(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.carrying(student, runner)
    settings = (await home.ctx.grounds.get(home.campus_id)).campus.settings

    def deliver_and_fail(uow: Any) -> None:
        order = uow.orders.get(order_id)
        uow.orders.save(replace(order, delivered_at=uow.now, version=order.version + 1))
        credit_delivery(uow, replace(order, delivered_at=uow.now), runner.account_id, settings)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        await run(home, deliver_and_fail)
    assert await lines(home, runner) == [] and (await home.order(order_id)).delivered_at is None
    assert await score(home, runner) == 80


async def test_quiet_weeks_lead_back_to_the_beginning(home: World) -> None:
    runner = await home.runner(is_on=False)
    await fall_to(home, runner, 78)
    for days in (6, 1):
        await home.pass_time(days * 86_400)
    assert await told(home, runner) == [("corrected", -2), ("faded", 1)]
    await home.pass_time(7 * 86_400)
    assert await score(home, runner) == 80
    await home.pass_time(30 * 86_400)
    assert await told(home, runner) == [("corrected", -2), ("faded", 1), ("faded", 1)]
    due = await home.read(lambda uow: uow.jobs.due_at("fade_credit", runner.account_id))
    assert due is None, "nothing is left to fade"


async def test_fading_looks_again_before_it_acts(home: World) -> None:
    runner = await home.runner(is_on=False)
    settings = (await home.ctx.grounds.get(home.campus_id)).campus.settings

    def fade(uow: Any) -> None:
        fade_credit(uow, runner.account_id, settings)

    def due(uow: Any) -> Any:
        return uow.jobs.due_at("fade_credit", runner.account_id)

    await run(home, fade)
    assert await lines(home, runner) == [], "nothing to fade"
    await fall_to(home, runner, 78)
    first_due = await home.read(due)
    home.advance(86_400)
    await run(home, fade)
    assert await score(home, runner) == 78 and await home.read(due) == first_due, "called early, it waits for its time"
    await fall_to(home, runner, 80)
    assert await home.read(due) is None
    home.advance(30 * 86_400)
    await run(home, fade)
    assert await score(home, runner) == 80


async def test_an_undo_of_what_cost_nothing_gives_nothing(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    first, second = await home.runner(), await home.runner()
    order_id = await home.assigned(student, first)
    await force(home, order_id, second, "student_asked", operator)
    version = (await home.order(order_id)).version
    await reassign_task.undo(home.ctx, operator, order_id, UndoReassign(version=version))
    assert await told(home, first) == await told(home, second) == []


async def test_a_campus_may_ask_for_every_no(home: World) -> None:
    await home.settings(credit=CreditRules(declined=CreditRule(-1, daily=1)))
    student, runner = await home.student(), await home.runner()
    for _ in range(2):
        offer_id = await put_to(home, runner, await home.paid(student))
        await answer_offer.decline(home.ctx, runner, offer_id, DeclineOffer())
    assert await told(home, runner) == [("declined", -1)]


async def test_levels_are_told_and_on_record(home: World) -> None:
    runner = await home.runner()
    await fall_to(home, runner, 50)
    assert await told(home, runner) == [("corrected", -30), ("level_down", 0)]
    for low in (30, 10):
        home.advance(1)
        await fall_to(home, runner, low)
    alerts = [kind for kind in await home.alerts() if kind.startswith("credit")]
    assert alerts == ["credit_removed", "credit_limited"], "newest first"
    await home.publish()
    heard = [one.data for one in await home.heard(f"runner:{runner.account_id}") if one.kind == "credit_changed"]
    assert [(one["level"], one["credit"]) for one in heard] == [("warned", 50), ("limited", 30), ("removed", 10)]
    member = await home.read(lambda uow: uow.memberships.get(runner.account_id))
    assert member.runner_status is RunnerStatus.APPROVED, "a person decides"
    await fall_to(home, runner, 92)
    await fall_to(home, runner, 85)
    await fall_to(home, runner, 95)
    rewards = [entry for entry in await lines(home, runner) if entry.reason is R.REWARDED]
    assert [entry.subject_id for entry in rewards] == ["2026-03"], "once a month"
    assert (await go_on_duty.state(home.ctx, runner)).credit_level == "good"


async def test_a_campus_may_remove_by_rule_but_not_with_an_errand_in_hand(home: World) -> None:
    await home.settings(credit=CreditRules(is_removal_automatic=True))
    student, idle, busy = await home.student(), await home.runner(), await home.runner()
    await home.assigned(student, busy)
    for runner, status in ((idle, RunnerStatus.REMOVED), (busy, RunnerStatus.APPROVED)):
        await fall_to(home, runner, 5)
        member = await home.read(lambda uow, runner=runner: uow.memberships.get(runner.account_id))
        assert (member.runner_status, member.credit) == (status, 5)
    (entry,) = await home.audit("credit.remove")
    assert entry.subject == idle.account_id and entry.actor_id == "system"
    assert "account_blocked" not in await home.kinds(idle.account_id)
    assert {"runner_off_duty", "access_changed", "credit_changed"} <= set(await home.kinds(idle.account_id))


async def test_a_limited_runner_is_offered_and_may_take_less(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    await fall_to(world, runner, 30)
    state = await go_on_duty.state(world.ctx, runner)
    assert (state.credit_level, state.max_tasks) == ("limited", 1)
    fresh = await world.paid(student)
    assert (await go_on_duty.hall(world.ctx, runner)).items == []
    with pytest.raises(NotAvailable) as refused:
        await answer_offer.grab(world.ctx, runner, fresh)
    assert refused.value.detail["reason"] == "credit_wait", "others may take it first"
    world.advance(60)
    await world.stand(runner, world.map.center)
    assert [item.order_id for item in (await go_on_duty.hall(world.ctx, runner)).items] == [fresh]
    await answer_offer.grab(world.ctx, runner, fresh)
    another = await world.paid(student)
    world.advance(60)
    with pytest.raises(NotAvailable) as refused:
        await answer_offer.grab(world.ctx, runner, another)
    assert refused.value.detail == {"reason": "at_capacity", "limit": 1, "level": "limited"}


async def test_a_limited_runner_is_not_entrusted_with_dear_orders(home: World) -> None:
    student, runner, trusted = await home.student(), await home.runner(), await home.runner()
    await fall_to(home, runner, 30)
    dear = await home.paid(student, type_code="shop", goods_cap_fen=6_000)
    home.advance(61)
    assert (await go_on_duty.hall(home.ctx, runner)).items == []
    with pytest.raises(NotAvailable) as refused:
        await answer_offer.grab(home.ctx, runner, dear)
    assert refused.value.detail["reason"] == "credit_value"
    await answer_offer.grab(home.ctx, trusted, dear)


async def test_below_the_last_level_nothing_new_is_given_or_taken(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.paid(student)
    offer = await world.offered(order_id)
    assert offer.runner_id == runner.account_id
    await fall_to(world, runner, 10)
    with pytest.raises(NotAvailable) as refused:
        await answer_offer.accept(world.ctx, runner, offer.id)
    assert refused.value.detail == {"reason": "credit_too_low", "level": "removed"}
    assert (await go_on_duty.hall(world.ctx, runner)).items == []
    settings = (await world.ctx.grounds.get(world.campus_id)).campus.settings
    member = await world.read(lambda uow: uow.memberships.get(runner.account_id))
    assert not credit_limits(member, settings).may_take
    assert credit_limits(replace(member, credit=20), settings).may_take
    assert credit_limits(replace(member, credit=95), settings).max_tasks == settings.max_tasks_per_runner + 1


async def test_the_planner_gives_a_limited_runner_one_errand_and_none_below_the_last_level(home: World) -> None:
    student, limited, removed = await home.student(), await home.runner(), await home.runner()
    await fall_to(home, limited, 30)
    await fall_to(home, removed, 10)
    dear = await home.paid(student, type_code="shop", goods_cap_fen=6_000)
    assert (await home.tick()).offered == 0 and (await home.task(dear)).offer_id is None, "too dear for one of them"
    plain = await home.offered(await home.paid(student))
    assert plain.runner_id == limited.account_id
    await answer_offer.accept(home.ctx, limited, plain.id)
    await home.paid(student)
    home.advance(5)
    for runner in (limited, removed):
        await home.stand(runner, home.map.center)
    assert (await home.tick()).offered == 0, "one at a time"
    trusted = await home.runner()
    await home.tick()
    offers = await home.read(lambda uow: uow.offers.pending())
    assert offers and {offer.runner_id for offer in offers} == {trusted.account_id}
