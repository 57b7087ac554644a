"""The watch over a real desk: alarms open, are told as events and to the webhook's queue, and close."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, time, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from payments.breaker import FAILURES_TO_OPEN, PROBES
from payments.channels.exchange import Exchange
from payments.channels.sandbox import shape
from payments.outcomes import Issued, NotIssued
from payments.port import Alarm, AlarmOver
from payments.store import alarm_rows
from payments.store.database import Sql
from payments.store.unit_of_work import UnitOfWork
from payments.upkeep.alarms import AlarmView, Certificate, Limits, OpenBreaker, ServiceHours
from payments.upkeep.upkeep import open_breakers
from payments.upkeep.watch import Sources, Watch
from tests.payments_desk import START, Desk, sqlite_desk

HOUR_S = 3600.0


class Room:
    """A desk and its watch."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.breakers: list[OpenBreaker] = []
        self.certificates: list[Certificate] = []
        self.hours: list[ServiceHours] = []
        self.is_away = False
        self.watch = self.another()

    def another(self) -> Watch:
        payments = self.desk.payments
        return Watch(
            payments._store,
            payments._shapes,
            lambda: self.desk.at,
            payments._new_id,
            Sources(hours=self.ask_hours, breakers=lambda: self.breakers, certificates=lambda: self.certificates),
            Limits(),
            has_webhook=True,
        )

    async def ask_hours(self) -> list[ServiceHours]:
        if self.is_away:
            raise ConnectionError("no database")
        return self.hours

    async def pass_s(self, seconds: float, *, is_worked: bool = True) -> None:
        """Let the time pass, and look."""
        if is_worked:
            await self.desk.advance(seconds)
        else:
            self.desk.at += timedelta(seconds=seconds)
        await self.watch.work()

    async def open(self) -> dict[str, AlarmView]:
        return {alarm.kind: alarm for alarm in await self.watch.alarms() if alarm.closed_at is None}

    async def told(self) -> list[tuple[str, str]]:
        events = await self.desk.payments.events(1000)
        return [(type(event).__name__, event.kind) for event in events if isinstance(event, Alarm | AlarmOver)]

    async def change(self, statement: str) -> None:
        assert await self.desk.payments._store.database.run(lambda c: Sql(c).do(statement)) > 0


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with sqlite_desk(tmp_path) as desk:
        yield Room(desk)


