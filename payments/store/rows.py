"""The rows that are more than an attempt: an intent with its hold, and an instruction to the institution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from payments.failover import Intent
from payments.money import Fen
from payments.outcomes import Receiver
from payments.port import HoldState

R = TypeVar("R", bound=msgspec.Struct)

#: split: a settlement's parts to their receivers · withdraw: a runner's part, when it is withdrawn · release: the rest
#: of a hold to the payer · give_back: a part of what is not split · refund: what was split, at the merchant's expense ·
#: take_back: a receiver's part back into the hold · transfer: from the merchant to a person.
InstructionKind = Literal[
    "split", "release", "refund", "refund_duplicate", "withdraw", "give_back", "take_back", "transfer"
]


class IntentRow(Intent, frozen=True, kw_only=True):
    """An intent with everything about its hold."""

    campus_id: str
    order_ref: str
    payer_ref: str
    description: str
    created_at: datetime
    hold_state: HoldState = "none"
    is_settling: bool = False
    captured_fen: Fen = Fen(0)
    released_fen: Fen = Fen(0)
    refunded_fen: Fen = Fen(0)
    reason: str = ""
    #: Of a split group: part 0 is the parent, 1 and up are its children; None: an intent of its own.
    parent_intent_id: str | None = None
    part: int | None = None


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """Something the institution is told to do with money, repeated under the same number until it is done.

    The same number always goes with the same receivers; ``finished`` are the accounts among them whose outcome is
    booked. ``is_reported``: somebody was told that it does not go smoothly; once is enough. ``subject``: the refund or
    the withdrawal that it belongs to, or "". ``undoes``: the number of the split that a take_back undoes.
    ``confirm``: with what its payee says yes at the provider's; nobody else is shown it. ``confirm_by``: that payee's
    account, from then on when it was first waited for.
    """

    id: str
    intent_id: str
    attempt_id: str
    channel: str
    kind: InstructionKind
    amount_fen: Fen
    created_at: datetime
    due_at: datetime | None
    receivers: tuple[Receiver, ...] = ()
    finished: tuple[str, ...] = ()
    reason: str = ""
    is_done: bool = False
    is_reported: bool = False
    tries: int = 0
    subject: str = ""
    undoes: str = ""
    confirm: Mapping[str, Any] | None = None
    confirm_by: str = ""

    def __repr__(self) -> str:
        return f"Instruction({self.kind} {self.id})"


def to_record(kind: type[R], values: Iterable[Any]) -> R:
    """The record of a row whose columns were selected in the order of the record's fields."""
    return msgspec.convert(dict(zip(kind.__struct_fields__, values, strict=True)), kind)
