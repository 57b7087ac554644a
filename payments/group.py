"""Split groups, pure: an amount over a channel's limit is paid in parts that are one payment: all of it, or refund.

The parent is never paid itself. Each part is an intent of its own with its own attempts and its own first proof; the
parts are paid one after the other, and what the parent is, is a function of its parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from payments.failover import Phase
from payments.money import Fen
from payments.outcomes import Receiver
from payments.port import HoldState
from payments.states import Facts

#: Nobody pays more parts than this one after the other; a larger amount is refused.
MOST_PARTS = 20
#: Why the paid parts go back.
PART_UNPAID = "part_unpaid"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What the group's decisions need of one part."""

    number: int
    amount_fen: Fen
    phase: Phase = "open"
    hold: HoldState = "none"
    is_paid: bool = False
    is_started: bool = False
    #: A provider judged it: no other channel may be tried, and splitting is no way around a verdict.
    is_refused: bool = False
    is_busy: bool = False
    is_suspicious: bool = False
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Nothing more can come of it: it was cancelled unpaid, or its money is back."""
        return self.hold == "released" if self.is_paid else self.phase == "cancelled"


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """What the group's decisions need of the parent."""

    phase: Phase
    is_paid: bool
    expires_at: datetime


# -- steps --------------------------------------------------------------------------------------------------------


class Start(msgspec.Struct, frozen=True):
    """Let this part be paid now."""

    part: int


class PayParent(msgspec.Struct, frozen=True):
    """Every part is held: the payment as a whole is."""


class FailParent(msgspec.Struct, frozen=True):
    """The payer is told that it cannot be paid (as things are)."""

    reason: str


class ReopenParent(msgspec.Struct, frozen=True):
    """The payer chose another channel for the part that had failed."""


class Dissolve(msgspec.Struct, frozen=True):
    """These parts end: unpaid ones are cancelled, paid ones go back to the payer."""

    parts: tuple[int, ...]
    reason: str


class FinishParent(msgspec.Struct, frozen=True):
    """It was cancelled, and nothing of it is left anywhere."""


class WaitForParts(msgspec.Struct, frozen=True):
    """Nothing to do before ``until`` (None: before a part changes)."""

    until: datetime | None


GroupStep = Start | PayParent | FailParent | ReopenParent | Dissolve | FinishParent | WaitForParts


def decide(parent: Parent, parts: Sequence[Part], now: datetime) -> GroupStep:
    """What the group does next; the group's timer is ``expires_at`` of the parent."""
    if parent.is_paid:
        return WaitForParts(None)
    if parent.phase in ("open", "failed") and all(part.hold == "held" for part in parts):
        return PayParent()
    is_refused = any(part.is_refused for part in parts)
    is_lost = now >= parent.expires_at or is_refused
    if parent.phase == "open" and is_lost:
        reason = next((part.reason for part in parts if part.is_refused), "expired")
        return FailParent(PART_UNPAID if reason == "expired" and any(part.is_paid for part in parts) else reason)
    if parent.phase in ("cancelling", "cancelled") or is_lost:
        return _dissolve(parent, parts)
    current = next(part for part in parts if part.hold == "none")
    if parent.phase == "failed":
        return ReopenParent() if current.phase == "open" else WaitForParts(parent.expires_at)
    if current.phase != "open":
        return FailParent(current.reason or "no_channel")
    return WaitForParts(parent.expires_at) if current.is_started else Start(current.number)


def _dissolve(parent: Parent, parts: Sequence[Part]) -> GroupStep:
    left = [
        part.number for part in parts if part.hold == "held" or (not part.is_paid and part.phase in ("open", "failed"))
    ]
    if left:
        return Dissolve(tuple(left), PART_UNPAID)
    if parent.phase == "cancelling" and all(part.is_over for part in parts):
        return FinishParent()
    return WaitForParts(None)


def facts(parent: Parent, parts: Sequence[Part]) -> Facts:
    """What the outward state of the whole depends on."""
    return Facts(
        is_paid=parent.is_paid,
        is_suspicious=any(part.is_suspicious for part in parts),
        is_over=parent.phase in ("failed", "cancelled"),
        is_busy=any(part.is_paid or part.is_busy for part in parts),
    )


# -- dividing -----------------------------------------------------------------------------------------------------


def parts_of(amount_fen: Fen, limit_fen: Fen) -> tuple[Fen, ...]:
    """The fewest parts within the limit, as equal as can be, larger ones first. ValueError: too many of them.

    >>> parts_of(Fen(150_000), Fen(100_000)), parts_of(Fen(200_001), Fen(100_000)), parts_of(Fen(5), Fen(5))
    ((75000, 75000), (66667, 66667, 66667), (5,))
    """
    count = -(-amount_fen // limit_fen)
    if count > MOST_PARTS:
        raise ValueError(f"amount_fen: {amount_fen} fen would take {count} payments of {limit_fen} fen")
    small_fen, larger = divmod(amount_fen, count)
    return tuple(Fen(small_fen + (number < larger)) for number in range(count))


def divide_shares(receivers: Sequence[Receiver], amounts: Sequence[Fen]) -> list[tuple[Receiver, ...]]:
    """Each receiver's share over the parts, in proportion, exact to the fen on both sides: every receiver gets its
    whole share, and no part pays out more than it holds. Parts of zero are left out."""
    total_fen = sum(amounts)
    shares = [receiver.amount_fen for receiver in receivers]
    rest_fen = total_fen - sum(shares)
    assert rest_fen >= 0, "more shares than the group holds"
    rows = [*shares, rest_fen]
    cells = [[row_fen * amount_fen // total_fen for amount_fen in amounts] for row_fen in rows]
    # What rounding down left over, by row and by column, adds up to the same: filled from the corner.
    short_rows = [row_fen - sum(cells[index]) for index, row_fen in enumerate(rows)]
    short_columns = [amount_fen - sum(row[column] for row in cells) for column, amount_fen in enumerate(amounts)]
    column = 0
    for index, short_fen in enumerate(short_rows):
        while short_fen > 0:
            while short_columns[column] == 0:
                column += 1
            fill_fen = min(short_fen, short_columns[column])
            cells[index][column] += fill_fen
            short_columns[column] -= fill_fen
            short_fen -= fill_fen
    return [
        tuple(
            msgspec.structs.replace(receiver, amount_fen=Fen(cells[index][column]))
            for index, receiver in enumerate(receivers)
            if cells[index][column]
        )
        for column in range(len(amounts))
    ]


def divide_refund(amount_fen: Fen, left_fen: Sequence[Fen]) -> list[Fen]:
    """What of a refund comes out of each part, the first parts first; never more than a part has left."""
    taken: list[Fen] = []
    for part_fen in left_fen:
        take_fen = min(part_fen, amount_fen)
        taken.append(Fen(take_fen))
        amount_fen = Fen(amount_fen - take_fen)
    assert amount_fen == 0, "more than the parts have left"
    return taken
