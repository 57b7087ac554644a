"""A store on a real database with two campuses in it, and short ways to put orders, tasks and people there."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.clock import ManualClock
from dispatch.model import ids
from dispatch.model.account import Account, Membership, Role, RunnerStatus
from dispatch.model.campus import Campus, CampusSettings
from dispatch.model.event import Event, EventKind
from dispatch.model.money import Fen
from dispatch.model.offer import Offer, OfferStatus
from dispatch.model.order import Order, OrderStatus
from dispatch.model.quote import Quote, QuoteLine
from dispatch.model.stop import Stop, StopRole
from dispatch.model.task import Task, TaskStatus
from dispatch.store.store import Store
from dispatch.store.vault import Vault

START = datetime(2026, 11, 2, 3, 4, 5, 678901, tzinfo=UTC)
VAULT = Vault({"k1": b"1" * 32}, "k1", b"look-up-key-of-32-bytes-at-least")


@dataclass
class Ids:
    """Ids that sort in the order in which they were made."""

    clock: ManualClock
    numbers: Any = field(default_factory=itertools.count)

    def __call__(self, prefix: str) -> str:
        return ids.make_id(prefix, self.clock.now(), next(self.numbers).to_bytes(10, "big"))


@dataclass
class Books:
    """A started store and its surroundings. ``here`` is the campus that most tests use, ``there`` the other one."""

    url: str
    clock: ManualClock
    new_id: Ids
    store: Store
    here: str = ""
    there: str = ""

    def another_store(self, vault: Vault = VAULT) -> Store:
        """A second store on the same database, as another process would have it (not started)."""
        return Store(self.url, now=self.clock.now, new_id=self.new_id, vault=vault)

    async def campus(self, name: str) -> str:
        campus = Campus(self.new_id(ids.CAMPUS), name, CampusSettings(), self.clock.now())
        await self.store.run_global(lambda unit: unit.campuses.insert(campus, b"map of " + name.encode()))
        return campus.id

    async def member(
        self,
        campus_id: str | None = None,
        *roles: Role,
        name: str = "王小明",
        phone: str | None = None,
        status: RunnerStatus = RunnerStatus.NONE,
        on_duty: bool = False,
    ) -> Account:
        account_id = self.new_id(ids.ACCOUNT)
        account = Account(
            account_id, name, phone or f"138{next(self.new_id.numbers):08}", "zh-CN", False, self.clock.now()
        )
        membership = Membership(
            account_id, campus_id or self.here, frozenset(roles or {Role.STUDENT}), status, is_on_duty=on_duty
        )

        def insert(unit: Any) -> None:
            unit.accounts.insert(account)
            unit.at(membership.campus_id).memberships.insert(membership)

        await self.store.run_global(insert)
        return account

    def make_order(self, campus_id: str | None = None, **changes: Any) -> Order:
        now = self.clock.now()
        quote = Quote(
            lines=(
                QuoteLine("base", "代取快递起步价", "Fetch a parcel, base", Fen(300)),
                QuoteLine("promotion", "校方补贴", "Campus grant", Fen(-50), payer="campus"),
                QuoteLine("goods", "商品金额上限", "Goods, at most", Fen(2_000)),
            ),
            service_fen=Fen(250),
            goods_cap_fen=Fen(2_000),
            distance_m=640,
            duration_s=900,
            arrive_from=now + timedelta(minutes=15),
            arrive_by=now + timedelta(minutes=25, microseconds=1),
        )
        stops = (
            Stop(StopRole.PICKUP, 39.99123456789, 116.30512345678, "菜鸟驿站", place_id="plc_1"),
            Stop(StopRole.DROPOFF, 40.0, 116.31, "7号楼", floor=3, detail="302室", contact_name="李雷",
                 contact_phone="13900001111"),
        )  # fmt: skip
        order = Order(
            id=self.new_id(ids.ORDER), campus_id=campus_id or self.here, student_id=self.new_id(ids.ACCOUNT),
            type_code="parcel", status=OrderStatus.OPEN, version=1, quote=quote, stops=stops,
            description="两个快递,100%小心轻放_谢谢", weight_g=1_500, volume_ml=4_000, placed_at=now,
            promised_at=now + timedelta(minutes=30), pin="0427",
        )  # fmt: skip
        return replace(order, **changes)

    async def order(self, campus_id: str | None = None, **changes: Any) -> Order:
        order = self.make_order(campus_id, **changes)
        await self.store.run(order.campus_id, lambda uow: uow.orders.insert(order))
        return order

    async def task(self, order: Order, **changes: Any) -> Task:
        task = Task(
            self.new_id(ids.TASK), order.campus_id, order.id, TaskStatus.OPEN, 1, order.runner_id, self.clock.now()
        )
        task = replace(task, **changes)
        await self.store.run(order.campus_id, lambda uow: uow.tasks.insert(task))
        return task

    def make_offer(self, task: Task, runner_id: str, **changes: Any) -> Offer:
        now = self.clock.now()
        offer = Offer(
            self.new_id(ids.OFFER), task.campus_id, task.id, task.order_id, runner_id, OfferStatus.PENDING,
            offered_at=now, expires_at=now + timedelta(seconds=15),
        )  # fmt: skip
        return replace(offer, **changes)

    async def offer(self, task: Task, runner_id: str, **changes: Any) -> Offer:
        offer = self.make_offer(task, runner_id, **changes)
        await self.store.run(task.campus_id, lambda uow: uow.offers.insert(offer))
        return offer

    def make_event(self, subject_id: str, version: int = 1, campus_id: str | None = None, **changes: Any) -> Event:
        event = Event(self.new_id(ids.EVENT), campus_id or self.here, EventKind.ORDER_PAID, subject_id, version,
                      self.clock.now(), {"status": "open", "nested": [1, {"a": None}]})  # fmt: skip
        return replace(event, **changes)


async def open_books(url: str) -> Books:
    """An empty database migrated and opened, with two campuses."""
    clock = ManualClock(START)
    new_id = Ids(clock)
    store = Store(url, now=clock.now, new_id=new_id, vault=VAULT)
    store.migrate()
    await store.start()
    books = Books(url, clock, new_id, store)
    books.here = await books.campus("here")
    books.there = await books.campus("there")
    return books


@pytest.fixture
def books_now() -> datetime:
    """The instant at which these books begin."""
    return START


@pytest.fixture
async def books(ready_sql_url: str) -> AsyncIterator[Books]:
    """A store on SQLite and on PostgreSQL."""
    opened = await open_books(ready_sql_url)
    yield opened
    await opened.store.stop()
