"""What the outside says to payments about an account, and hears of it: withdrawals, their review, refunds to follow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from payments.money import Fen, Party

#: held: waits for a review · under_way: instructed · done: all of it is paid · failed: some or all of it went back to
#: what may be withdrawn · refused: a reviewer said no.
WithdrawalState = Literal["held", "under_way", "done", "failed", "refused"]

#: How a part of a refund comes about. held: given back out of the hold, before it was divided · dues: a runner's part
#: that was not withdrawn yet, given back out of the hold · take_back: taken back from its receiver, then given back ·
#: borne: whoever got it keeps it, the platform bears it · duplicate: a second payment, whole.
RefundPath = Literal["held", "dues", "take_back", "borne", "duplicate"]

#: taking_back: receivers are asked first · paying: on its way to the payer · done.
RefundState = Literal["taking_back", "paying", "done"]

#: Limits of withdrawals: each by its name, and what is said before the limit's figure.
WITHDRAWAL_RULES: Mapping[str, str] = {
    "one_at_a_time": "open withdrawals at once, at most",
    "available": "at most what is available, in fen",
    "least": "at least, in fen",
    "per_day": "withdrawals in 24 hours, at most",
    "amount_per_day": "left of what 24 hours allow, in fen",
    "whole_order": "not less for this order, in fen",
    "at_once": "at most at once, in fen",
}


# -- commands -----------------------------------------------------------------------------------------------------


class Told(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True, omit_defaults=True):
    """Something payments is told to do. Same ``id`` and same body: done once; same ``id``, other body: ValueError.

    What a command does not say is not part of its body, so that one of an earlier version is still the same one.
    """

    id: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"


class Withdraw(Told, frozen=True, kw_only=True, tag="Withdraw"):
    """Pay a runner this much of what is available; ``id`` names the withdrawal from then on. ``risk`` names the rule
    that wants a person to look first; "" when none does."""

    campus_id: str
    account_ref: str
    amount_fen: int
    requested_at: datetime
    risk: str = ""
    #: The one-time code that its person confirmed, where the amount needs one.
    code_id: str = ""


class ReviewWithdrawal(Told, frozen=True, kw_only=True, tag="ReviewWithdrawal"):
    """A person's verdict on a withdrawal that is held."""

    withdrawal_id: str
    verdict: Literal["approve", "refuse"]
    by: str
    reason: str


AccountCommand = Withdraw | ReviewWithdrawal


# -- events -------------------------------------------------------------------------------------------------------


class WithdrawalEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """Something that became true of a withdrawal. ``seq`` rises with the order in which events happened.

    ``is_automatic``: nobody asked for it; the institution holds a runner's part for so long and no longer.
    """

    seq: int
    id: str
    campus_id: str
    account_ref: str
    withdrawal_id: str
    amount_fen: Fen
    is_automatic: bool
    at: datetime


class WithdrawalHeld(WithdrawalEvent, frozen=True, kw_only=True, tag="WithdrawalHeld"):
    """It waits for a review: ``reason`` is "over_threshold", or the risk rule that said so."""

    reason: str


class WithdrawalToConfirm(WithdrawalEvent, frozen=True, kw_only=True, tag="WithdrawalToConfirm"):
    """Its person has to say yes to some of it at the provider's, within a day; told once."""


class Withdrawn(WithdrawalEvent, frozen=True, kw_only=True, tag="Withdrawn"):
    """The institution paid all of it."""


class WithdrawalFailed(WithdrawalEvent, frozen=True, kw_only=True, tag="WithdrawalFailed"):
    """The institution would not pay all of it, or a reviewer refused it: ``paid_fen`` is paid, the rest is available
    again."""

    paid_fen: Fen
    reason: str


AccountEvent = WithdrawalHeld | WithdrawalToConfirm | Withdrawn | WithdrawalFailed


# -- views --------------------------------------------------------------------------------------------------------


class WithdrawalView(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal as its runner or a reviewer may see it. ``parts``: how many orders it is paid out of."""

    withdrawal_id: str
    campus_id: str
    account_ref: str
    amount_fen: Fen
    paid_fen: Fen
    state: WithdrawalState
    is_automatic: bool
    risk: str
    reason: str
    reviewed_by: str
    review_reason: str
    requested_at: datetime
    finished_at: datetime | None
    parts: int


class ConfirmationView(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer to a person that waits until they say yes at the provider's. ``credential``: what their phone hands to
    the provider for it, with its ``kind``; for nobody else's eyes. ``withdrawal_id``: "" where a debt is paid."""

    number: str
    withdrawal_id: str
    channel: str
    amount_fen: Fen
    since: datetime
    credential: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"ConfirmationView({self.number})"


class RefundPart(msgspec.Struct, frozen=True, kw_only=True):
    """Whose money a part of a refund is, and the path that it takes; the payer's own while it is held."""

    path: RefundPath
    party: Party
    account_ref: str
    amount_fen: Fen


class RefundView(msgspec.Struct, frozen=True, kw_only=True):
    """A refund on its way, with the path of each part."""

    refund_id: str
    intent_id: str
    campus_id: str
    order_ref: str
    amount_fen: Fen
    state: RefundState
    parts: tuple[RefundPart, ...]
    reason: str
    asked_at: datetime
    due_by: datetime
    done_at: datetime | None
    is_overdue: bool
