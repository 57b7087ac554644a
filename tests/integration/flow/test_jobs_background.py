"""The jobs process: its loops carry an order on by themselves, sweep who is silent, and try again what failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dispatch.flow import pay_order, place_order, read_orders, watch_money
from dispatch.flow.escalate import ESCALATE
from dispatch.flow.run_due_jobs import HANDLERS, RETRY_S, run_due_jobs
from dispatch.jobs.background import Background
from dispatch.model.errors import WrongState
from dispatch.model.order import OrderStatus
from dispatch.model.requests import SandboxPay
from geo.redis_index import RedisGeoIndex
from payments.breaker import FAILURES_TO_OPEN
from payments.outcomes import NotIssued
from payments.sandboxed import SandboxedPayments
from tests.flow_world import World, run


def _background(world: World) -> Background:
    return Background(world.ctx, world.streams, world.payments.work, "jobs-1")


async def test_the_loops_carry_an_order_from_the_wish_to_the_open_task(world: World, eventually: Any) -> None:
    student = await world.student()
    background = _background(world)
    world = replace(world, ctx=replace(world.ctx, announce=background.wake))
    background.start()
    try:
        quote = await place_order.quote_order(world.ctx, student, world.request())
        view = await place_order.place_order(world.ctx, student, world.wish(quote.total_fen), "k")

        async def token() -> str | None:
            seen = await read_orders.order(world.ctx, student, view.id)
            return seen.payment.credential["token"] if seen.payment and seen.payment.credential else None

        await pay_order.sandbox_pay(world.ctx, student, SandboxPay(token=await eventually(token, 10)))

        async def is_open() -> bool:
            return (await world.order(view.id)).status is OrderStatus.OPEN

        await eventually(is_open, 10)

        async def is_told() -> bool:
            return [one.kind for one in await world.heard(f"order:{view.id}")][-1:] == ["order_paid"]

        await eventually(is_told, 10)
    finally:
        await background.stop()
    assert all(loop.failures == 0 for loop in background.loops)


async def test_a_channel_that_only_the_driving_process_finds_broken_is_shown_so_and_offered_nowhere(
    home: World, tmp_path: Path, eventually: Any
) -> None:
    student, operator = await home.student(), await home.operator()
    driving = home.payments._driver.health
    for _ in range(FAILURES_TO_OPEN):
        driving.end("sandbox", "create", driving.begin("sandbox", "create"), NotIssued("silence"))
    books, bank = (f"sqlite:///{tmp_path}/{name}.db" for name in ("payments", "bank"))
    web = SandboxedPayments(books, bank, home.clock.now, home.ctx.new_id, b"s" * 32)
    ctx = replace(home.ctx, payments=web)

    async def available() -> list[str]:
        return [each.code for each in (await watch_money.overview(ctx, operator)).channels if each.is_available]

    async def is_told() -> bool:
        return await available() == ["sandbox_backup"]

    background = _background(home)
    try:
        assert await available() == ["sandbox", "sandbox_backup"], "nobody tells it: it has seen no trouble itself"
        background.ways.start()
        await eventually(is_told, 10)
        assert [way.code for way in await pay_order.channels(ctx, student)] == ["sandbox_backup"]
    finally:
        await background.ways.stop()
        await web.stop()


async def test_whoever_is_silent_is_swept_from_the_map(home: World, eventually: Any) -> None:
    runner, lively = await home.runner(), await home.runner()
    index = RedisGeoIndex(home.redis, home.campus_id)
    fixes = await home.ctx.presence.all(home.campus_id)
    await index.put_many([(name, fix.point, fix.fixed_at_ms) for name, fix in fixes.items()])
    home.advance(home.ctx.options.presence_ttl.total_seconds() + 1)
    await home.stand(lively, home.map.center)
    newest = await home.ctx.presence.get(home.campus_id, [lively.account_id])
    await index.put_many([(name, fix.point, fix.fixed_at_ms) for name, fix in newest.items()])
    background = _background(home)
    background.start()

    async def is_swept() -> bool:
        return set(await home.ctx.presence.all(home.campus_id)) == {lively.account_id}

    await eventually(is_swept, 10)
    await background.stop()
    assert runner.account_id != lively.account_id


async def test_a_job_that_fails_is_tried_again_and_then_a_person_is_told(home: World, monkeypatch: Any) -> None:
    student = await home.student()
    order_id = await home.paid(student)
    raised: list[Exception] = [WrongState("not now"), RuntimeError("a bug")]

    def fail(uow: Any, subject_id: str, ground: Any) -> None:
        raise raised[0]

    monkeypatch.setitem(HANDLERS, "check_late", fail)
    await run(home, lambda uow: uow.jobs.cancel(ESCALATE, order_id))  # the other job that this order has
    await run(home, lambda uow: uow.jobs.schedule("check_late", order_id, uow.now))
    for tries, pause_s in enumerate((*RETRY_S, 3600), start=1):
        assert await run_due_jobs(home.ctx, "jobs") == 1
        assert await run_due_jobs(home.ctx, "jobs") == 0
        due_at = await home.read(lambda uow: uow.jobs.due_at("check_late", order_id))
        assert (due_at - home.clock.now()).total_seconds() == pause_s
        assert ("job_check_late" in await home.alerts()) == (tries > len(RETRY_S))
        raised.reverse()
        home.advance(pause_s)
    monkeypatch.undo()
    await home.work()
    assert await home.read(lambda uow: uow.jobs.due_at("check_late", order_id)) is None


async def test_a_job_whose_holder_died_is_done_by_another(world: World) -> None:
    student = await world.student()
    view = await world.place(student)
    world.advance(900)
    now = world.clock.now()
    leased = await world.ctx.store.run_global(lambda unit: unit.jobs.lease_due(now, 10, 60, "dead"))
    assert [job.kind for job in leased] == ["expire_unpaid"]
    assert await run_due_jobs(world.ctx, "jobs") == 0
    world.advance(61)
    assert await run_due_jobs(world.ctx, "jobs") == 1
    assert (await world.order(view.id)).status is OrderStatus.CANCELLED


async def test_retention_and_comparison_run_without_a_failure(home: World, eventually: Any) -> None:
    student = await home.student()
    await home.delivered(student, await home.runner())
    home.advance(40 * 86_400)
    background = _background(home)
    background.retention.start()
    background.compare.start()
    await eventually(lambda: background.retention.steps and background.compare.steps, 10)
    await background.stop()
    assert background.retention.failures == background.compare.failures == 0
    assert await home.ctx.store.read_global(lambda unit: unit.commands.unsent()) == []


@pytest.mark.parametrize("kind", sorted(HANDLERS))
async def test_a_job_of_an_order_that_is_gone_is_never_a_crash(home: World, kind: str) -> None:
    await run(home, lambda uow: uow.jobs.schedule(kind, "ord_gone", uow.now))
    assert await run_due_jobs(home.ctx, "jobs") == 1
    assert await run_due_jobs(home.ctx, "jobs") == 0
