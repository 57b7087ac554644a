"""One try on one channel: its record and the one table of its moves."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from payments.money import Fen
from payments.outcomes import Capabilities


class AttemptState(StrEnum):
    """Where an attempt stands. The first four are alive: an intent has at most one of those, kept by an index."""

    CREATING = "creating"  # the row exists, the provider's answer does not
    ISSUED = "issued"  # the payer may hold the credential
    CLOSING = "closing"  # we want it dead; only the provider's own word proves that it is
    UNKNOWN = "unknown"  # a direct debit without an answer
    ABANDONED = "abandoned"  # no credential in time; it was never delivered, so nobody can pay
    DECLINED = "declined"  # the provider said no; another channel may be tried
    REFUSED = "refused"  # the provider judged the order; no other channel may be tried
    CLOSED = "closed"  # proved dead
    PAID = "paid"  # it paid the intent
    PAID_DUPLICATE = "paid_duplicate"  # paid, but another attempt had paid the intent already
    REFUNDED = "refunded"  # a duplicate that was given back


LIVE = frozenset({AttemptState.CREATING, AttemptState.ISSUED, AttemptState.CLOSING, AttemptState.UNKNOWN})
WITH_MONEY = frozenset({AttemptState.PAID, AttemptState.PAID_DUPLICATE, AttemptState.REFUNDED})

_S = AttemptState

#: What may happen to an attempt. Proof of payment is accepted in every state that has not got it yet: no state of ours
#: can make money undone that the provider has.
MOVES: dict[tuple[AttemptState, str], AttemptState] = {
    (_S.CREATING, "issued"): _S.ISSUED,
    (_S.CREATING, "not_issued"): _S.ABANDONED,
    (_S.CREATING, "declined"): _S.DECLINED,
    (_S.CREATING, "refused"): _S.REFUSED,
    (_S.CREATING, "unanswered"): _S.UNKNOWN,
    (_S.ISSUED, "close"): _S.CLOSING,
    (_S.ISSUED, "proved_dead"): _S.CLOSED,
    (_S.CLOSING, "proved_dead"): _S.CLOSED,
    (_S.UNKNOWN, "proved_dead"): _S.CLOSED,
    (_S.ABANDONED, "proved_dead"): _S.CLOSED,
    (_S.PAID_DUPLICATE, "refunded"): _S.REFUNDED,
    **{(state, "paid"): _S.PAID for state in _S if state not in WITH_MONEY},
    **{(state, "paid_again"): _S.PAID_DUPLICATE for state in _S if state not in WITH_MONEY},
}


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try. ``seen`` is the newest thing learnt while closing: a standing, "close_sent", or ""."""

    id: str
    intent_id: str
    number: int
    channel: str
    state: AttemptState
    amount_fen: Fen
    created_at: datetime
    changed_at: datetime
    expires_at: datetime
    dead_after: datetime
    ask_at: datetime
    asks: int = 0
    seen: str = ""
    reason: str = ""
    transaction_id: str = ""
    credential: dict[str, Any] | None = None

    @property
    def is_live(self) -> bool:
        return self.state in LIVE


def attempt_id(intent_id: str, number: int) -> str:
    """An id that every provider takes as an order number: 8 to 29 of [0-9A-Za-z], and room for a two-letter suffix.

    >>> attempt_id("int_01J8ZQ4Y5T6V7W8X9Y0Z1A2B3C", 2)
    '01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA02'
    """
    assert 1 <= number <= 99, "two digits"
    tail = intent_id.rpartition("_")[2]
    if not re.fullmatch(r"[0-9A-Z]{26}", tail):
        tail = hashlib.sha256(intent_id.encode()).hexdigest()[:26]
    return f"{tail}A{number:02d}"


def open_attempt(
    *, intent_id: str, number: int, amount_fen: Fen, intent_expires_at: datetime, shape: Capabilities, now: datetime
) -> Attempt:
    """The row that is committed before any network: from here on the provider can be asked by our own number."""
    expires_at = min(intent_expires_at, now + timedelta(seconds=shape.expiry_max_s))
    dead_from = now if shape.is_direct_debit else expires_at
    return Attempt(
        id=attempt_id(intent_id, number),
        intent_id=intent_id,
        number=number,
        channel=shape.code,
        state=AttemptState.CREATING,
        amount_fen=amount_fen,
        created_at=now,
        changed_at=now,
        expires_at=expires_at,
        dead_after=dead_from + timedelta(seconds=shape.expiry_margin_s),
        ask_at=now,
    )


def moved(attempt: Attempt, happening: str, now: datetime, **changes: Any) -> Attempt | None:
    """The attempt after ``happening``, or None when that may not happen (any more): the late-comer is discarded."""
    state = MOVES.get((attempt.state, happening))
    if state is None:
        return None
    return msgspec.structs.replace(attempt, state=state, changed_at=now, **changes)
