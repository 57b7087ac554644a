"""Fifteen quiet minutes are an alarm only where and while a campus is open, as its operators set it."""

from __future__ import annotations

import asyncio
from datetime import time
from functools import partial

import pytest

from dispatch.flow import watch_money
from dispatch.flow.apply_payments import apply_payments
from dispatch.flow.service_hours import service_hours
from dispatch.paying import Paying
from tests.flow_world import DAY_S, World


@pytest.fixture
def watched(home: World) -> World:
    """Payments that ask this server for its campuses' hours."""
    home.payments.upkeep.watch.ask_hours(partial(service_hours, home.ctx))
    return home


async def kinds(world: World) -> list[str]:
    """The open alarms of the campus after a look."""
    await world.payments.upkeep.watch.work()
    await apply_payments(world.ctx)
    return [alarm.kind for alarm in (await watch_money.alarms(world.ctx, await world.operator())).alarms]


async def attempts_without_success(world: World) -> None:
    """Somebody wanted to pay, a quarter of an hour ago, and nobody has."""
    await world.place(await world.student())
    world.advance(600)


async def test_open_with_attempts_and_no_success(watched: World) -> None:
    await watched.settings(opens=time(9, 0), closes=time(12, 0))  # it is ten o'clock
    await attempts_without_success(watched)
    assert await kinds(watched) == ["quiet"]
    await watched.paid(await watched.student())
    watched.advance(61)
    assert await kinds(watched) == []


@pytest.mark.parametrize(("opens", "closes"), [(time(18, 0), time(22, 0)), (time(10, 5), time(22, 0))])
async def test_closed_or_only_just_opened(watched: World, opens: time, closes: time) -> None:
    """Ten o'clock and ten minutes: either nobody is served now, or not for a whole quarter of an hour."""
    await attempts_without_success(watched)
    await watched.settings(opens=opens, closes=closes)
    assert await kinds(watched) == []


async def test_the_clock_is_the_campus_s_own(watched: World) -> None:
    """Ten in Shanghai is five in Moscow: that campus sleeps, its hours being the same ones."""
    await attempts_without_success(watched)
    await watched.settings(opens=time(9, 0), closes=time(12, 0), time_zone="Europe/Moscow")
    assert await kinds(watched) == []
    await watched.settings(time_zone="Asia/Shanghai")
    watched.advance(61)
    assert await kinds(watched) == ["quiet"]


async def test_the_same_quarter_of_an_hour_had_orders_last_week(watched: World) -> None:
    await watched.settings(opens=time(9, 0), closes=time(12, 0))
    await watched.paid(await watched.student())
    watched.advance(7 * DAY_S - 1200)
    assert "quiet" not in await kinds(watched)
    watched.advance(1300)
    assert "quiet" in await kinds(watched)
    watched.advance(2 * 3600)  # past noon: the day's end ends it
    assert "quiet" not in await kinds(watched)
    watched.advance(DAY_S - 2 * 3600)  # at this time of the day after, nobody had ordered a week before
    assert "quiet" not in await kinds(watched)


async def test_a_day_without_end_is_always_open(watched: World) -> None:
    await watched.settings(opens=time(0, 0), closes=time(0, 0))
    watched.advance(15 * 3600)  # one in the morning
    await attempts_without_success(watched)
    assert await kinds(watched) == ["quiet"]


async def test_the_process_that_looks_after_payments_asks_this_server(home: World) -> None:
    """Before anybody set anything, the hours of payments themselves would call it night."""
    home.advance(15 * 3600)
    await attempts_without_success(home)
    Paying(home.payments).start_upkeep(partial(service_hours, home.ctx))
    async with asyncio.timeout(10):
        while not await home.payments.alarms():
            await asyncio.sleep(0.02)
    await home.payments.upkeep.stop()
    assert [(alarm.kind, alarm.campus_id) for alarm in await home.payments.alarms()] == [("quiet", home.campus_id)]
