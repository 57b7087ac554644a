"""What payments tells. An event stays on offer until it is acknowledged: whoever applies it keeps its id."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from payments.guards.risk import Challenge, Decision
from payments.money import Fen, Party


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """Something that became true. ``seq`` rises with the order in which one intent's events happened."""

    seq: int
    id: str
    intent_id: str
    campus_id: str
    order_ref: str
    at: datetime


class IntentReady(Event, frozen=True, kw_only=True, tag="IntentReady"):
    """The payer can pay now, with this credential. Sent again with another one when the channel was switched, and for
    each part of an amount that is over the channel's limit: ``part`` of ``parts`` is to be paid next."""

    channel: str
    credential: dict[str, Any]
    part: int = 1
    parts: int = 1


class IntentFailed(Event, frozen=True, kw_only=True, tag="IntentFailed"):
    """Every way to pay this intent is dead and nobody has paid: declined everywhere, refused, or expired unpaid. Before
    ``expires_at`` the payer may still choose a channel, which opens it again."""

    reason: str


class Paid(Event, frozen=True, kw_only=True, tag="Paid"):
    """The whole amount is held by the institution. Happens at most once per intent. It may come after
    ``IntentFailed`` or after ``Release``: money that the provider has cannot be made undone. In the second case it is
    given back by rule, and ``Released`` follows."""

    amount_fen: Fen
    channel: str
    attempt_id: str


class Settled(Event, frozen=True, kw_only=True, tag="Settled"):
    """Every share is paid out or available, and the rest is back with the payer: the escrow of this intent is at zero.
    ``captured_fen`` counts the payer's money alone, no subsidy."""

    captured_fen: Fen
    released_fen: Fen


class Released(Event, frozen=True, kw_only=True, tag="Released"):
    """The hold is back with the payer; 0 fen when there never was one."""

    amount_fen: Fen


class Refunded(Event, frozen=True, kw_only=True, tag="Refunded"):
    """Money is back with the payer; ``is_from_hold``: it was given back before it was divided (the intent counts it as
    released), otherwise it had been captured."""

    refund_id: str
    amount_fen: Fen
    is_from_hold: bool = False


class RefundOverdue(Event, frozen=True, kw_only=True, tag="RefundOverdue"):
    """A refund is not with the payer by its deadline. It goes on; an operator should look. Told once."""

    refund_id: str
    amount_fen: Fen


class HoldExpiring(Event, frozen=True, kw_only=True, tag="HoldExpiring"):
    """The institution has held this much of the order for 25 days and lets go of it at ``expires_at``. What runners
    have not withdrawn is paid to them now; what is not settled (``is_settled`` False) needs an operator."""

    held_fen: Fen
    expires_at: datetime
    is_settled: bool


class SubsidyOwed(Event, frozen=True, kw_only=True, tag="SubsidyOwed"):
    """The payer of a subsidy (``party``, ``account_ref``) owes the receiver this much beyond its own share, and the
    order's channel cannot transfer it: somebody has to pay it another way."""

    party: Party
    account_ref: str
    receiver_ref: str
    amount_fen: Fen
    ref: str


class PayoutFailed(Event, frozen=True, kw_only=True, tag="PayoutFailed"):
    """The institution would not pay this receiver now. It is tried again; an operator should look."""

    party: Party
    account_ref: str
    reason: str


class ReleaseFailed(Event, frozen=True, kw_only=True, tag="ReleaseFailed"):
    """The institution would not give the rest back now. It is tried again; an operator should look."""

    reason: str


class Suspicious(Event, frozen=True, kw_only=True, tag="Suspicious"):
    """The books and the evidence disagree, or there is no proof after 24 h. An operator must look."""

    reason: str


class RiskJudged(Event, frozen=True, kw_only=True, tag="RiskJudged"):
    """Risk objects to an intent: nobody can pay it until the challenge is met, somebody reviewed it, or at all."""

    verdict_id: str
    decision: Decision
    code: str
    challenge: Challenge | None = None
    parameters: dict[str, int | str] = {}


class Alarm(Event, frozen=True, kw_only=True, tag="Alarm"):
    """Something is wrong with the payments of a campus, or of all ("" as ``campus_id``), not with one order: intent
    and order are "". ``kind`` with ``parameters`` says what, ``subject`` where; ``times`` counts up while it lasts."""

    alarm_id: str
    kind: str
    subject: str
    step: int
    parameters: dict[str, str | int]
    times: int
    opened_at: datetime


class AlarmOver(Event, frozen=True, kw_only=True, tag="AlarmOver"):
    """An alarm's cause is gone."""

    alarm_id: str
    kind: str
    subject: str
    parameters: dict[str, str | int]


AnyEvent = (
    IntentReady
    | IntentFailed
    | Paid
    | Settled
    | Released
    | Refunded
    | RefundOverdue
    | HoldExpiring
    | SubsidyOwed
    | PayoutFailed
    | ReleaseFailed
    | Suspicious
    | Alarm
    | AlarmOver
    | RiskJudged
)
