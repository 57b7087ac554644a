"""Reconciliation at work: each channel's day once its bill is there, every mismatch repaired or made an item of work.

A run may be repeated at any time: it reads the bill anew, keeps every item that there is, adds those that are new and
finishes those whose cause is gone. It moves no money itself: repairs go the ways that money always goes.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from functools import partial

import msgspec

from payments.books.booking import NewId
from payments.channels.base import Channel, Reveal, reveal_nothing
from payments.outcomes import Bill, BillAnswer, NoBill
from payments.port import NoSuchRun
from payments.reconcile.business_day import CHINA, at_clock, bounds, day_of
from payments.reconcile.compare import (
    Billed,
    Mismatch,
    billed_of,
    compare,
    digest,
    judged_span,
    of_this_channel,
    reversed_attempts,
    shown_kinds,
)
from payments.reconcile.repair import Mender
from payments.reconcile.view import (
    BothSums,
    ItemState,
    ReconciliationView,
    Sums,
    WorkItemView,
    run_id,
)
from payments.store.unit_of_work import Store, UnitOfWork

log = logging.getLogger(__name__)

#: When the bills of yesterday are asked for, by the channel's calendar.
RUN_AT = time(10, 30)
#: Seconds until a bill that is not there is asked for again; the last one for ever after.
BILL_S = (300.0, 900.0, 1800.0, 3600.0)
#: A bill that has not come so long after its day is not waited for any more.
GIVE_UP_AFTER = timedelta(days=7)
#: After a standstill, so many days are caught up with.
MOST_DAYS_BACK = 31
#: Providers keep their bills for months, not for years; further back nobody is asked.
MOST_DAYS_ASKED = 366
#: Real seconds for fetching one bill.
FETCH_S = 120.0
#: Real seconds for which a process keeps a run or an item that it took.
LEASE_S = 180.0
#: Business seconds between two looks for what is due.
LOOK_S = 5.0
#: How many runs and items one pass takes on.
BATCH = 20


class Reconciler:
    """One process's; several may share the database."""

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        now: Callable[[], datetime],
        new_id: NewId,
        real_s: Callable[[float], float] = float,
        zones: Mapping[str, tzinfo] | None = None,
        reveal: Reveal = reveal_nothing,
    ) -> None:
        self._store = store
        self._channels = {code: channel for code, channel in channels.items() if channel.shape.has_bills}
        self._zones = zones or {}
        self._now = now
        self._mender = Mender(store, channels, now, new_id, reveal)
        self._lease = timedelta(seconds=LEASE_S / max(real_s(1.0), 1e-9))
        self._look_at: datetime | None = None

    async def work(self) -> int:
        """Whatever is due: new days, bills, repairs. How much was done."""
        now = self._now()
        if self._look_at is not None and now < self._look_at:
            return 0
        self._look_at = now + timedelta(seconds=LOOK_S)
        done = await self._plan_days(now)
        if not await self._store.read(lambda uow: uow.reconciliations.is_any_due(now)):
            return done
        until = now + self._lease
        runs = await self._store.run(lambda uow: uow.reconciliations.lease_due(now, until, BATCH))
        for name in runs:
            run = await self._store.read(partial(_run, name))
            await self._reconcile(run)
        items = await self._store.run(lambda uow: uow.reconciliations.lease_due_items(now, until, BATCH))
        for item_id in items:
            await self._mender.mend(item_id)
        if runs or items:
            self._look_at = None  # There may be more.
        return done + len(runs) + len(items)

    async def reconcile(self, channel: str, day: date) -> ReconciliationView:
        """Run a day now, whether it ran before or not. NoSuchRun."""
        await self._reconcile(await self._store.run(partial(self._ready, channel, day, None)))
        return await self._store.read(partial(_run, run_id(channel, day)))

    async def ask(self, channel: str, day: date) -> ReconciliationView:
        """Let the day run with the next pass; the run as it stands until then. NoSuchRun."""
        run = await self._store.run(partial(self._ready, channel, day, self._now()))
        self._look_at = None
        return run

    async def has_begun(self, channel: str) -> bool:
        """Whether the channel was ever asked to take an order."""
        return await self._store.read(lambda uow: uow.reconciliations.first_attempt_at(channel)) is not None

    async def mend_run(self, name: str) -> int:
        """Try the repairs of one run's items that are due now; how many were tried."""
        now = self._now()
        until = now + self._lease
        items = await self._store.run(lambda uow: uow.reconciliations.lease_due_items(now, until, BATCH, name))
        for item_id in items:
            await self._mender.mend(item_id)
        return len(items)

    def _ready(self, channel: str, day: date, due_at: datetime | None, uow: UnitOfWork) -> ReconciliationView:
        zone, now = self._zone(channel), self._now()
        first = day_of(now, zone) - timedelta(days=MOST_DAYS_ASKED)
        if channel not in self._channels:
            raise NoSuchRun(f"{channel} makes no bills")
        if day < first:
            raise NoSuchRun(f"{channel} has no bill of {day}: bills are kept for {MOST_DAYS_ASKED} days")
        if bounds(day, zone)[1] > now:
            raise NoSuchRun(
                f"{channel} has no bill of {day}: the day is not over; bills come after about 10:00 of the next day"
            )
        name = run_id(channel, day)
        run = uow.reconciliations.get(name)
        if run is None:
            run = ReconciliationView(id=name, channel=channel, day=day, state="waiting", due_at=due_at)
            uow.reconciliations.add(run)
        elif due_at is not None:
            # The ladder begins anew.
            run = msgspec.structs.replace(run, due_at=due_at, tries=0)
            uow.reconciliations.save(run)
        return run

    def _zone(self, channel: str) -> tzinfo:
        return self._zones.get(channel, CHINA)

    # -- days -----------------------------------------------------------------------------------------------------

    async def _plan_days(self, now: datetime) -> int:
        """A row for every day that is over and has none; how many."""

        def missing(uow: UnitOfWork) -> list[ReconciliationView]:
            return [
                ReconciliationView(id=run_id(code, day), channel=code, day=day, state="waiting", due_at=now)
                for code in self._channels
                for day in self._days(uow, code, now)
            ]

        def add(uow: UnitOfWork) -> int:
            runs = missing(uow)
            for run in runs:
                uow.reconciliations.add(run)
            return len(runs)

        return await self._store.run(add) if await self._store.read(missing) else 0

    def _days(self, uow: UnitOfWork, channel: str, now: datetime) -> list[date]:
        zone = self._zone(channel)
        last = day_of(now, zone) - timedelta(days=1)
        if now < at_clock(last + timedelta(days=1), RUN_AT, zone):
            last -= timedelta(days=1)
        newest = uow.reconciliations.newest_day(channel)
        if newest is not None:
            first = newest + timedelta(days=1)
        else:
            begun_at = uow.reconciliations.first_attempt_at(channel)
            if begun_at is None:
                return []
            first = day_of(begun_at, zone)
        first = max(first, last - timedelta(days=MOST_DAYS_BACK - 1))
        return [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]

    # -- one day --------------------------------------------------------------------------------------------------

    async def _reconcile(self, run: ReconciliationView) -> None:
        answer = await self._fetch(run)
        match answer:
            case NoBill(is_final=True):
                await self._store.run(partial(self._book, run.id, Bill(day=run.day, trades=())))
            case NoBill(reason=reason):
                await self._store.run(partial(self._wait, run.id, reason))
            case Bill():
                await self._store.run(partial(self._book, run.id, answer))

    async def _fetch(self, run: ReconciliationView) -> BillAnswer:
        channel = self._channels.get(run.channel)
        if channel is None:
            return NoBill(reason="no_such_channel")
        try:
            async with asyncio.timeout(FETCH_S):
                answer = await channel.bill(run.day)
        except TimeoutError:
            return NoBill(reason="timeout")
        if isinstance(answer, Bill) and answer.day != run.day:
            return NoBill(reason="wrong_day")
        return answer

    def _wait(self, name: str, reason: str, uow: UnitOfWork) -> None:
        run, now = _run(name, uow), self._now()
        is_over = now >= bounds(run.day, self._zone(run.channel))[1] + GIVE_UP_AFTER
        # One that ran before was asked for once more: what was found stands.
        state = run.state if run.ran_at is not None else "given_up" if is_over else "waiting"
        delay_s = BILL_S[min(run.tries, len(BILL_S) - 1)]
        changed = msgspec.structs.replace(
            run,
            state=state,
            tries=run.tries + 1,
            reason=reason,
            due_at=None if is_over else now + timedelta(seconds=delay_s),
        )
        uow.reconciliations.save(changed)
        if state == "given_up":
            log.warning("no bill of %s for %s: %s", run.channel, run.day, reason)

    def _book(self, name: str, bill: Bill, uow: UnitOfWork) -> None:
        """Everything that a bill makes known, in one transaction."""
        run, now = _run(name, uow), self._now()
        rows = uow.reconciliations
        zone = self._zone(run.channel)
        lines = billed_of(bill)
        rows.put_bill(run.channel, run.day, lines)
        begin, end = bounds(run.day, zone)
        span = judged_span(run.day, zone)
        if not _has_bill(uow, run_id(run.channel, run.day - timedelta(days=1))):
            # What happened before midnight may stand on a bill that nobody has seen.
            span = begin, span[1]
        numbers = {name for line in lines for name in (line.number, line.attempt_id)}
        orders = {line.number for line in lines if line.kind != "paid" and line.number == line.attempt_id}
        ours = rows.ours(self._channels[run.channel].shape, numbers, orders, span)
        numbers |= {name for row in ours.booked for name in (row.number, row.attempt_id)}
        other = rows.other_days(run.channel, run.day, numbers)
        mine = of_this_channel(run.channel, lines, ours)
        reversed_there = reversed_attempts(mine, other, ours)
        found = compare(mine, other, ours, span, shown_kinds(bill), reversed_there)
        fresh = self._add_items(uow, run, found, now)
        self._finish_items(uow, run, found, reversed_there, now)
        changed = msgspec.structs.replace(
            run,
            state="differing" if found else "agreed",
            tries=run.tries + 1,
            reason="",
            digest=digest(bill),
            lines=len(lines),
            mismatches=run.mismatches + fresh,
            sums=BothSums(theirs=_sums(mine), ours=rows.sums(self._channels[run.channel].shape, (begin, end))),
            ran_at=now,
            due_at=None,
        )
        rows.save(changed)
        if run.ran_at is None:
            self._judge_next_again(uow, run, now)

    def _add_items(self, uow: UnitOfWork, run: ReconciliationView, found: list[Mismatch], now: datetime) -> int:
        by_id = {item_id(run.channel, mismatch): mismatch for mismatch in found}
        known = uow.reconciliations.known_items(by_id)
        for name, mismatch in by_id.items():
            if name not in known:
                uow.reconciliations.add_item(_item(name, uow, run, mismatch, now))
        return len(by_id) - len(known)

    def _finish_items(
        self,
        uow: UnitOfWork,
        run: ReconciliationView,
        found: list[Mismatch],
        reversed_there: frozenset[str],
        now: datetime,
    ) -> None:
        """Items whose cause is gone: this run does not find it any more, this bill has what an earlier one lacked, or
        gives back what an earlier one had taken. What somebody took is theirs to close."""
        still = {item_id(run.channel, mismatch) for mismatch in found}
        rows = uow.reconciliations
        for item in rows.items_of_run(run.id, 10_000):
            if item.id not in still and item.state in ("repairing", "open"):
                rows.save_item(finished(item, "repaired", "differs_no_more", now))
        for item in rows.waiting_items(run.channel, "not_booked", "second_attempt"):
            if item.what == "paid" and item.number in reversed_there:
                rows.save_item(finished(item, "repaired", "reversed_there", now))
        for item in rows.waiting_items(run.channel, "not_booked"):
            if item.what == "transferred" and rows.billed_fen(run.channel, (item.what, item.number)) == 0:
                rows.save_item(finished(item, "repaired", "returned_there", now))
        for item in rows.waiting_items(run.channel, "missing"):
            if item.id not in still and rows.billed_fen(run.channel, (item.what, item.number)) == item.ours_fen:
                rows.save_item(finished(item, "repaired", "billed_later", now))

    def _judge_next_again(self, uow: UnitOfWork, run: ReconciliationView, now: datetime) -> None:
        """The day after left out what could have stood on this bill."""
        following = uow.reconciliations.get(run_id(run.channel, run.day + timedelta(days=1)))
        if following is not None and following.ran_at is not None:
            uow.reconciliations.save(msgspec.structs.replace(following, due_at=now))