@pytest.fixture
async def any_room(ready_sql_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    """On either database."""
    bank_url = f"sqlite:///{tmp_path}/bank.db" if ready_sql_url.startswith("sqlite") else ready_sql_url
    async with Desk(ready_sql_url, bank_url) as desk:
        yield Room(desk)


async def test_nothing_is_wrong_with_nothing(room: Room) -> None:
    assert await room.watch.work() == 0
    await room.desk.open_and_pay()
    await room.pass_s(60)
    assert await room.watch.alarms() == []
    assert await room.told() == []


async def test_fifteen_quiet_minutes_and_a_payment_that_ends_them(room: Room) -> None:
    await room.desk.open_and_pay("a")
    await room.pass_s(600)
    await room.desk.open("b")
    await room.pass_s(60)
    assert await room.open() == {}
    await room.pass_s(400)
    alarm = (await room.open())["quiet"]
    assert (alarm.campus_id, alarm.parameters) == ("nu", {"minutes": 15, "asked": 1, "paid_last_week": 0})
    await room.pass_s(120)
    assert await room.told() == [("Alarm", "quiet")]
    assert await room.desk.pay("b") == "paid"
    await room.pass_s(60)
    assert await room.open() == {}
    assert await room.told() == [("Alarm", "quiet"), ("AlarmOver", "quiet")]
    assert await room.desk.payments._store.read(lambda uow: uow.webhook.count()) == 2


async def test_the_same_quarter_of_an_hour_last_week(any_room: Room) -> None:
    await any_room.desk.open_and_pay("a")
    await any_room.pass_s(7 * 86400 - 60, is_worked=False)
    assert "quiet" not in await any_room.open()
    await any_room.pass_s(120, is_worked=False)
    assert (await any_room.open())["quiet"].parameters["paid_last_week"] == 1


async def test_a_campus_that_sleeps_is_left_alone(room: Room) -> None:
    room.hours = [ServiceHours(campus_id="nu", opens=time(20, 0), closes=time(22, 0))]
    await room.desk.open("a")
    await room.pass_s(600)
    assert await room.open() == {}


async def test_campuses_without_hours_of_their_own_have_those_of_all_others(room: Room) -> None:
    """Noon. Who knows the hours may also be away: what was heard last goes on."""
    room.hours = [ServiceHours(campus_id="", opens=time(20, 0), closes=time(22, 0))]
    await room.desk.open("a")
    await room.pass_s(600)
    assert await room.open() == {}
    room.hours = [*room.hours, ServiceHours(campus_id="nu", opens=time(12, 0), closes=time(12, 0))]
    await room.pass_s(61)
    assert set(await room.open()) == {"quiet"}
    room.is_away = True
    await room.pass_s(61)
    assert set(await room.open()) == {"quiet"}
    await room.pass_s(9 * HOUR_S)  # nine in the evening, and nobody has tried for long
    assert set(await room.open()) == {"quiet"}


async def test_callbacks_that_do_not_come_are_counted_per_hour(any_room: Room) -> None:
    desk = any_room.desk
    await desk.fault("lost", count=5)
    for name in "abcde":
        await desk.open(name)
        assert await desk.bank.pay(await desk.token(name)) == "paid"
    await desk.open_and_pay("f")
    await desk.advance(60, step_s=15)
    assert (await desk.view("a")).state == "success"
    (hour,) = await any_room.watch.ghosts()
    assert (hour.payments, hour.ghosts) == (6, 0), "the newest are payments too; that nobody told of them is not known"
    await any_room.pass_s(300)
    assert "callbacks_missing" not in await any_room.open(), "they may come yet"
    await any_room.pass_s(600)
    alarm = (await any_room.open())["callbacks_missing"]
    assert (alarm.subject, alarm.campus_id, alarm.parameters["ghosts"]) == ("sandbox", "", 5)
    assert alarm.parameters["payments"] == 6
    (hour,) = await any_room.watch.ghosts()
    assert (hour.channel, hour.begins_at, hour.payments, hour.ghosts) == ("sandbox", START, 6, 5)
    await any_room.pass_s(2 * HOUR_S)
    assert "callbacks_missing" not in await any_room.open()


async def test_a_callback_about_a_refund_is_none_about_the_payment(room: Room) -> None:
    desk = room.desk
    await desk.fault("lost", "a")
    await desk.open("a")
    assert await desk.bank.pay(await desk.token("a")) == "paid"
    await desk.advance(60, step_s=15)
    attempt_id = (await desk.view("a")).attempts[0].attempt_id

    def note(name: str) -> str:
        return f"INSERT INTO notices (channel, notice_id, attempt_id, at) VALUES ('sandbox','{name}','{attempt_id}',0)"

    await room.change(note("money:N1"))
    await room.pass_s(1200)
    assert [hour.ghosts for hour in await room.watch.ghosts()] == [1]
    await room.change(note("N1"))
    assert [hour.ghosts for hour in await room.watch.ghosts()] == [0]


async def test_a_debit_that_answers_by_itself_is_no_ghost(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("card", "debit")]) as desk:
        desk.bank.notify = None
        await desk.open("a", channels=("card",))
        assert (await desk.view("a")).state == "success"
        await desk.advance(1200)
        assert await Room(desk).watch.ghosts() == []


async def test_forged_callbacks_are_told(room: Room) -> None:
    for _ in range(6):
        reply = await room.desk.payments.callback("sandbox", {}, b"{}")
        assert reply.status == 400
    await room.desk.payments._callbacks.write_down()
    await room.pass_s(60)
    assert (await room.open())["callbacks_refused"].parameters["refused"] == 6
    await room.pass_s(2 * HOUR_S)
    assert await room.open() == {}


async def test_money_that_waits(any_room: Room) -> None:
    """A refund that the institution will not make, a hold of day 25, and a payment that people must look at."""
    desk = any_room.desk
    await desk.open_and_pay("a")
    await desk.open_and_pay("b")
    await desk.fault("release_fails", "a", count=1000)
    await desk.release("a")
    await any_room.pass_s(25 * HOUR_S)
    overdue = (await any_room.open())["refund_overdue"]
    assert overdue.parameters == {"count": 1, "oldest": "ord_a", "hours": 25}
    await any_room.change("UPDATE intents SET is_suspicious = TRUE WHERE order_ref = 'ord_b'")
    await any_room.pass_s(24 * 25 * HOUR_S)
    assert {"refund_overdue", "hold_expires", "suspicious_payments"} <= set(await any_room.open())
    assert (await any_room.open())["hold_expires"].parameters["count"] == 2
    await desk.bank.clear_scripts()
    await any_room.change("UPDATE intents SET is_suspicious = FALSE WHERE order_ref = 'ord_b'")
    await desk.advance(3600)
    await desk.settle("b", runner=1000, campus=0, platform=0)
    await any_room.pass_s(60)
    assert not {"refund_overdue", "hold_expires", "suspicious_payments"} & set(await any_room.open())


