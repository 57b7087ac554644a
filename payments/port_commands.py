"""What payments is told to do. A command has a deterministic id and is applied once."""

from __future__ import annotations

from datetime import datetime

import msgspec

from payments.account import Told
from payments.money import Party


class Command(Told, frozen=True, kw_only=True):
    """Something payments is told to do with one intent."""

    intent_id: str


class Subsidy(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody else than the payer adds to an order: a coupon, a voucher. ``ref`` names it at the outside."""

    party: Party
    account_ref: str
    amount_fen: int
    ref: str


class OpenIntent(Command, frozen=True, kw_only=True, tag="OpenIntent"):
    """Take ``amount_fen`` into escrow from ``payer_ref``; ``channels`` in order of preference, tried one at a time.

    With subsidies the order is worth their sum more: a settlement may divide both. Beyond its discount the payer's
    money goes first; what is still missing, each subsidy's payer bears in turn: out of its own share, and beyond that
    it owes the receiver.
    """

    campus_id: str
    order_ref: str
    payer_ref: str
    amount_fen: int
    description: str
    channels: tuple[str, ...]
    expires_at: datetime
    #: For risk, where they are known: the payer's device and address, and proof that a challenge was met already.
    device_id: str | None = None
    ip: str | None = None
    challenge_token: str | None = None
    #: Where the payer's browser is, for a channel that asks for ``client_ip``; kept sealed, and not for risk.
    client_ip: str | None = None
    subsidies: tuple[Subsidy, ...] = ()


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver's part of a capture. ``account_ref`` names the runner or the campus; for the platform "platform"."""

    party: Party
    account_ref: str
    amount_fen: int


class Settle(Command, frozen=True, kw_only=True, tag="Settle"):
    """Capture the sum of the shares, give the rest of the hold back to the payer. Campus and platform are paid at once;
    a runner's part becomes available, and the institution keeps it until it is withdrawn. ``discount_fen``: so much of
    the shares the subsidies bear in any case, and that much more of the hold goes back to the payer.

    Where refunds have left less in the hold than the shares come to, each share is reduced in proportion; a hold that
    was refunded whole is settled at zero."""

    shares: tuple[Share, ...]
    at: datetime
    discount_fen: int = 0


class Release(Command, frozen=True, kw_only=True, tag="Release"):
    """Give everything back. An unpaid intent is cancelled; money that arrives for it later is given back by rule."""

    reason: str


class Refund(Command, frozen=True, kw_only=True, tag="Refund"):
    """Give money back, whole or in part: out of the hold before it is divided, from whoever got it afterwards. The
    institution's numbers are made from the order's, so that it can never be paid twice."""

    refund_id: str
    amount_fen: int
    reason: str
    operator: str = ""  # who decided it, where a person did; that needs a one-time code of theirs
    code_id: str = ""


AnyCommand = OpenIntent | Settle | Release | Refund
