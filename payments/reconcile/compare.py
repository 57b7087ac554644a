"""A provider's bill against our books, both ways and line by line: five kinds of mismatch, each with what mends it.

What they have and we do not is looked for whatever day we booked it on. What we have and they do not is looked for in
every bill there is, and is judged only once the bill of each day that it could stand on is known: our movements from
``EDGE`` before a day's begin until ``EDGE`` before its end are judged with that day's bill, so each of them is judged
once, and a payment a second before midnight may stand on either side of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, tzinfo

import msgspec

from payments.money import Fen
from payments.outcomes import Bill, BillKind, BillLine
from payments.reconcile.business_day import bounds
from payments.reconcile.view import Cause, MismatchKind, Repair

REPAIRS: Mapping[tuple[MismatchKind, Cause], Repair] = {
    ("paid_there_not_here", "not_booked"): "book_payment",
    ("paid_there_not_here", "unknown_number"): "person",
    ("paid_here_not_there", "missing"): "ask_again",
    ("amount_differs", "amount"): "person",
    ("amount_differs", "more_there"): "wake",
    ("amount_differs", "less_there"): "ask_again",
    ("amount_differs", "bill_contradicts_itself"): "person",
    ("state_differs", "not_booked"): "wake",
    ("state_differs", "unknown_number"): "person",
    ("state_differs", "missing"): "ask_again",
    ("twice", "second_attempt"): "book_payment",
    ("twice", "charged_twice"): "person",
    ("twice", "returned_twice"): "person",
    ("twice", "transferred_twice"): "person",
}

#: How far the two sides may differ about when something happened (the provider's day may end before midnight, too).
EDGE = timedelta(hours=3)

#: What a movement of the ledger is called on a bill; entries of other kinds are our own affair.
BOOKED_KINDS: Mapping[str, BillKind] = {
    "pay_in": "paid",
    "duplicate": "paid",
    "pay_out": "refunded",
    "duplicate_back": "refunded",
    "capture": "split",
    "withdraw": "split",
    "take_back": "taken_back",
    "transfer": "transferred",
}

#: A movement's name: what it is, and its number.
Key = tuple[BillKind, str]


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """What one day's bill says of one movement: the sum of its lines."""

    kind: BillKind
    number: str
    attempt_id: str
    amount_fen: Fen
    lines: int
    transaction_id: str = ""
    at: datetime | None = None
    #: The sum that the flows name, where they differ from the trades.
    flow_fen: Fen | None = None

    @property
    def key(self) -> Key:
        return self.kind, self.number


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ours that moved money at the institution. ``is_billed``: it certainly stands on a bill; what a
    receiver has who is the merchant itself may not."""

    kind: BillKind
    number: str
    attempt_id: str
    amount_fen: Fen
    at: datetime
    is_billed: bool = True

    @property
    def key(self) -> Key:
        return self.kind, self.number

    @property
    def order_key(self) -> Key:
        return self.kind, self.attempt_id


class AttemptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What judging needs of an attempt; ``is_intent_paid``: another one of the intent has paid it."""

    intent_id: str
    channel: str
    amount_fen: Fen
    is_intent_paid: bool


class InstructionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What judging needs of an instruction."""

    channel: str
    amount_fen: Fen


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """Our side: whatever the bill names, and every movement of the time that is judged."""

    attempts: Mapping[str, AttemptFacts]
    instructions: Mapping[str, InstructionFacts]
    booked: tuple[Booked, ...]


class OtherDays(msgspec.Struct, frozen=True, kw_only=True):
    """What the bills of other days say of the numbers of this one: their sums, and what went back of each attempt
    under numbers that are not ours."""

    sums: Mapping[Key, Fen] = {}
    returned: Mapping[str, Fen] = {}


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A difference, named; both sums in fen."""

    kind: MismatchKind
    cause: Cause
    what: BillKind
    number: str
    attempt_id: str
    ours_fen: Fen
    theirs_fen: Fen
    transaction_id: str = ""

    @property
    def repair(self) -> Repair:
        return REPAIRS[self.kind, self.cause]


# -- the bill -----------------------------------------------------------------------------------------------------


def billed_of(bill: Bill) -> list[Billed]:
    """The bill's movements, one per kind and number. Fees belong to nobody's order. What was paid and given back is
    what the trades say: the flows may name it under another number or on another day, and only contradict them."""
    trades = _sums(bill.trades)
    flows = _sums(bill.flows or ())
    for key, trade in trades.items():
        flow = flows.pop(key, None)
        if flow is not None and flow.amount_fen != trade.amount_fen:
            trades[key] = msgspec.structs.replace(trade, flow_fen=flow.amount_fen)
    return [*trades.values(), *(flow for flow in flows.values() if flow.kind not in _OF_TRADES)]


