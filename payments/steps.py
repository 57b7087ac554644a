"""One intent's steps between calls: what a transaction commits before the next call, and what an answer makes true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, assert_never

import msgspec

from payments import failover
from payments.attempt import Attempt, AttemptState, open_attempt
from payments.books.booking import Booking, NewId
from payments.books.group_books import tend_group
from payments.failover import Change, Close, Fail, FinishCancel, OpenAttempt, Query, Suspect, Wait
from payments.outcomes import (
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    Declined,
    Issued,
    NotIssued,
    OrderToCreate,
    QueryAnswer,
    Succeeded,
    Unknown,
)
from payments.store.rows import IntentRow
from payments.store.unit_of_work import UnitOfWork
from payments.timeline import Row

#: More steps than any intent can need in one transaction.
MOST_STEPS = 16

Answer = CreateAnswer | DebitAnswer | QueryAnswer | CloseAnswer


class Create(OpenAttempt, frozen=True):
    """The attempt is committed; now the channel may be called."""

    attempt: Attempt
    order: OrderToCreate


Call = Create | Query | Close


def operation_of(call: Call, shape: Capabilities) -> str:
    """What the call is, in one word."""
    match call:
        case Create():
            return "debit" if shape.is_direct_debit else "create"
        case Query():
            return "query"
        case Close():
            return "close"


class Planned(msgspec.Struct, frozen=True):
    """The next call, and until when nobody else drives this intent."""

    call: Call
    until: datetime


class Steps:
    """Plain functions of a transaction; they may be repeated and have no other effect."""

    def __init__(
        self,
        shapes: Mapping[str, Capabilities],
        now: Callable[[], datetime],
        new_id: NewId,
        is_passed_over: Callable[[str], bool],
        lease: timedelta,
    ) -> None:
        self._shapes = shapes
        self._now = now
        self._new_id = new_id
        self._is_passed_over = is_passed_over
        self.lease = lease

    def plan(self, intent_id: str, until: datetime, uow: UnitOfWork) -> Planned | None:
        """Commit whatever needs no call, up to the next call or the next wait."""
        now = self._now()
        booking = Booking(uow, now, self._new_id)
        for _ in range(MOST_STEPS):
            intent = uow.intents.require(intent_id)
            if intent.part == 0:
                uow.intents.let_go(intent_id, tend_group(booking, intent))
                return None
            attempts = uow.attempts.of(intent)
            if self._is_cleared(intent, attempts):
                uow.intents.change(intent_id, is_suspicious=False, reason="")
                continue
            step = failover.decide(intent, attempts, self._shapes, now, self._is_passed_over)
            match step:
                case Query() | Close():
                    return self._planned(uow, step, until, now)
                case OpenAttempt():
                    return self._planned(uow, self._open(uow, intent, step, now), until, now)
                case Change(attempt):
                    was = next(before.state for before in attempts if before.id == attempt.id)
                    uow.attempts.save(attempt, was)
                case Fail(reason):
                    booking.fail(intent, reason)
                case FinishCancel():
                    booking.finish_cancel(intent)
                case Suspect(reason):
                    booking.suspect(intent, reason)
                case Wait(wait_until):
                    uow.intents.let_go(intent_id, wait_until)
                    return None
                case _:
                    assert_never(step)
        raise AssertionError("an intent settles down within a few steps")

    @staticmethod
    def _is_cleared(intent: IntentRow, attempts: list[Attempt]) -> bool:
        """Nobody had proof in time, and by now there is some: the attempt in doubt is dead."""
        in_doubt = intent.is_suspicious and intent.reason == failover.NO_PROOF
        return in_doubt and not any(attempt.is_live for attempt in attempts)

    def _planned(self, uow: UnitOfWork, call: Call, until: datetime, now: datetime) -> Planned:
        uow.timeline.request(call.attempt, operation_of(call, self._shapes[call.attempt.channel]), now)
        return Planned(call, until)

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

    def apply_and_plan(self, planned: Planned, answer: Answer, asked_at: datetime, uow: UnitOfWork) -> Planned | None:
        """Book the answer, then go on; but whoever stalled beyond the lease only books: another one drives by now."""
        intent_id = planned.call.attempt.intent_id
        self.apply(planned.call, answer, asked_at, uow)
        if not uow.intents.is_held(intent_id, planned.until):
            return None
        until = self._now() + self.lease
        uow.intents.change(intent_id, lease_until=until)
        return self.plan(intent_id, until, uow)

    def apply(self, call: Call, answer: Answer, asked_at: datetime, uow: UnitOfWork) -> None:
        """What the answer makes true; against the row as it is by now, not as it was when the call began."""
        now = self._now()
        booking = Booking(uow, now, self._new_id)
        attempt = uow.attempts.require(call.attempt.id)
        shape = self._shapes[attempt.channel]
        uow.timeline.reply(attempt, operation_of(call, shape), now, **_facts(answer))
        after: Attempt | None
        match answer:
            case (
                Succeeded(amount_fen, transaction_id)
                | QueryAnswer(standing="paid", amount_fen=amount_fen, transaction_id=transaction_id)
            ):
                if booking.paid(attempt, amount_fen, transaction_id) == "booked":
                    return
                after = failover.after_mismatch(attempt, shape, asked_at)
            case QueryAnswer():
                after = failover.after_query(attempt, answer, shape, asked_at)
            case "asked" | "paid" | "no_answer":
                after = failover.after_close(attempt, answer, now)
            case Unknown() | Declined():
                after = failover.after_debit(attempt, answer, now)
            case _:
                after = failover.after_create(attempt, answer, now)
        if isinstance(answer, NotIssued) and answer.is_alarm:
            uow.timeline.add(
                Row(
                    at=now,
                    intent_id=attempt.intent_id,
                    subject=attempt.id,
                    kind="decision",
                    code="alarm",
                    channel=attempt.channel,
                    facts={"reason": answer.reason},
                )
            )
        if after is None:
            return
        uow.attempts.save(after, attempt.state)
        if attempt.state is AttemptState.CREATING and isinstance(answer, Issued):
            booking.issued(uow.intents.require(attempt.intent_id), after)


def _facts(answer: Answer) -> dict[str, Any]:
    """What of an answer may be kept: never a credential."""
    match answer:
        case str():
            return {"answer": answer}
        case Issued():
            return {"answer": "Issued"}
        case QueryAnswer():
            return {"answer": answer.standing, "amount_fen": answer.amount_fen}
        case Succeeded():
            return {"answer": "Succeeded", "amount_fen": answer.amount_fen}
        case _:
            return {"answer": type(answer).__name__, "reason": answer.reason}
