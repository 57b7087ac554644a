"""Repairs of mismatches: asked for, booked the way that money always is, tried again, and handed to people in the end.

No repair makes up an amount or a number: it asks the provider about a number that we have, and books what it answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

import msgspec

from payments.books.booking import Booking, NewId
from payments.books.captures import still_to_split
from payments.channels.base import Channel, Reveal, reveal_nothing
from payments.instruct import is_to_person, tell_institution
from payments.outcomes import MoneyAnswer, QueryAnswer, Receiver, SplitAnswer
from payments.reconcile.view import ItemState, WorkItemView
from payments.store.rows import Instruction
from payments.store.unit_of_work import Store, UnitOfWork

log = logging.getLogger(__name__)

#: Seconds until a repair that has not worked is tried again; after the last one it is people's.
REPAIR_S = (60.0, 300.0, 900.0, 3600.0)
#: Real seconds for any call.
CALL_S = 5.0


#: later: not yet, or nobody knows.
Verdict = Literal["repaired", "open", "later"]


class Mender:
    """Repairs one item at a time."""

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        now: Callable[[], datetime],
        new_id: NewId,
        reveal: Reveal = reveal_nothing,
    ) -> None:
        self._store = store
        self._channels = channels
        self._now = now
        self._new_id = new_id
        self._reveal = reveal

    async def mend(self, item_id: str) -> None:
        """Try a leased item's repair."""
        item = await self._store.read(partial(_item, item_id))
        if item.state != "repairing":
            await self._store.run(partial(self._conclude, item_id, "later", ""))
            return
        channel = self._channels.get(item.channel)
        if channel is None:
            await self._store.run(partial(self._conclude, item_id, "open", "no_such_channel"))
        elif item.repair == "book_payment":
            await self._book_payment(item, channel)
        elif item.repair == "wake":
            await self._store.run(partial(self._wake, item_id, channel))
        elif item.what == "paid":
            await self._confirm_payment(item, channel)
        else:
            await self._ask_again(item, channel)

    # -- payments -------------------------------------------------------------------------------------------------

    async def _query(self, item: WorkItemView, channel: Channel) -> QueryAnswer:
        try:
            async with asyncio.timeout(CALL_S):
                return await channel.query(item.number)
        except TimeoutError:
            return QueryAnswer(standing="no_answer")

    async def _book_payment(self, item: WorkItemView, channel: Channel) -> None:
        answer = await self._query(item, channel)

        def book(uow: UnitOfWork) -> None:
            if answer.standing != "paid":
                self._conclude(item.id, "later", f"query_says_{answer.standing}", uow)
                return
            attempt = uow.attempts.require(item.number)
            outcome = Booking(uow, self._now(), self._new_id).paid(attempt, answer.amount_fen, answer.transaction_id)
            if outcome == "booked":
                self._conclude(item.id, "repaired", "booked", uow)
            else:
                self._conclude(item.id, "open", "amount_mismatch", uow)

        await self._store.run(book)

    async def _confirm_payment(self, item: WorkItemView, channel: Channel) -> None:
        """A payment of ours that no bill has: what the provider itself says of it counts."""
        answer = await self._query(item, channel)
        if answer.standing == "paid":
            is_same = answer.amount_fen == item.ours_fen
            verdict: tuple[Verdict, str] = ("repaired", "confirmed") if is_same else ("open", "amount_mismatch")
        elif answer.standing == "no_answer":
            verdict = "later", "query_says_no_answer"
        else:
            verdict = "open", f"query_says_{answer.standing}"
        await self._store.run(partial(self._conclude, item.id, *verdict))

    # -- money that leaves ----------------------------------------------------------------------------------------

    def _wake(self, item_id: str, channel: Channel, uow: UnitOfWork) -> None:
        """The institution has done it: asking under the same number makes it known here."""
        item = _item(item_id, uow)
        undone = [each for each in _orders(item, uow) if not each.is_done]
        if not undone:
            booked_fen = uow.reconciliations.booked_fen((item.what, item.number), channel.shape)
            is_equal = booked_fen == item.theirs_fen
            self._conclude(item_id, "repaired" if is_equal else "open", "booked" if is_equal else "amounts", uow)
            return
        for each in undone:
            if each.due_at is None or each.due_at > self._now():
                uow.instructions.save(msgspec.structs.replace(each, due_at=self._now()))
        self._conclude(item_id, "later", "woken", uow)

    async def _ask_again(self, item: WorkItemView, channel: Channel) -> None:
        orders = await self._store.read(partial(_orders, item))
        verdict: tuple[Verdict, str] = ("open", "no_instruction")
        for order in orders:
            later = await self._store.read(partial(still_to_split, order=order))
            payee: Mapping[str, str] = {}
            if is_to_person(order, channel.shape):
                payee = await self._reveal(order.receivers[0].account_ref, channel.shape.transfer_needs)
            verdict = verdict_on(await tell_again(channel, order, later, payee))
            if verdict[0] != "repaired":
                break
        await self._store.run(partial(self._conclude, item.id, *verdict))

    # -- the item -------------------------------------------------------------------------------------------------

    def _conclude(self, item_id: str, verdict: Verdict, reason: str, uow: UnitOfWork) -> None:
        """Write what became of the try; an item that somebody has closed meanwhile stays closed."""
        item, now = _item(item_id, uow), self._now()
        if item.state != "repairing":
            uow.reconciliations.save_item(item)
            return
        state: ItemState = "repairing" if verdict == "later" else verdict
        due_at = None
        if verdict == "later":
            if item.tries < len(REPAIR_S):
                due_at = now + timedelta(seconds=REPAIR_S[item.tries])
            else:
                state = "open"
        if state == "open":
            log.warning("%s %s of %s needs a person: %s", item.kind, item.number, item.channel, reason)
        uow.reconciliations.save_item(
            msgspec.structs.replace(
                item, state=state, reason=reason, tries=item.tries + 1, changed_at=now, due_at=due_at
            )
        )


