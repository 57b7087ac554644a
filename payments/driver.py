"""The driver: takes what is due, lets ``failover`` decide, calls channels between transactions, books the answers.

Several processes may drive at once. A lease keeps them apart; when one stalls beyond its lease, the table of moves and
the compare-and-sets discard whatever comes too late.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from payments import failover
from payments.attempt import Attempt, AttemptState, open_attempt
from payments.booking import Booking, NewId
from payments.breaker import Breaker
from payments.channels.base import Channel
from payments.failover import Change, Close, Fail, FinishCancel, OpenAttempt, Query, Suspect, Wait
from payments.outcomes import (
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    Declined,
    Issued,
    MoneyAnswer,
    NotIssued,
    OrderToCreate,
    QueryAnswer,
    SplitAnswer,
    Succeeded,
    Unknown,
)
from payments.store.rows import Instruction, IntentRow
from payments.store.unit_of_work import Store, UnitOfWork

log = logging.getLogger(__name__)

#: Real seconds for which a process keeps what it took; every call ends long before.
LEASE_S = 15.0
#: Real seconds for any call; creating a credential has its own, shorter budget in the channel.
CALL_S = 5.0
#: How much one pass takes on, and how many of it at once.
BATCH = 64
AT_ONCE = 16
#: More steps than any intent can need in one go.
MOST_STEPS = 16


class Create(OpenAttempt, frozen=True):
    """The attempt is committed; now the channel may be called."""

    attempt: Attempt
    order: OrderToCreate


Call = Create | Query | Close


class Driver:
    """One process's driver."""

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        now: Callable[[], datetime],
        new_id: NewId,
        real_s: Callable[[float], float],
    ) -> None:
        self._store = store
        self._channels = channels
        self._shapes = {code: channel.shape for code, channel in channels.items()}
        self._now = now
        self._new_id = new_id
        self._lease = timedelta(seconds=LEASE_S / max(real_s(1.0), 1e-9))
        self._breakers: dict[str, Breaker] = {}

    async def work(self) -> int:
        """One pass over everything due; how many things were taken on."""
        now = self._now()
        until = now + self._lease

        def take(uow: UnitOfWork) -> tuple[list[str], list[str]]:
            return uow.intents.lease_due(now, until, BATCH), uow.instructions.lease_due(now, until, BATCH)

        # Looking first costs a writer nothing when nothing is due.
        if not await self._store.read(lambda uow: uow.intents.is_any_due(now) or uow.instructions.is_any_due(now)):
            return 0
        intents, instructions = await self._store.run(take)
        gate = asyncio.Semaphore(AT_ONCE)

        async def guarded(name: str, drive: Callable[[str], Awaitable[None]]) -> None:
            async with gate:
                try:
                    await drive(name)
                except Exception:
                    # One intent's bug must not stop the others; its lease runs out and it is tried again.
                    log.exception("payments could not drive %s", name)

        await asyncio.gather(
            *(guarded(name, self.drive_intent) for name in intents),
            *(guarded(name, self.drive_instruction) for name in instructions),
        )
        return len(intents) + len(instructions)

    # -- intents --------------------------------------------------------------------------------------------------

    async def drive_intent(self, intent_id: str) -> None:
        """Steps on one leased intent until it has to wait."""
        call = await self._store.run(partial(self._plan, intent_id))
        for _ in range(MOST_STEPS):
            if call is None:
                return
            asked_at = self._now()
            answer = await self._call(call)
            if isinstance(call, Create):
                self._learn(call.channel, is_success=not isinstance(answer, NotIssued | Unknown))
            call = await self._store.run(partial(self._apply_and_plan, intent_id, call, answer, asked_at))
        raise AssertionError("an intent settles down within a few calls")

    def _plan(self, intent_id: str, uow: UnitOfWork) -> Call | None:
        """Commit whatever needs no call, up to the next call or the next wait."""
        now = self._now()
        booking = Booking(uow, now, self._new_id)
        for _ in range(MOST_STEPS):
            intent = uow.intents.require(intent_id)
            attempts = uow.attempts.of(intent)
            step = failover.decide(intent, attempts, self._shapes, now, self._is_passed_over)
            match step:
                case Query() | Close():
                    return step
                case OpenAttempt():
                    return self._open(uow, intent, step, now)
                case Change(attempt):
                    was = next(before.state for before in attempts if before.id == attempt.id)
                    uow.attempts.save(attempt, was)
                case Fail(reason):
                    booking.fail(intent, reason)
                case FinishCancel():
                    booking.finish_cancel(intent)
                case Suspect(reason):
                    booking.suspect(intent, reason)
                case Wait(until):
                    uow.intents.let_go(intent_id, until)
                    return None
                case _:
                    assert_never(step)
        raise AssertionError("an intent settles down within a few steps")

    def _open(self, uow: UnitOfWork, intent: IntentRow, step: OpenAttempt, now: datetime) -> Create:
        attempt = open_attempt(
            intent_id=intent.id,
            number=step.number,
            amount_fen=intent.amount_fen,
            intent_expires_at=intent.expires_at,
            shape=self._shapes[step.channel],
            now=now,
        )
        uow.attempts.add(attempt)
        if intent.switch_to is not None:
            uow.intents.change(intent.id, switch_to=None)
        order = OrderToCreate(
            attempt_id=attempt.id,
            amount_fen=attempt.amount_fen,
            description=intent.description,
            order_ref=intent.order_ref,
            payer_ref=intent.payer_ref,
            expires_at=attempt.expires_at,
        )
        return Create(step.channel, step.number, attempt, order)

    async def _call(self, call: Call) -> CreateAnswer | DebitAnswer | QueryAnswer | CloseAnswer:
        channel = self._channels[call.attempt.channel]
        try:
            async with asyncio.timeout(CALL_S):
                match call:
                    case Create(order=order):
                        is_debit = channel.shape.is_direct_debit
                        return await (channel.debit(order) if is_debit else channel.create_credential(order))
                    case Query(attempt):
                        return await channel.query(attempt.id)
                    case Close(attempt):
                        return await channel.close(attempt.id)
        except TimeoutError:
            return self._no_answer(call, channel)

    @staticmethod
    def _no_answer(call: Call, channel: Channel) -> CreateAnswer | DebitAnswer | QueryAnswer | CloseAnswer:
        match call:
            case Create():
                return Unknown("timeout") if channel.shape.is_direct_debit else NotIssued("timeout")
            case Query():
                return QueryAnswer(standing="no_answer")
            case Close():
                return "no_answer"

    def _apply_and_plan(
        self,
        intent_id: str,
        call: Call,
        answer: CreateAnswer | DebitAnswer | QueryAnswer | CloseAnswer,
        asked_at: datetime,
        uow: UnitOfWork,
    ) -> Call | None:
        self._apply(uow, call, answer, asked_at)
        return self._plan(intent_id, uow)

    def _apply(
        self,
        uow: UnitOfWork,
        call: Call,
        answer: CreateAnswer | DebitAnswer | QueryAnswer | CloseAnswer,
        asked_at: datetime,
    ) -> None:
        """What the answer makes true; against the row as it is by now, not as it was when the call began."""
        now = self._now()
        booking = Booking(uow, now, self._new_id)
        attempt = uow.attempts.require(call.attempt.id)
        after: Attempt | None
        match answer:
            case (
                Succeeded(amount_fen, transaction_id)
                | QueryAnswer(standing="paid", amount_fen=amount_fen, transaction_id=transaction_id)
            ):
                if booking.paid(attempt, amount_fen, transaction_id) == "booked":
                    return
                no_proof = QueryAnswer(standing="no_answer")
                after = failover.after_query(attempt, no_proof, self._shapes[attempt.channel], asked_at)
            case QueryAnswer():
                after = failover.after_query(attempt, answer, self._shapes[attempt.channel], asked_at)
            case "asked" | "paid" | "no_answer":
                after = failover.after_close(attempt, answer, now)
            case Unknown() | Declined():
                after = failover.after_debit(attempt, answer, now)
            case _:
                after = failover.after_create(attempt, answer, now)
        if after is None:
            return
        uow.attempts.save(after, attempt.state)
        if attempt.state is AttemptState.CREATING and isinstance(answer, Issued):
            booking.issued(uow.intents.require(attempt.intent_id), after)

    # -- health ---------------------------------------------------------------------------------------------------

    def _is_passed_over(self, code: str) -> bool:
        breaker = self._breakers.get(code)
        is_open = breaker is not None and breaker.is_open(self._now())
        return is_open or not self._channels[code].is_available

    def _learn(self, code: str, *, is_success: bool) -> None:
        breaker = self._breakers.get(code, Breaker())
        self._breakers[code] = breaker.after(is_success=is_success, now=self._now())

    def is_healthy(self, code: str) -> bool:
        """Whether new orders go to this channel."""
        return not self._is_passed_over(code)

    # -- instructions ---------------------------------------------------------------------------------------------

    async def drive_instruction(self, number: str) -> None:
        """Tell the institution, book what it answers."""
        order = await self._store.read(lambda uow: uow.instructions.get(number))
        assert order is not None, "instructions are never removed"
        answer = await self._instruct(order)

        def book(uow: UnitOfWork) -> None:
            fresh = uow.instructions.get(number)
            assert fresh is not None, "instructions are never removed"
            if fresh.is_done or fresh.tries != order.tries:
                return  # Somebody else was faster: the lease had run out.
            booking = Booking(uow, self._now(), self._new_id)
            match answer:
                case SplitAnswer(receivers=()):
                    booking.try_later(fresh, answer.reason, is_failure=False)
                case SplitAnswer():
                    booking.split_reported(fresh, answer.receivers)
                case MoneyAnswer(standing="done"):
                    booking.money_back(fresh)
                case MoneyAnswer():
                    booking.try_later(fresh, answer.reason, is_failure=answer.standing == "failed")

        await self._store.run(book)

    async def _instruct(self, order: Instruction) -> SplitAnswer | MoneyAnswer:
        channel = self._channels[order.channel]
        try:
            async with asyncio.timeout(CALL_S):
                match order.kind:
                    case "split":
                        return await channel.split(order.attempt_id, order.id, order.receivers)
                    case "refund":
                        return await channel.refund(order.attempt_id, order.id, order.amount_fen)
                    case _:
                        return await channel.give_back(order.attempt_id, order.id, order.amount_fen)
        except TimeoutError:
            if order.kind == "split":
                return SplitAnswer(reason="timeout")
            return MoneyAnswer(standing="no_answer", reason="timeout")
