"""What reconciliation shows: a day's run, and an item of work; the rows are kept in the same shape."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

from payments.money import Fen

#: paid_there_not_here: money that we do not know of · paid_here_not_there: money that we believe to be there ·
#: amount_differs · state_differs: given back, split or paid to a person on one side alone · twice: one thing was
#: paid two times.
MismatchKind = Literal["paid_there_not_here", "paid_here_not_there", "amount_differs", "state_differs", "twice"]

#: How it came to differ, as far as the books can tell.
Cause = Literal[
    "not_booked",  # ours, and not booked here
    "unknown_number",  # no number of ours
    "missing",  # booked here, on no bill
    "amount",  # one movement, two amounts
    "more_there",  # more of a split's receivers are paid there than here
    "less_there",  # more of them are paid here than there
    "bill_contradicts_itself",  # its trades and its flows name different amounts
    "second_attempt",  # another attempt has paid the intent already
    "charged_twice",  # one number, two payments
    "returned_twice",  # one number, two refunds
    "transferred_twice",  # one number, two payments to a person
]

#: book_payment: ask the provider, and book by the compare-and-set that every proof of payment goes through; a second
#: payment is given back by it · wake: the instruction is still to be done here, so it is done now, under its number ·
#: ask_again: the same number once more, which repeats the question and never the money · person: a work item.
Repair = Literal["book_payment", "wake", "ask_again", "person"]

#: A kind of movement, as bills have it.
MovementKind = Literal["paid", "refunded", "split", "taken_back", "transferred", "fee"]

#: waiting: the bill is not there yet · agreed · differing · given_up: no bill came; somebody may ask again.
RunState = Literal["waiting", "agreed", "differing", "given_up"]

#: repairing: the machine is at it · repaired: by the machine, or it went away · open: somebody must look · taken:
#: somebody does · closed: by that somebody, with a reason.
ItemState = Literal["repairing", "repaired", "open", "taken", "closed"]

#: What still needs a person.
UNFINISHED: tuple[ItemState, ...] = ("open", "taken")


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a day."""

    paid_fen: Fen = Fen(0)
    refunded_fen: Fen = Fen(0)
    split_fen: Fen = Fen(0)
    taken_back_fen: Fen = Fen(0)
    transferred_fen: Fen = Fen(0)


class BothSums(msgspec.Struct, frozen=True, kw_only=True):
    """The day by the bill and by our books. They may differ by what happened around midnight without any mismatch."""

    theirs: Sums = Sums()
    ours: Sums = Sums()


class ReconciliationView(msgspec.Struct, frozen=True, kw_only=True):
    """One channel's day. ``digest`` is the bill's; ``lines`` its movements, ``mismatches`` all that were ever found."""

    id: str
    channel: str
    day: date
    state: RunState
    tries: int = 0
    reason: str = ""
    digest: str = ""
    lines: int = 0
    mismatches: int = 0
    sums: BothSums = BothSums()
    ran_at: datetime | None = None
    due_at: datetime | None = None


class WorkItemView(msgspec.Struct, frozen=True, kw_only=True):
    """One difference, for good. ``handler`` is who took or closed it; ``reason`` what the machine or they say."""

    id: str
    run_id: str
    channel: str
    day: date
    kind: MismatchKind
    cause: Cause
    what: MovementKind
    number: str
    attempt_id: str
    intent_id: str
    campus_id: str
    order_ref: str
    ours_fen: Fen
    theirs_fen: Fen
    transaction_id: str
    repair: Repair
    state: ItemState
    found_at: datetime
    changed_at: datetime
    tries: int = 0
    reason: str = ""
    handler: str = ""
    due_at: datetime | None = None


def run_id(channel: str, day: date) -> str:
    """The run of a channel's day.

    >>> run_id("sandbox", date(2026, 3, 2))
    'sandbox-2026-03-02'
    """
    return f"{channel}-{day.isoformat()}"