def _orders(item: WorkItemView, uow: UnitOfWork) -> list[Instruction]:
    """The instructions that an item is about. A bill that names a split by its order leaves open which one it was."""
    order = uow.instructions.get(item.number)
    if order is not None:
        return [order]
    kinds = ("split", "withdraw") if item.what == "split" else ("take_back",)
    return [
        each for each in uow.instructions.of(item.intent_id) if each.attempt_id == item.number and each.kind in kinds
    ]


async def tell_again(
    channel: Channel, order: Instruction, later: Sequence[Receiver], payee: Mapping[str, str]
) -> SplitAnswer | MoneyAnswer:
    """The instruction once more, under its number: what was done is reported, what was not is done."""
    try:
        async with asyncio.timeout(CALL_S):
            return await tell_institution(channel, order, payee, later)
    except TimeoutError:
        return MoneyAnswer(standing="no_answer", reason="timeout")


def verdict_on(answer: SplitAnswer | MoneyAnswer) -> tuple[Verdict, str]:
    """What an answer to an instruction that was given before means for the item."""
    match answer:
        case SplitAnswer(receivers=()):
            return "later", answer.reason or "no_answer"
        case SplitAnswer():
            closed = [receiver.reason for receiver in answer.receivers if receiver.standing == "closed"]
            if closed:
                return "open", f"receiver_closed: {closed[0]}"
            is_paid = all(receiver.standing == "paid" for receiver in answer.receivers)
            return ("repaired", "done_under_its_number") if is_paid else ("later", "pending")
        case MoneyAnswer(standing="done"):
            return "repaired", "done_under_its_number"
        case MoneyAnswer(standing="failed"):
            return "open", f"refused: {answer.reason}"
        case MoneyAnswer():
            return "later", answer.reason or answer.standing


def _item(item_id: str, uow: UnitOfWork) -> WorkItemView:
    item = uow.reconciliations.item(item_id)
    assert item is not None, "items are never removed"
    return item
