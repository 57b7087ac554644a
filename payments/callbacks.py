"""A provider calls: verified, remembered and booked in one transaction, then answered: accepted, or call again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from payments.booking import Booking, NewId
from payments.channels.base import Channel
from payments.outcomes import BadNotice
from payments.port import CallbackReply
from payments.store.unit_of_work import Store, UnitOfWork

log = logging.getLogger(__name__)


async def take_callback(
    store: Store, channel: Channel, headers: Mapping[str, str], body: bytes, now: Callable[[], datetime], new_id: NewId
) -> CallbackReply:
    """Accepted only once it is on disk; a duplicate payment is accepted too, or it would be sent for ever."""
    notice = channel.read_callback(headers, body)
    if isinstance(notice, BadNotice):
        log.warning("refused a callback of %s: %s", channel.shape.code, notice.reason)
        return channel.reply(is_accepted=False)

    def book(uow: UnitOfWork) -> bool:
        attempt = uow.attempts.get(notice.attempt_id)
        if attempt is None or attempt.channel != channel.shape.code:
            return False
        if uow.inbox.is_new_notice(channel.shape.code, notice.notice_id, attempt.id, now()):
            Booking(uow, now(), new_id).paid(attempt, notice.amount_fen, notice.transaction_id)
        return True

    is_accepted = await store.run(book)
    if not is_accepted:
        log.warning("%s speaks of an order that it never got: %s", channel.shape.code, notice.attempt_id)
    return channel.reply(is_accepted=is_accepted)
