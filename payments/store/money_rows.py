"""The rows of money out: a runner's due, a withdrawal, a refund, a subsidy."""

from __future__ import annotations

from datetime import datetime

import msgspec

from payments.account import RefundPart, RefundState, WithdrawalState
from payments.money import Fen, Party


class SubsidyRow(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody adds to an intent; ``used_fen`` is what its settlement took of it."""

    intent_id: str
    part: int
    party: Party
    account_ref: str
    amount_fen: Fen
    ref: str
    used_fen: Fen = Fen(0)


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A runner's part of one order: ``left_fen`` of it is with the institution and not instructed yet.

    ``pay_by`` is when it is paid without being asked for; ``auto_at`` when that is tried (next), None: never again.
    """

    attempt_id: str
    account_ref: str
    intent_id: str
    campus_id: str
    channel: str
    amount_fen: Fen
    left_fen: Fen
    due_since: datetime
    pay_by: datetime
    auto_at: datetime | None


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A runner's wish to be paid, or the end of the institution's patience."""

    id: str
    campus_id: str
    account_ref: str
    amount_fen: Fen
    state: WithdrawalState
    requested_at: datetime
    created_at: datetime
    paid_fen: Fen = Fen(0)
    is_automatic: bool = False
    risk: str = ""
    reason: str = ""
    reviewed_by: str = ""
    review_reason: str = ""
    finished_at: datetime | None = None


class RefundRow(msgspec.Struct, frozen=True, kw_only=True):
    """Money on its way back to a payer, and the path of each of its parts."""

    id: str
    intent_id: str
    attempt_id: str
    channel: str
    campus_id: str
    order_ref: str
    amount_fen: Fen
    state: RefundState
    parts: tuple[RefundPart, ...]
    reason: str
    asked_at: datetime
    due_by: datetime
    done_at: datetime | None = None
    is_overdue: bool = False

    def of_path(self, *paths: str) -> Fen:
        """What goes by these paths."""
        return Fen(sum(part.amount_fen for part in self.parts if part.path in paths))