def item_id(channel: str, mismatch: Mismatch) -> str:
    """The same for the same difference, whichever run finds it."""
    # A number that nobody knows may be on the bills of all channels of one merchant; it is one matter.
    where = "" if mismatch.cause == "unknown_number" else channel
    name = f"{where}|{mismatch.kind}|{mismatch.what}|{mismatch.number}"
    return f"item_{hashlib.sha256(name.encode()).hexdigest()[:26]}"


def finished(item: WorkItemView, state: ItemState, reason: str, now: datetime) -> WorkItemView:
    """The item with nothing left for the machine to do."""
    return msgspec.structs.replace(item, state=state, reason=reason, changed_at=now, due_at=None)


def _item(name: str, uow: UnitOfWork, run: ReconciliationView, mismatch: Mismatch, now: datetime) -> WorkItemView:
    instruction = uow.instructions.get(mismatch.number)
    attempt = uow.attempts.get(mismatch.attempt_id if instruction is None else instruction.attempt_id)
    intent = None if attempt is None else uow.intents.get(attempt.intent_id)
    is_for_people = mismatch.repair == "person"
    return WorkItemView(
        id=name,
        run_id=run.id,
        channel=run.channel,
        day=run.day,
        kind=mismatch.kind,
        cause=mismatch.cause,
        what=mismatch.what,
        number=mismatch.number,
        attempt_id=mismatch.attempt_id,
        intent_id=intent.id if intent else "",
        campus_id=intent.campus_id if intent else "",
        order_ref=intent.order_ref if intent else "",
        ours_fen=mismatch.ours_fen,
        theirs_fen=mismatch.theirs_fen,
        transaction_id=mismatch.transaction_id,
        repair=mismatch.repair,
        state="open" if is_for_people else "repairing",
        found_at=now,
        changed_at=now,
        due_at=None if is_for_people else now,
    )


def _run(name: str, uow: UnitOfWork) -> ReconciliationView:
    run = uow.reconciliations.get(name)
    assert run is not None, f"no run {name}"
    return run


def _has_bill(uow: UnitOfWork, name: str) -> bool:
    run = uow.reconciliations.get(name)
    return run is not None and run.ran_at is not None


def _sums(lines: list[Billed]) -> Sums:
    sums: dict[str, int] = {}
    for line in lines:
        name = f"{line.kind}_fen"
        sums[name] = sums.get(name, 0) + line.amount_fen
    return msgspec.convert(sums, Sums)