async def test_bills_that_do_not_come_and_items_that_wait(room: Room) -> None:
    desk = room.desk
    reconciler = desk.payments.upkeep.reconciler
    await desk.open_and_pay("a")
    await desk.fault("bill_late", count=1000)
    await desk.advance(24 * HOUR_S)
    await reconciler.work()
    await room.pass_s(60)
    assert "bill_missing" not in await room.open()
    await room.pass_s(24 * HOUR_S)
    missing = (await room.open())["bill_missing"]
    assert (missing.subject, missing.parameters["oldest"]) == ("sandbox", "2026-03-02")
    await desk.bank.clear_scripts()
    assert await desk.bank._database.run(lambda c: Sql(c).do("UPDATE orders SET paid_fen = 990, frozen_fen = 990")) == 1
    for _ in range(5):
        desk.at += timedelta(seconds=3700)
        await reconciler.work()
    await room.pass_s(60)
    found = await room.open()
    assert "bill_missing" not in found
    assert found["reconciliation_differs"].parameters == {"channel": "sandbox", "items": 1}
    (item,) = await desk.payments.upkeep.reconciliation.open_items()
    await desk.payments.upkeep.reconciliation.close_item(item.id, "op_li", "the bank's mistake")
    await room.pass_s(60)
    assert "reconciliation_differs" not in await room.open()


async def test_what_only_this_process_knows(room: Room) -> None:
    room.breakers = [OpenBreaker(channel="sandbox", operation="create", open_s=900.0)]
    room.certificates = [Certificate(name="wechat platform", expires_at=room.desk.at + timedelta(days=10))]
    await room.pass_s(60)
    assert (await room.open())["breaker_open"].subject == "sandbox:create"
    assert (await room.open())["certificate_expires"].parameters == {
        "name": "wechat platform",
        "days": 9,
        "is_over": 0,
    }
    room.breakers = []
    for _ in range(3):
        await room.pass_s(61)
    assert set(await room.open()) == {"certificate_expires"}
    assert open_breakers(room.desk.payments._driver.health.view()) == []


async def test_two_processes_tell_an_alarm_once(any_room: Room) -> None:
    any_room.certificates = [Certificate(name="key", expires_at=any_room.desk.at)]
    watches: Sequence[Watch] = [any_room.another() for _ in range(4)]
    for _ in range(3):
        any_room.desk.at += timedelta(seconds=61)
        await asyncio.gather(*(watch.work() for watch in watches))
    assert await any_room.told() == [("Alarm", "certificate_expires")]
    assert len(await any_room.watch.alarms()) == 1


async def test_old_alarms_are_forgotten(any_room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm_rows, "MOST_CLOSED", 2)
    ends: list[datetime] = []
    for number in range(4):
        any_room.certificates = [Certificate(name=f"key {number}", expires_at=any_room.desk.at)]
        await any_room.pass_s(61)
        any_room.certificates = []
        await any_room.pass_s(61)
        ends.append(any_room.desk.at)
    assert [alarm.closed_at for alarm in await any_room.watch.alarms()] == ends[:1:-1]


def _queue(number: int, uow: UnitOfWork) -> None:
    uow.webhook.add(f"d{number}", f'{{"number": {number}}}', START)


async def test_the_webhook_s_queue_drops_the_oldest(any_room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm_rows, "MOST_DELIVERIES", 3)
    store = any_room.desk.payments._store
    for number in range(5):
        await store.run(partial(_queue, number))
    due = await store.run(lambda uow: uow.webhook.lease_due(START, START + timedelta(seconds=9), 10))
    assert [delivery.id for delivery in due] == ["d2", "d3", "d4"]
    assert await store.run(lambda uow: uow.webhook.lease_due(START, START + timedelta(seconds=9), 10)) == []