#: What every bill shows; anything else only where the provider makes a bill of the funds, too.
_OF_TRADES: frozenset[BillKind] = frozenset({"paid", "refunded"})
_OF_FLOWS: frozenset[BillKind] = frozenset({"split", "taken_back", "transferred"})


def shown_kinds(bill: Bill) -> frozenset[BillKind]:
    """What must be on this bill if it happened."""
    others: frozenset[BillKind] = frozenset(line.kind for line in bill.trades) if bill.flows is None else _OF_FLOWS
    return _OF_TRADES | (others & _OF_FLOWS)


def _sums(lines: Iterable[BillLine]) -> dict[Key, Billed]:
    sums: dict[Key, Billed] = {}
    for line in lines:
        if line.kind == "fee":
            continue
        before = sums.get((line.kind, line.number))
        sums[line.kind, line.number] = Billed(
            kind=line.kind,
            number=line.number,
            attempt_id=line.attempt_id,
            amount_fen=Fen(line.amount_fen + (before.amount_fen if before else 0)),
            # What came back undoes one that went.
            lines=(1 if line.amount_fen >= 0 else -1) + (before.lines if before else 0),
            transaction_id=line.transaction_id,
            at=line.at,
        )
    return sums


def digest(bill: Bill) -> str:
    """The same for two bills that say the same, in whatever order."""
    lines = sorted(msgspec.json.encode(line) for line in (*bill.trades, *(bill.flows or ())))
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


# -- judging ------------------------------------------------------------------------------------------------------


