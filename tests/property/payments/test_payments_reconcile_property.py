"""Random books of two days with random damage: every damage is found and named, and nothing sound is accused."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.money import Fen
from payments.outcomes import Bill, BillKind, BillLine
from payments.reconcile.business_day import CHINA, bounds, day_of
from payments.reconcile.compare import (
    REPAIRS,
    AttemptFacts,
    Billed,
    Booked,
    InstructionFacts,
    Key,
    Mismatch,
    OtherDays,
    Ours,
    billed_of,
    compare,
    judged_span,
    of_this_channel,
    reversed_attempts,
    shown_kinds,
)
from payments.reconcile.view import Cause, MismatchKind

DAY = date(2026, 3, 2)
DAYS = (DAY, DAY + timedelta(days=1))
BEGIN = bounds(DAY, CHINA)[0]
#: Both sides may see a thing this much apart, the institution first or last.
SKEW_S = 7200

PAYMENT_DAMAGES: dict[str, tuple[MismatchKind, Cause]] = {
    "not_booked": ("paid_there_not_here", "not_booked"),
    "attempt_lost": ("paid_there_not_here", "unknown_number"),
    "not_billed": ("paid_here_not_there", "missing"),
    "less_billed": ("amount_differs", "amount"),
    "flow_differs": ("amount_differs", "bill_contradicts_itself"),
    "second_attempt": ("twice", "second_attempt"),
    "charged_twice": ("twice", "charged_twice"),
}
BACK_DAMAGES: dict[str, tuple[MismatchKind, Cause]] = {
    "not_booked": ("state_differs", "not_booked"),
    "order_lost": ("state_differs", "unknown_number"),
    "not_billed": ("state_differs", "missing"),
    "less_billed": ("amount_differs", "amount"),
    "flow_differs": ("amount_differs", "bill_contradicts_itself"),
    "doubled": ("twice", "returned_twice"),
}
SPLIT_DAMAGES: dict[str, tuple[MismatchKind, Cause]] = {
    "not_booked": ("state_differs", "not_booked"),
    "half_booked": ("amount_differs", "more_there"),
    "half_billed": ("amount_differs", "less_there"),
    "not_billed": ("state_differs", "missing"),
    "doubled": ("amount_differs", "amount"),
}
#: Nobody's order: what goes to a person is judged by its number alone.
TRANSFER_DAMAGES: dict[str, tuple[MismatchKind, Cause]] = {**BACK_DAMAGES, "doubled": ("twice", "transferred_twice")}
#: What looks odd and is not: another channel's business on the bill of the same merchant, a debit without an answer
#: that was reversed, a part of a split that stays with the merchant itself, and what could not be paid to a person.
SOUND = ("of_other_channel", "reversed", "half_stays", "came_back")


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened on both sides, unless it is damaged."""

    kind: BillKind
    number: str
    amount_fen: int
    there_s: int
    skew_s: int
    damage: str = ""
    #: The provider names a split by its order alone.
    is_by_order: bool = False

    @property
    def attempt_id(self) -> str:
        return self.number if self.kind == "paid" else f"A{self.number}"

    @property
    def billed_number(self) -> str:
        return self.attempt_id if self.is_by_order else self.number


def _movements() -> st.SearchStrategy[list[Movement]]:
    damages = {
        "paid": PAYMENT_DAMAGES,
        "refunded": BACK_DAMAGES,
        "split": SPLIT_DAMAGES,
        "taken_back": BACK_DAMAGES,
        "transferred": TRANSFER_DAMAGES,
    }

    def movement(kind: BillKind) -> st.SearchStrategy[Movement]:
        # An hour of the first day at the least: earlier bills are not part of these books.
        return st.builds(
            Movement,
            kind=st.just(kind),
            number=st.just(""),
            amount_fen=st.integers(2, 100_000),
            there_s=st.one_of(st.integers(SKEW_S, 36 * 3600), st.integers(86400 - 60, 86400 + 60)),
            skew_s=st.integers(-SKEW_S, SKEW_S),
            damage=st.one_of(st.just(""), st.sampled_from(("", *SOUND)), st.sampled_from(sorted(damages[kind]))),
            is_by_order=st.booleans() if kind == "split" else st.just(False),
        )

    kinds: list[BillKind] = ["paid", "refunded", "split", "taken_back", "transferred"]
    return st.lists(st.one_of(*(movement(kind) for kind in kinds)), max_size=12).map(
        lambda found: [msgspec.structs.replace(each, number=f"{each.kind}{place}") for place, each in enumerate(found)]
    )