async def test_alarm_events_are_whole(room: Room) -> None:
    room.certificates = [Certificate(name="key", expires_at=room.desk.at)]
    await room.pass_s(61)
    (event,) = await room.desk.payments.events()
    assert isinstance(event, Alarm)
    assert (event.campus_id, event.intent_id, event.order_ref, event.step, event.times) == ("", "", "", 5, 1)
    (delivery,) = await room.desk.payments._store.run(
        lambda uow: uow.webhook.lease_due(room.desk.at, room.desk.at + timedelta(seconds=9), 10)
    )
    assert delivery.id == event.id
    assert msgspec.json.decode(delivery.body, type=Alarm).kind == "certificate_expires"
    assert await room.desk.payments.account_events() == []
    await room.desk.payments.acknowledge([event.id])
    assert await room.desk.payments.events() == []


# -- what this process sees of its providers, as the body itself asks for it ------------------------------------------


async def looked(desk: Desk, seconds: float = 61) -> set[str]:
    """Let the time pass, and let the body's own watch look; what is wrong."""
    await desk.advance(seconds)
    await desk.payments.upkeep.watch.work()
    return {f"{alarm.kind} {alarm.subject}" for alarm in await desk.payments.alarms(only_open=True)}


def refused(status: int, operation: str = "query", channel: str = "sandbox") -> Exchange:
    return Exchange(
        at_ms=0, channel=channel, operation=operation, subject="", method="GET", host="bank", path="/", status=status,
        ms=3, outcome="replied", request_id="",
    )  # fmt: skip


async def test_a_provider_that_does_not_know_our_signature_or_is_asked_too_often(desk: Desk) -> None:
    payments = desk.payments
    for exchange in (refused(401), refused(429), refused(401, "refund"), refused(500), refused(401, "create")):
        payments.exchanges.observe(exchange)
    payments.exchanges.observe(refused(401, channel="gone"))
    assert await looked(desk) == set(), "three complaints are no stream of them"
    payments.exchanges.observe(refused(401))
    assert await looked(desk) == {"provider_refuses sandbox"}
    (alarm,) = await payments.alarms()
    assert alarm.parameters == {"channel": "sandbox", "refused": 4, "reason": "http_401"}
    # A quarter of an hour without any, and a little for what other processes may see.
    assert await looked(desk, 800) == {"provider_refuses sandbox"}
    for _ in range(5):
        open_alarms = await looked(desk)
    assert open_alarms == set()


async def test_an_order_that_is_refused_for_our_signature_is_a_complaint(desk: Desk) -> None:
    """Whatever word the provider has for it, and whether or not it is a status of HTTP."""
    health = desk.payments._driver.health
    for _ in range(4):
        health.end("sandbox", "create", health.begin("sandbox", "create"), NotIssued("SIGN_ERROR", is_alarm=True))
    assert "provider_refuses sandbox" in await looked(desk)
    assert (await desk.payments.alarms(only_open=True))[-1].parameters["reason"] == "SIGN_ERROR"


async def test_a_channel_that_fails_is_passed_over_and_comes_back(desk: Desk) -> None:
    health = desk.payments._driver.health
    for _ in range(FAILURES_TO_OPEN):
        health.end("sandbox", "create", health.begin("sandbox", "create"), NotIssued("timeout", may_switch=True))
    assert await looked(desk) == set(), "a minute of it is nobody's alarm"
    assert await looked(desk, 300) == {"breaker_open sandbox:create"}
    for _ in range(PROBES):
        health.end("sandbox", "create", health.begin("sandbox", "create"), Issued({}))
    for _ in range(4):
        open_alarms = await looked(desk)
    assert open_alarms == set()


async def test_a_certificate_that_was_replaced_is_no_alarm_any_more(room: Room) -> None:
    room.certificates = [Certificate(name="wechat", expires_at=room.desk.at + timedelta(days=31))]
    await room.pass_s(61)
    assert await room.open() == {}
    await room.pass_s(2 * 86400, is_worked=False)
    assert (await room.open())["certificate_expires"].step == 1
    await room.pass_s(23 * 86400, is_worked=False)
    assert (await room.open())["certificate_expires"].step == 3
    room.certificates = [Certificate(name="wechat", expires_at=room.desk.at + timedelta(days=365))]
    await room.pass_s(61)
    assert await room.open() == {}
    assert await room.told() == [("Alarm", "certificate_expires")] * 2 + [("AlarmOver", "certificate_expires")]
