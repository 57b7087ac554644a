"""Sensitive acts: what a one-time code is bound to, and which acts need one."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal

import msgspec

ActKind = Literal["withdraw", "change_payout_account", "operator_refund", "pay"]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What a code allows: this act, by this account, for this amount, to this target. ``account_ref`` also says who
    is sent the code."""

    kind: ActKind
    account_ref: str
    amount_fen: int = 0
    target: str = ""

    def hashed(self) -> str:
        """The same for the same act."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which amount an act needs a code; 0: always, None: never."""

    withdraw_from_fen: int | None = 20_000
    operator_refund_from_fen: int | None = 0
    change_payout_account: bool = True

    def apply_to(self, act: Act) -> bool:
        """Whether this act needs a code."""
        match act.kind:
            case "withdraw":
                return self.withdraw_from_fen is not None and act.amount_fen >= self.withdraw_from_fen
            case "operator_refund":
                return self.operator_refund_from_fen is not None and act.amount_fen >= self.operator_refund_from_fen
            case "change_payout_account":
                return self.change_payout_account
            case "pay":
                return True


#: Nothing needs a code.
NO_CODES = Thresholds(withdraw_from_fen=None, operator_refund_from_fen=None, change_payout_account=False)


class CodeSent(msgspec.Struct, frozen=True, kw_only=True):
    """A code is on its way; it comes back together with this id."""

    code_id: str
    expires_at: datetime


class GivenCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code as the one who was sent it gives it back."""

    code_id: str
    code: str

    def __repr__(self) -> str:
        return f"GivenCode({self.code_id})"