class Books:
    """Both sides of all days, built of movements and their damage."""

    def __init__(self, movements: list[Movement], *, has_flows: bool = True) -> None:
        self.has_flows = has_flows
        self.lines: list[tuple[BillLine, Fen | None]] = []
        self.booked: list[Booked] = []
        self.attempts: dict[str, AttemptFacts] = {}
        self.instructions: dict[str, InstructionFacts] = {}
        self.expected: dict[str, tuple[MismatchKind, Cause]] = {}
        for movement in movements:
            self._add(movement)

    def _add(self, it: Movement) -> None:
        self._know(it)
        halves = [it.amount_fen // 2, it.amount_fen - it.amount_fen // 2] if it.kind == "split" else [it.amount_fen]
        theirs, ours = list(halves), list(halves)
        match it.damage:
            case "not_booked" | "attempt_lost" | "second_attempt" | "order_lost":
                ours = []
            case "of_other_channel":
                ours = []
            case "reversed":
                self._reverse(it)
                return
            case "came_back" if it.kind == "transferred":
                ours, theirs = [], [it.amount_fen, -it.amount_fen]
            case "half_booked":
                ours = ours[:1]
            case "not_billed":
                theirs = []
            case "half_billed" | "half_stays" if it.kind == "split":
                theirs = theirs[:1]
            case "less_billed":
                theirs = [it.amount_fen - 1]
            case "charged_twice" | "doubled":
                theirs = theirs * 2
        there_at = BEGIN + timedelta(seconds=it.there_s)
        flow_fen = Fen(sum(theirs) + 1) if it.damage == "flow_differs" else None
        for fen in theirs:
            self.lines.append((
                BillLine(
                    kind=it.kind,
                    attempt_id=it.attempt_id,
                    number=it.billed_number,
                    amount_fen=Fen(fen),
                    at=there_at,
                ),
                flow_fen,
            ))  # fmt: skip
        for place, fen in enumerate(ours):
            self.booked.append(
                Booked(
                    kind=it.kind,
                    number=it.number,
                    attempt_id=it.attempt_id,
                    amount_fen=Fen(fen),
                    at=there_at + timedelta(seconds=it.skew_s),
                    is_billed=not (it.damage == "half_stays" and it.kind == "split" and place == 1),
                )
            )
        if it.damage not in ("", *SOUND):
            self._expect(it)

    def _expect(self, it: Movement) -> None:
        tables = {"paid": PAYMENT_DAMAGES, "split": SPLIT_DAMAGES, "transferred": TRANSFER_DAMAGES}
        table = tables.get(it.kind, BACK_DAMAGES)
        if not self.has_flows and (it.kind in ("split", "taken_back", "transferred") or it.damage == "flow_differs"):
            return  # Such a bill says nothing about it.
        if it.is_by_order and it.damage == "doubled":
            self.expected[it.attempt_id] = "amount_differs", "more_there"
        elif it.damage == "not_billed":
            self.expected[it.number] = table[it.damage]
        else:
            self.expected[it.billed_number] = table[it.damage]

    def _reverse(self, it: Movement) -> None:
        """Paid and given back by the provider itself, under a number of its own, whatever our movement was to be."""
        at = BEGIN + timedelta(seconds=it.there_s)
        name = f"D{it.number}"
        self.attempts[name] = AttemptFacts(
            intent_id=f"int_{name}", channel="sandbox", amount_fen=Fen(it.amount_fen), is_intent_paid=False
        )
        kinds: list[BillKind] = ["paid", "refunded"]
        for kind in kinds:
            number = name if kind == "paid" else f"R{it.number}"
            line = BillLine(kind=kind, attempt_id=name, number=number, amount_fen=Fen(it.amount_fen), at=at)
            self.lines.append((line, None))

    def _know(self, it: Movement) -> None:
        if it.damage in ("attempt_lost", "order_lost"):
            return
        channel = "other" if it.damage == "of_other_channel" else "sandbox"
        if it.is_by_order:
            self.attempts[it.attempt_id] = AttemptFacts(
                intent_id=f"int_{it.number}", channel=channel, amount_fen=Fen(it.amount_fen), is_intent_paid=False
            )
        if it.kind == "paid":
            self.attempts[it.number] = AttemptFacts(
                intent_id=f"int_{it.number}",
                channel=channel,
                amount_fen=Fen(it.amount_fen),
                is_intent_paid=it.damage == "second_attempt",
            )
        else:
            self.instructions[it.number] = InstructionFacts(channel=channel, amount_fen=Fen(it.amount_fen))

    def bill(self, day: date) -> Bill:
        mine = [(line, flow) for line, flow in self.lines if line.at is not None and day_of(line.at, CHINA) == day]
        trades = [line for line, _ in mine if line.kind in ("paid", "refunded")]
        # The flows name one line per movement, whose amount a damage may have changed.
        flows = {(line.kind, line.number): msgspec.structs.replace(line, amount_fen=flow or line.amount_fen)
                 for line, flow in mine if flow is not None}  # fmt: skip
        others = [line for line, _ in mine if line.kind not in ("paid", "refunded")]
        fee = BillLine(kind="fee", attempt_id="", number="fee", amount_fen=Fen(1))
        if not self.has_flows:
            return Bill(day=day, trades=(*trades, fee))
        return Bill(day=day, trades=(*trades, *others), flows=(*flows.values(), fee))

    def ours(self) -> Ours:
        return Ours(attempts=self.attempts, instructions=self.instructions, booked=tuple(self.booked))


def _other(days: list[list[Billed]], but: int, ours: Ours) -> OtherDays:
    sums: dict[Key, Fen] = {}
    returned: dict[str, Fen] = {}
    for place, lines in enumerate(days):
        for line in lines if place != but else ():
            sums[line.key] = Fen(sums.get(line.key, 0) + line.amount_fen)
            if line.kind == "refunded" and line.number not in ours.instructions:
                returned[line.attempt_id] = Fen(returned.get(line.attempt_id, 0) + line.amount_fen)
    return OtherDays(sums=sums, returned=returned)


def reconcile(books: Books) -> list[Mismatch]:
    """Day after day, each with the bills that are known by then, and a last empty day that judges the edge."""
    days = [*DAYS, DAYS[-1] + timedelta(days=1)]
    bills = [billed_of(books.bill(day)) for day in days]
    ours = books.ours()
    found: list[Mismatch] = []
    for place, day in enumerate(days):
        other = _other(bills[: place + 1], place, ours)
        mine = of_this_channel("sandbox", bills[place], ours)
        shown = shown_kinds(books.bill(day))
        found += compare(mine, other, ours, judged_span(day, CHINA), shown, reversed_attempts(mine, other, ours))
    return found


@settings(max_examples=5000 if os.environ.get("SOAK") else 150, deadline=None)
@given(_movements(), st.booleans())
def test_every_damage_is_named_and_nothing_sound_is_accused(movements: list[Movement], has_flows: bool) -> None:
    books = Books(movements, has_flows=has_flows)
    found = reconcile(books)
    named = {mismatch.number: (mismatch.kind, mismatch.cause) for mismatch in found}
    assert named == books.expected
    assert len({(mismatch.kind, mismatch.number) for mismatch in found}) == len(named), "one name for one difference"
    for mismatch in found:
        assert mismatch.repair == REPAIRS[mismatch.kind, mismatch.cause]


@settings(max_examples=50, deadline=None)
@given(_movements(), st.randoms(use_true_random=False))
def test_the_order_of_a_bill_says_nothing(movements: list[Movement], luck: object) -> None:
    books = Books(movements)
    before = {(m.kind, m.cause, m.number) for m in reconcile(books)}
    luck.shuffle(books.lines)  # type: ignore[attr-defined]
    luck.shuffle(books.booked)  # type: ignore[attr-defined]
    assert {(m.kind, m.cause, m.number) for m in reconcile(books)} == before


def test_every_named_cause_has_its_repair() -> None:
    named = {*PAYMENT_DAMAGES.values(), *BACK_DAMAGES.values(), *SPLIT_DAMAGES.values(), *TRANSFER_DAMAGES.values()}
    assert named == set(REPAIRS)


def test_a_payment_a_second_before_midnight() -> None:
    """Booked here just before midnight, and there a moment later: no bill of either day is accused."""
    at = datetime(2026, 3, 2, 15, 59, 59, tzinfo=UTC)
    assert day_of(at, CHINA) == DAY
    movement = Movement(kind="paid", number="A1", amount_fen=500, there_s=86400 + 1, skew_s=-2)
    assert reconcile(Books([movement])) == []
