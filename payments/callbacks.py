"""A provider calls: verified, remembered and booked in one transaction, then answered: accepted, or call again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

import msgspec

from payments.books.booking import Booking, NewId
from payments.channels.base import Channel
from payments.outcomes import BadNotice, MoneyNotice, OtherNotice, PaidNotice
from payments.port import CallbackReply
from payments.store.unit_of_work import Store, UnitOfWork

log = logging.getLogger(__name__)

#: Real seconds within which a provider has its answer; they give up after five and call again.
REPLY_S = 4.0
#: Real seconds between two writings of the tally, however many callbacks come.
WRITE_EVERY_S = 5.0
#: The longest name of a notice that is kept as it is.
_LONGEST_ID = 128

#: accepted, repeated: as it should be · other: nothing of ours · bad: not proved, or not understood · unknown: of an
#: order or instruction that we never gave · unconfirmed: the provider's own answer does not say the same yet · late:
#: not booked in time; both to be sent again · error: our own mistake.
Outcome = Literal["accepted", "repeated", "other", "bad", "unknown", "unconfirmed", "late", "error"]
ACCEPTED: frozenset[Outcome] = frozenset({"accepted", "repeated", "other"})


class Callbacks:
    """Takes callbacks in this process. How they fared is counted here and written down now and then: anybody may call,
    so a bad one must cost no transaction."""

    #: Different (channel, outcome, reason) between two writings.
    MOST_KINDS = 256

    def __init__(self, store: Store, now: Callable[[], datetime], new_id: NewId) -> None:
        self._store = store
        self._now = now
        self._new_id = new_id
        self._tally: Counter[tuple[str, Outcome, str]] = Counter()
        self._write_at_s = 0.0

    async def take(self, channel: Channel, headers: Mapping[str, str], body: bytes) -> CallbackReply:
        """Accepted only once it is on disk; a duplicate payment is accepted too, or it would be sent for ever."""
        code = channel.shape.code
        notice = channel.read_callback(headers, body)
        if isinstance(notice, BadNotice):
            log.warning("refused a callback of %s: %s", code, notice.reason)
            self._count(code, "bad", notice.reason)
            await self._write_now_and_then()
            return channel.reply(is_accepted=False)
        outcome: Outcome = "error"
        try:
            async with asyncio.timeout(REPLY_S):
                told = await _confirmed(channel, notice)
                if told is None:
                    outcome = "unconfirmed"
                else:
                    # What was begun is finished even when the provider no longer waits; it then hears of it next time.
                    outcome = await asyncio.shield(self._store.run(lambda uow: self._book(uow, channel, told)))
        except TimeoutError:
            outcome = "late"
            log.warning("a callback of %s could not be booked in time", code)
        finally:
            self._count(code, outcome, "")
        if outcome == "unknown":
            log.warning("%s speaks of something that it never got: %s", code, _subject(notice))
        await self._write_now_and_then()
        return channel.reply(is_accepted=outcome in ACCEPTED)

    def _book(self, uow: UnitOfWork, channel: Channel, notice: PaidNotice | MoneyNotice | OtherNotice) -> Outcome:
        now = self._now()
        code = channel.shape.code
        name = notice.notice_id
        if len(name) > _LONGEST_ID:
            name = hashlib.sha256(name.encode()).hexdigest()
        match notice:
            case OtherNotice():
                return "other"
            case MoneyNotice(number=number):
                order = uow.instructions.get(number)
                if order is None or order.channel != code:
                    return "unknown"
                attempt = uow.attempts.require(order.attempt_id)
                is_new = uow.inbox.is_new_notice(code, f"money:{name}", attempt.id, now)
                if is_new:
                    uow.instructions.wake(number, now)
                what = "money_notice"
            case PaidNotice():
                found = uow.attempts.get(notice.attempt_id)
                if found is None or found.channel != code:
                    return "unknown"
                attempt = found
                # The same name with another status of the same payment is another message.
                is_new = uow.inbox.is_new_notice(code, f"paid:{name}", attempt.id, now)
                if is_new:
                    Booking(uow, now, self._new_id).paid(attempt, notice.amount_fen, notice.transaction_id)
                what = "paid_notice"
        uow.timeline.callback(attempt, what if is_new else "repeated_notice", now, of=_subject(notice))
        return "accepted" if is_new else "repeated"

    def _count(self, channel: str, outcome: Outcome, reason: str) -> None:
        key = (channel, outcome, reason[:64])
        if key not in self._tally and len(self._tally) >= self.MOST_KINDS:
            key = (channel, outcome, "other")
        self._tally[key] += 1

    async def _write_now_and_then(self) -> None:
        if time.monotonic() >= self._write_at_s:
            self._write_at_s = time.monotonic() + WRITE_EVERY_S
            await self.write_down()

    async def write_down(self) -> None:
        """What was counted since the last time, added up in SQL for every process."""
        if not self._tally:
            return
        tally, self._tally = self._tally, Counter()

        def write(uow: UnitOfWork) -> None:
            for (channel, outcome, reason), count in sorted(tally.items()):
                uow.timeline.tally(channel, outcome, count, reason, self._now())

        await self._store.run(write)


async def _confirmed(
    channel: Channel, notice: PaidNotice | MoneyNotice | OtherNotice
) -> PaidNotice | MoneyNotice | OtherNotice | None:
    """The message as the channel's own answer bears it out, where it must; None: it does not, or not yet."""
    if not isinstance(notice, PaidNotice) or not channel.shape.confirms_by_query:
        return notice
    answer = await channel.query(notice.attempt_id)
    if answer.standing != "paid":
        return None
    return msgspec.structs.replace(notice, amount_fen=answer.amount_fen, transaction_id=answer.transaction_id)


def _subject(notice: PaidNotice | MoneyNotice | OtherNotice) -> str:
    match notice:
        case PaidNotice(attempt_id=attempt_id):
            return attempt_id
        case MoneyNotice(number=number):
            return number
        case OtherNotice(what=what):
            return what
