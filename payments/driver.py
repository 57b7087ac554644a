"""The driver: takes what is due, calls channels between transactions, and has the answers booked.

Several processes may drive at once. A lease keeps them apart; when one stalls beyond its lease, the table of moves and
the compare-and-sets discard whatever comes too late, and it lets go. A slow call holds up nobody: what is due is taken
on while others still wait for an answer, payers who have nothing to pay with yet first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from payments import instruct
from payments.books import captures
from payments.books.booking import Booking, NewId
from payments.channels.base import Channel, Reveal, reveal_nothing
from payments.failover import Close, Query
from payments.health import Health
from payments.lanes import Lanes
from payments.outcomes import MoneyAnswer, NotIssued, QueryAnswer, Receiver, SplitAnswer, Unknown
from payments.steps import Answer, Call, Create, Planned, Steps, operation_of
from payments.store.rows import Instruction
from payments.store.unit_of_work import Store, UnitOfWork

log = logging.getLogger(__name__)

#: Real seconds for which a process keeps what it took; a single call ends long before.
LEASE_S = 15.0
#: Real seconds for any call. A channel keeps the 800 ms for a credential itself, after it got a connection; nobody
#: waits for one longer than for both.
CALL_S = 5.0
CREATE_S = 1.6
#: Real seconds that a pass waits for what it began before it looks for more.
PASS_S = 0.05
#: Calls for one intent in one go; then others have their turn.
MOST_CALLS = 16


class Driver:
    """One process's driver."""

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        now: Callable[[], datetime],
        new_id: NewId,
        real_s: Callable[[float], float],
        reveal: Reveal = reveal_nothing,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._channels = channels
        self._now = now
        self._new_id = new_id
        self._reveal = reveal
        shapes = {code: channel.shape for code, channel in channels.items()}
        self.health = Health(shapes, monotonic_s)
        lease = timedelta(seconds=LEASE_S / max(real_s(1.0), 1e-9))
        self._steps = Steps(shapes, now, new_id, self._is_passed_over, lease)
        self._lanes = Lanes()

    async def work(self) -> int:
        """Take on what is due and wait a moment for it; how many things were under way. What ended in this pass may
        have made others due, so 0 means that there was nothing to do at all."""
        before = len(self._lanes.running)
        await self._take_on()
        running = self._lanes.running
        if running:
            await asyncio.wait(running, timeout=PASS_S)
        return max(before, len(running))

    async def stop(self) -> None:
        """Give up what is under way: its leases run out, and whoever drives next goes on from the rows."""
        await self._lanes.stop()

    async def _take_on(self) -> None:
        now, lanes = self._now(), self._lanes
        until, crowded = now + self._steps.lease, lanes.crowded

        def look(uow: UnitOfWork) -> tuple[list[str], list[str], list[str]]:
            return (
                uow.intents.due_new(now, lanes.room("new")),
                uow.intents.due_asked(now, lanes.room("asked"), crowded),
                uow.instructions.due(now, lanes.room("told"), crowded),
            )

        # Looking first costs a writer nothing when nothing is due.
        new, asked, told = await self._store.read(look)
        if not (new or asked or told):
            return

        def take(uow: UnitOfWork) -> tuple[set[str], set[str]]:
            return uow.intents.lease([*new, *asked], now, until), uow.instructions.lease(told, now, until)

        intents, instructions = await self._store.run(take)
        for name in (name for name in new if name in intents):
            lanes.begin("new", name, self.drive_intent(name, until))
        for name in (name for name in asked if name in intents):
            lanes.begin("asked", name, self.drive_intent(name, until))
        for name in (name for name in told if name in instructions):
            lanes.begin("told", name, self.drive_instruction(name))

    # -- intents --------------------------------------------------------------------------------------------------

    async def drive_intent(self, intent_id: str, until: datetime) -> None:
        """Steps on one intent, leased until then, until it has to wait."""
        planned: Planned | None = await self._store.run(partial(self._steps.plan, intent_id, until))
        for _ in range(MOST_CALLS):
            if planned is None:
                return
            asked_at = self._now()
            answer = await self._call(planned.call)
            planned = await self._store.run(partial(self._steps.apply_and_plan, planned, answer, asked_at))
        await self._store.run(lambda uow: uow.intents.let_go(intent_id, self._now()))

    async def _call(self, call: Call) -> Answer:
        channel = self._channels[call.attempt.channel]
        shape = channel.shape
        operation = operation_of(call, shape)
        if isinstance(call, Create):
            if shape.needs:
                payer = await self._reveal(call.order.payer_ref, shape.needs)
                call = msgspec.structs.replace(call, order=msgspec.structs.replace(call.order, payer=payer))
            if shape.creates_locally:
                # Signing is no call: there is nothing to wait for, and it says nothing of the provider.
                return await channel.create_credential(call.order)
        number = self.health.begin(shape.code, operation)
        answer: Answer | None = None
        try:
            async with asyncio.timeout(CREATE_S if operation == "create" else CALL_S):
                if isinstance(call, Create):
                    answer = await self._ask(channel, call)
                else:
                    with self._lanes.asking(shape.code):
                        answer = await self._ask(channel, call)
        except TimeoutError:
            answer = _no_answer(call, is_debit=shape.is_direct_debit)
        finally:
            self.health.end(shape.code, operation, number, answer)
        return answer

    @staticmethod
    async def _ask(channel: Channel, call: Call) -> Answer:
        match call:
            case Create(order=order):
                is_debit = channel.shape.is_direct_debit
                return await (channel.debit(order) if is_debit else channel.create_credential(order))
            case Query(attempt):
                return await channel.query(attempt.id)
            case Close(attempt):
                return await channel.close(attempt.id)

    # -- health ---------------------------------------------------------------------------------------------------

    def _is_passed_over(self, code: str) -> bool:
        return not self._channels[code].is_available or not self.health.admits(code)

    def is_healthy(self, code: str) -> bool:
        """Whether new orders go to this channel."""
        channel = self._channels[code]
        return channel.is_available and channel.shape.can_split and not self.health.is_open(code)

    # -- instructions ---------------------------------------------------------------------------------------------

    async def drive_instruction(self, number: str) -> None:
        """Tell the institution, book what it answers."""
        order, later = await self._store.read(partial(_told_of, number))
        answer = await self._instruct(order, later)

        def book(uow: UnitOfWork) -> None:
            fresh = uow.instructions.get(number)
            assert fresh is not None, "instructions are never removed"
            if fresh.is_done or fresh.tries != order.tries:
                return  # Somebody else was faster: the lease had run out.
            booking = Booking(uow, self._now(), self._new_id)
            uow.timeline.instructed(fresh, answer, booking.now)
            instruct.book_answer(booking, fresh, answer)

        await self._store.run(book)

    async def _instruct(self, order: Instruction, later: Sequence[Receiver]) -> SplitAnswer | MoneyAnswer:
        channel = self._channels[order.channel]
        payee: Mapping[str, str] = {}
        if instruct.is_to_person(order, channel.shape):
            payee = await self._reveal(order.receivers[0].account_ref, channel.shape.transfer_needs)
        number = self.health.begin(order.channel, order.kind)
        answer: SplitAnswer | MoneyAnswer | None = None
        try:
            with self._lanes.asking(order.channel):
                async with asyncio.timeout(CALL_S):
                    answer = await instruct.tell_institution(channel, order, payee, later)
        except TimeoutError:
            answer = instruct.no_answer(order)
        finally:
            self.health.end(order.channel, order.kind, number, answer)
        return answer


def _told_of(number: str, uow: UnitOfWork) -> tuple[Instruction, tuple[Receiver, ...]]:
    order = uow.instructions.get(number)
    assert order is not None, "instructions are never removed"
    return order, captures.still_to_split(uow, order)


def _no_answer(call: Call, *, is_debit: bool) -> Answer:
    match call:
        case Create():
            return Unknown("timeout") if is_debit else NotIssued("timeout")
        case Query():
            return QueryAnswer(standing="no_answer")
        case Close():
            return "no_answer"
