"""A campus to try the use cases at: real SQL, real Redis, the sandbox's payments, and a clock that is moved by hand.

Nothing works by itself here: a test lets the queues between orders, payments and topics be worked off when it likes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from dispatch.access.principal import Principal
from dispatch.access.tokens import Tokens
from dispatch.assign.params import Params
from dispatch.clock import ManualClock
from dispatch.flow import answer_offer, deliver_task, go_on_duty, pay_order, place_order, read_orders
from dispatch.flow.apply_payments import apply_payments
from dispatch.flow.apply_withdrawals import apply_withdrawals
from dispatch.flow.assign_tasks import Tick, assign_tasks
from dispatch.flow.campus_ground import CampusGrounds, parse_map
from dispatch.flow.context import Context, Options
from dispatch.flow.manage_accounts import create_account
from dispatch.flow.publish_events import publish_events
from dispatch.flow.run_due_jobs import run_due_jobs
from dispatch.flow.send_commands import send_commands
from dispatch.live.bus import Bus
from dispatch.live.connect import RedisClient, connect
from dispatch.live.counters import Counters
from dispatch.live.notes import Notes
from dispatch.live.presence import Presence
from dispatch.live.resume_streams import Missed, ResumeStreams
from dispatch.live.tracks import Tracks
from dispatch.model import ids
from dispatch.model.account import Role
from dispatch.model.campus import Campus, CampusSettings
from dispatch.model.event import Event
from dispatch.model.offer import Offer
from dispatch.model.order import Order
from dispatch.model.requests import (
    Deliver,
    PayOrder,
    PickUp,
    PlaceOrder,
    QuoteRequest,
    SandboxPay,
    SetDuty,
    StopRequest,
)
from dispatch.model.task import Task
from dispatch.model.views import OrderView
from dispatch.notify.sms import NoSender
from dispatch.store.store import Store
from dispatch.store.unit_of_work import UnitOfWork
from dispatch.store.vault import Vault
from geo.campus import CampusMap
from geo.demo_campus import demo_campus
from geo.fix import Fix
from geo.point import Point
from payments.sandboxed import SandboxedPayments

DAY_S = 86_400
#: A Monday, ten o'clock in Shanghai: no surcharge applies.
START = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
#: What an order says beyond its quote.
_ORDER_ALONE = ("channel", "pickup_after_ms", "wish_runner_id")
_parse_once = cache(parse_map)
_map_once = cache(demo_campus)


@dataclass
class World:
    """One server's rooms, two campuses, and the people that a test makes."""

    ctx: Context
    clock: ManualClock
    payments: SandboxedPayments
    streams: ResumeStreams
    redis: RedisClient
    campus_id: str
    other_campus_id: str
    map: CampusMap
    counter: list[int] = field(default_factory=lambda: [0])
    fence: int = 0

    # --- people -------------------------------------------------------------------------------------------------------

    async def person(self, *roles: Role, campus_id: str | None = None, name: str = "") -> Principal:
        """Somebody with an account in these roles."""
        self.counter[0] += 1
        number = self.counter[0]
        at = campus_id or self.campus_id
        account = await create_account(self.ctx, at, f"138{number:08d}", name or f"甲{number}", frozenset(roles))
        return Principal(account.id, at, frozenset(roles), "ses_test", self.clock.now() + timedelta(days=365))

    async def student(self, **more: Any) -> Principal:
        return await self.person(Role.STUDENT, **more)

    async def operator(self, **more: Any) -> Principal:
        return await self.person(Role.OPERATOR, **more)

    async def runner(self, *, is_on: bool = True, at: Point | None = None, **more: Any) -> Principal:
        """An approved runner, on duty and heard of unless told otherwise."""
        who = await self.person(Role.STUDENT, Role.RUNNER, **more)
        if is_on:
            await go_on_duty.set_duty(self.ctx, who, SetDuty(is_on=True))
            await self.stand(who, at or self.map.center)
        return who

    async def stand(self, runner: Principal, at: Point, *, seconds_ago: float = 0) -> None:
        """The runner's device reports this position."""
        ms = round((self.clock.now() - timedelta(seconds=seconds_ago)).timestamp() * 1000)
        fix = Fix(at.lat, at.lon, ms, received_at_ms=ms)
        await self.ctx.presence.put_many(runner.campus_id, [(runner.account_id, fix)])
        await self.ctx.tracks.append_many(runner.campus_id, [(runner.account_id, fix)])

    # --- time and queues ----------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def work(self) -> None:
        """Work off commands, payments, their results and due jobs until nothing is left."""
        for _ in range(100):
            done = await send_commands(self.ctx)
            while await self.payments.work():
                done += 1
            done += await apply_payments(self.ctx)
            done += await apply_withdrawals(self.ctx)
            done += await run_due_jobs(self.ctx, "jobs")
            if not done:
                return
        raise AssertionError("the queues never come to rest")

    async def pass_time(self, seconds: float) -> None:
        """Let time pass and do what falls due."""
        self.advance(seconds)
        await self.work()

    async def publish(self) -> int:
        """Publish until nothing waits; how many events went out."""
        total = 0
        while done := await publish_events(self.ctx, self.streams):
            total += done
        return total

    async def heard(self, topic: str, campus_id: str | None = None) -> list[Any]:
        """Everything that the topic's stream holds, in order."""
        at = campus_id or self.campus_id
        epoch = (await self.streams.position(at, topic)).epoch
        missed: Missed = await self.streams.read_since(at, topic, 0, epoch)
        assert missed.is_recovered
        return missed.events

    # --- orders -------------------------------------------------------------------------------------------------------

    def places(self) -> list[str]:
        """Ids of places that an errand can go between, some way apart."""
        found = self.map.quick(8)
        return [found[0].id, found[3].id]

    def request(self, **changes: Any) -> QuoteRequest:
        here, there = self.places()
        stops = [
            StopRequest(place_id=here),
            StopRequest(place_id=there, floor=3, detail="501", contact_name="王五", contact_phone="13900001234"),
        ]
        values: dict[str, Any] = {"type_code": "parcel", "stops": stops, "weight_g": 500} | changes
        return QuoteRequest(**values)

    def wish(self, total_fen: int, **changes: Any) -> PlaceOrder:
        more = {name: changes.pop(name) for name in _ORDER_ALONE if name in changes}
        asked = self.request(**changes)
        fields = {name: getattr(asked, name) for name in asked.__struct_fields__}
        return PlaceOrder(**fields, **more, description="取快递,谢谢", expected_total_fen=total_fen)

    async def place(self, student: Principal, key: str = "", **changes: Any) -> OrderView:
        """An order that waits for its payment, with a credential to pay."""
        plain = {name: value for name, value in changes.items() if name not in _ORDER_ALONE}
        quote = await place_order.quote_order(self.ctx, student, self.request(**plain))
        self.counter[0] += 1
        wish = self.wish(quote.total_fen, **changes)
        view = await place_order.place_order(self.ctx, student, wish, key or f"key-{self.counter[0]}")
        await self.work()
        return view

    async def credential(self, student: Principal, order_id: str) -> str:
        view = await read_orders.order(self.ctx, student, order_id)
        assert view.payment is not None and view.payment.credential is not None, view.payment
        return str(view.payment.credential["token"])

    async def pay(self, student: Principal, order_id: str) -> None:
        token = await self.credential(student, order_id)
        await pay_order.sandbox_pay(self.ctx, student, SandboxPay(token=token))
        await self.work()

    async def paid(self, student: Principal, **changes: Any) -> str:
        """The id of an order that is paid and open."""
        view = await self.place(student, **changes)
        await self.pay(student, view.id)
        return view.id

    async def tick(self, params: Params | None = None) -> Tick:
        """One planning tick, under the planner's lease."""
        if not self.fence:
            name = f"planner:{self.campus_id}"
            fence = await self.ctx.store.run_global(lambda unit: unit.leases.acquire(name, "test", 10**8))
            assert fence is not None
            self.fence = fence
        return await assign_tasks(self.ctx, self.campus_id, self.fence, params or Params())

    async def offered(self, order_id: str) -> Offer:
        """The pending offer of an order after one tick."""
        await self.tick()
        task = await self.task(order_id)
        offer = await self.read(lambda uow: uow.offers.pending_of_task(task.id))
        assert offer is not None
        return offer

    async def assigned(self, student: Principal, runner: Principal, **changes: Any) -> str:
        """An order that the runner took from the hall."""
        order_id = await self.paid(student, **changes)
        await self.assign(runner, order_id)
        return order_id

    async def assign(self, runner: Principal, order_id: str) -> None:
        await answer_offer.grab(self.ctx, runner, order_id)

    async def carrying(self, student: Principal, runner: Principal, **changes: Any) -> str:
        order_id = await self.assigned(student, runner, **changes)
        goods = changes.get("goods_cap_fen")
        await deliver_task.picked_up(self.ctx, runner, order_id, PickUp(goods_actual_fen=goods and goods // 2))
        return order_id

    async def delivered(self, student: Principal, runner: Principal, **changes: Any) -> str:
        order_id = await self.carrying(student, runner, **changes)
        await self.hand_over(runner, order_id)
        return order_id

    async def hand_over(self, runner: Principal, order_id: str) -> None:
        pin = (await self.order(order_id)).pin
        await deliver_task.delivered(self.ctx, runner, order_id, Deliver(pin=pin))

    async def seen(self, who: Principal, order_id: str) -> OrderView:
        return await read_orders.order(self.ctx, who, order_id)

    async def choose(self, student: Principal, order_id: str, channel: str) -> Any:
        return await pay_order.pay(self.ctx, student, order_id, PayOrder(channel=channel))

    # --- looking ------------------------------------------------------------------------------------------------------

    async def read(self, fn: Any, campus_id: str | None = None) -> Any:
        return await self.ctx.store.read(campus_id or self.campus_id, fn)

    async def order(self, order_id: str) -> Order:
        found: Order = await self.read(lambda uow: uow.orders.get(order_id))
        return found

    async def task(self, order_id: str) -> Task:
        found = await self.read(lambda uow: uow.tasks.by_order(order_id))
        assert isinstance(found, Task)
        return found

    async def events(self, subject_id: str) -> list[Event]:
        found: list[Event] = await self.read(lambda uow: uow.outbox.timeline(subject_id))
        return found

    async def kinds(self, subject_id: str) -> list[str]:
        return [str(event.kind) for event in await self.events(subject_id)]

    async def audit(self, action: str) -> list[Any]:
        entries = await self.read(lambda uow: uow.audit.page(limit=100))
        return [entry for entry in entries if entry.action == action]

    async def alerts(self) -> list[str]:
        return [alert.kind for alert in await self.read(lambda uow: uow.alerts.open_alerts())]

    async def settings(self, **changes: Any) -> None:
        """Change the campus's settings, as if an operator had."""

        def change(unit: Any) -> None:
            campus = unit.campuses.get(self.campus_id)
            changed = replace(campus, settings=replace(campus.settings, **changes), version=campus.version + 1)
            unit.campuses.save(changed)

        await self.ctx.store.run_global(change)
        self.advance(3)  # past the time for which a process keeps the settings

    async def assert_books(self, order_id: str) -> None:
        """Nothing is left in escrow, nothing was lost, and the order says the same as the ledger."""
        order, book = await self.order(order_id), await self.payments.book(order_id)
        assert book.escrow_balance_fen == 0
        assert book.held_fen == book.captured_fen + book.released_fen
        assert (order.held_fen, order.captured_fen, order.released_fen, order.refunded_fen) == (
            book.held_fen, book.captured_fen - book.refunded_fen, book.released_fen, book.refunded_fen,
        )  # fmt: skip
        assert await self.payments.check() == []


def run(world: World, fn: Any) -> Any:
    """A transaction at the first campus."""
    return world.ctx.store.run(world.campus_id, fn)


def touch(order_id: str) -> Any:
    """A change of the order that has nothing to say: its version grows."""

    def change(uow: UnitOfWork) -> None:
        order = uow.orders.get(order_id)
        uow.orders.save(replace(order, version=order.version + 1))

    return change


@asynccontextmanager
async def open_world(database_url: str, payments_url: str, bank_url: str, redis_url: str) -> AsyncIterator[World]:
    clock = ManualClock(START)

    def new_id(prefix: str) -> str:
        return ids.make_id(prefix, clock.now(), os.urandom(10))

    redis = connect(redis_url)
    store = Store(database_url, now=clock.now, new_id=new_id, vault=Vault({"1": b"d" * 32}, "1", b"l" * 32))
    store.migrate()
    payments = SandboxedPayments(payments_url, bank_url, clock.now, new_id, b"s" * 32)
    await payments.migrate()
    await store.start()
    await payments.start()
    ctx = Context(
        store=store, payments=payments, presence=Presence(redis), tracks=Tracks(redis),
        counters=Counters(redis, clock.monotonic_s), notes=Notes(redis), bus=Bus(redis, "test"),
        grounds=CampusGrounds(store, clock, _parse_once), clock=clock, new_id=new_id,
        tokens=Tokens({"1": b"t" * 32}, "1", clock.now), sms=NoSender(), options=Options(), sandbox=payments.bank,
    )  # fmt: skip
    campus_map = _map_once()
    campuses = [Campus(new_id(ids.CAMPUS), name, CampusSettings(), clock.now()) for name in ("一号校区", "二号校区")]
    for campus in campuses:
        await store.run_global(lambda unit, campus=campus: unit.campuses.insert(campus, campus_map.to_bytes()))
    try:
        yield World(ctx, clock, payments, ResumeStreams(redis), redis, campuses[0].id, campuses[1].id, campus_map)
    finally:
        await payments.stop()
        await store.stop()
        await redis.aclose()