def judged_span(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Which of our movements are judged with that day's bill."""
    begin, end = bounds(day, zone)
    return begin - EDGE, end - EDGE


def of_this_channel(channel: str, bill: Iterable[Billed], ours: Ours) -> list[Billed]:
    """The bill without what we did by another channel of the same merchant: that is judged with that channel's."""

    def is_elsewhere(line: Billed) -> bool:
        known = ours.instructions.get(line.number) or ours.attempts.get(line.number)
        return known is not None and known.channel != channel

    return [line for line in bill if not is_elsewhere(line)]


def reversed_attempts(bill: Iterable[Billed], other: OtherDays, ours: Ours) -> frozenset[str]:
    """Attempts that were paid and given back by the provider itself, as when a debit without an answer is reversed:
    nothing of that is booked here, and nothing is missing."""
    booked = {row.attempt_id for row in ours.booked if row.kind == "paid"}
    paid: dict[str, int] = {}
    back: dict[str, int] = {}
    for line in bill:
        if line.kind == "paid":
            paid[line.number] = line.amount_fen
        elif line.kind == "refunded" and line.number not in ours.instructions:
            back[line.attempt_id] = back.get(line.attempt_id, 0) + line.amount_fen
    result = set()
    for name in {*paid, *back} - booked:
        paid_fen = paid.get(name, 0) + other.sums.get(("paid", name), 0)
        if name in ours.attempts and 0 < paid_fen == back.get(name, 0) + other.returned.get(name, 0):
            result.add(name)
    return frozenset(result)


def compare(
    bill: Iterable[Billed],
    other: OtherDays,
    ours: Ours,
    span: tuple[datetime, datetime],
    shown: frozenset[BillKind],
    reversed_there: frozenset[str] = frozenset(),
) -> list[Mismatch]:
    """Every mismatch of one day of a channel. ``span`` is the time whose movements of ours must be on a bill by now,
    if they are of a kind that is ``shown`` on it."""
    booked = _Books(ours.booked)
    paid_intents: set[str] = set()
    found: list[Mismatch] = []
    named: set[Key] = set()
    for line in bill:
        named.add(line.key)
        if line.kind in _OF_TRADES and line.attempt_id in reversed_there:
            continue
        theirs_fen = Fen(line.amount_fen + other.sums.get(line.key, 0))
        verdict = _verdict(line, theirs_fen, ours, booked, paid_intents)
        if verdict is None and booked.fen_before(line.key, span[1]) > theirs_fen:
            verdict = "amount_differs", "less_there"
        if verdict is not None:
            found.append(_mismatch(verdict, line, booked.fen(line.key), theirs_fen))
    for row in booked.within(span):
        # A provider may name a split by its order alone.
        key = row.key if row.key in named or row.key in other.sums else row.order_key
        theirs_fen = other.sums.get(key, Fen(0))
        ours_fen = booked.fen_before(key if theirs_fen else row.key, span[1])
        if row.kind not in shown or key in named or ours_fen <= theirs_fen:
            continue
        if theirs_fen > 0 and row.kind != "split":
            continue  # It moves once, so the bill that has it has judged it.
        # One name for one difference, whichever day finds it: the bill's, once it has one.
        named_row = msgspec.structs.replace(row, number=key[1]) if theirs_fen else row
        found.append(_mismatch(_missing(row, theirs_fen), named_row, ours_fen, theirs_fen))
    return found


class _Books:
    """Our movements by their names; splits also by their order's, for bills that know no other."""

    def __init__(self, booked: Iterable[Booked]) -> None:
        self._rows: dict[Key, list[Booked]] = {}
        self._by_order: dict[Key, list[Booked]] = {}
        for row in booked:
            self._rows.setdefault(row.key, []).append(row)
            if row.kind in _OF_FLOWS:
                self._by_order.setdefault(row.order_key, []).append(row)

    def fen(self, key: Key) -> Fen:
        return Fen(sum(row.amount_fen for row in self._of(key)))

    def fen_before(self, key: Key, until: datetime) -> Fen:
        """What must be on a bill by now."""
        return Fen(sum(row.amount_fen for row in self._of(key) if row.at < until and row.is_billed))

    def within(self, span: tuple[datetime, datetime]) -> list[Booked]:
        """One row of each movement, some of which happened in that time."""
        firsts = (
            next((row for row in rows if span[0] <= row.at < span[1] and row.is_billed), None)
            for rows in self._rows.values()
        )
        return [row for row in firsts if row is not None]

    def _of(self, key: Key) -> list[Booked]:
        return self._rows.get(key) or self._by_order.get(key) or []


_Verdict = tuple[MismatchKind, Cause]


def _verdict(line: Billed, theirs_fen: Fen, ours: Ours, booked: _Books, paid_intents: set[str]) -> _Verdict | None:
    if line.kind == "paid":
        return _judge_payment(line, theirs_fen, ours, booked, paid_intents)
    if line.kind in _OF_FLOWS and line.number == line.attempt_id:
        return _judge_order(line, theirs_fen, ours, booked)
    return _judge_movement(line, theirs_fen, ours, booked)


def _judge_payment(
    line: Billed, theirs_fen: Fen, ours: Ours, booked: _Books, paid_intents: set[str]
) -> _Verdict | None:
    attempt = ours.attempts.get(line.number)
    if attempt is None:
        return "paid_there_not_here", "unknown_number"
    if line.lines > 1 or theirs_fen > line.amount_fen:
        return "twice", "charged_twice"
    if line.flow_fen is not None:
        return "amount_differs", "bill_contradicts_itself"
    is_booked = booked.fen(line.key) > 0
    if theirs_fen != (booked.fen(line.key) or attempt.amount_fen):
        return "amount_differs", "amount"
    if is_booked:
        return None
    is_second = attempt.is_intent_paid or attempt.intent_id in paid_intents
    paid_intents.add(attempt.intent_id)
    return ("twice", "second_attempt") if is_second else ("paid_there_not_here", "not_booked")


def _judge_order(line: Billed, theirs_fen: Fen, ours: Ours, booked: _Books) -> _Verdict | None:
    """A split that is named by its order: all of the order's splits together."""
    if line.number not in ours.attempts:
        return "state_differs", "unknown_number"
    return _more_there(theirs_fen, booked.fen(line.key))


def _judge_movement(line: Billed, theirs_fen: Fen, ours: Ours, booked: _Books) -> _Verdict | None:
    instruction = ours.instructions.get(line.number)
    if instruction is None:
        return "state_differs", "unknown_number"
    if line.flow_fen is not None:
        return "amount_differs", "bill_contradicts_itself"
    if theirs_fen == 0:
        return None  # It came back.
    # A split has a line per receiver, on one day or on several; anything else moves once.
    if line.kind != "split" and (line.lines > 1 or theirs_fen > max(line.amount_fen, instruction.amount_fen)):
        return "twice", "transferred_twice" if line.kind == "transferred" else "returned_twice"
    if theirs_fen > instruction.amount_fen or (line.kind != "split" and theirs_fen != instruction.amount_fen):
        return "amount_differs", "amount"
    return _more_there(theirs_fen, booked.fen(line.key))


def _more_there(theirs_fen: Fen, ours_fen: Fen) -> _Verdict | None:
    if theirs_fen <= ours_fen:
        return None
    return ("state_differs", "not_booked") if ours_fen == 0 else ("amount_differs", "more_there")


def _missing(row: Booked, theirs_fen: Fen) -> _Verdict:
    if theirs_fen > 0:
        return "amount_differs", "less_there"
    return ("paid_here_not_there" if row.kind == "paid" else "state_differs"), "missing"


def _mismatch(verdict: _Verdict, line: Billed | Booked, ours_fen: Fen, theirs_fen: Fen) -> Mismatch:
    kind, cause = verdict
    return Mismatch(
        kind=kind,
        cause=cause,
        what=line.kind,
        number=line.number,
        attempt_id=line.attempt_id,
        ours_fen=ours_fen,
        theirs_fen=theirs_fen,
        transaction_id=line.transaction_id if isinstance(line, Billed) else "",
    )
