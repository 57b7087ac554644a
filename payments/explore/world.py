"""One intent in a hostile world, as far as a decision can depend on it: our rows, the provider's orders, what is on its
way, and what may still go wrong. A dozen states that differ in nothing else are one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from payments import failover
from payments.attempt import WITH_MONEY, Attempt, AttemptState
from payments.failover import Phase
from payments.money import Fen
from payments.outcomes import Capabilities, Standing

# States are kept as plain text: an enumeration's hash is a call, and a search hashes little else.
CREATING, ISSUED, CLOSING = (
    state.value for state in (AttemptState.CREATING, AttemptState.ISSUED, AttemptState.CLOSING)
)
REFUSED, PAID, DUPLICATE = (
    state.value for state in (AttemptState.REFUSED, AttemptState.PAID, AttemptState.PAID_DUPLICATE)
)
MONEY = frozenset(state.value for state in WITH_MONEY)


def _shape(code: str, **changes: Any) -> Capabilities:
    return Capabilities(code=code, name_zh=code, name_en=code, expiry_margin_s=5.0, **changes)


#: What a channel can be, with a letter for each channel that is so: more than one, since a channel that was tried is
#: not tried again.
_KINDS: dict[str, dict[str, Any]] = {
    # a cashier whose orders can be closed · one whose orders cannot, and live for a short time
    "wvu": {},
    "tx": {"can_close": False, "expiry_max_s": 40.0},
    # a code that becomes an order when it is scanned
    "qrs": {"expiry_max_s": 40.0},
    # a page that is signed here, and becomes an order when it is opened: that cannot be closed · that can
    "lmn": {"creates_locally": True, "can_close": False, "expiry_max_s": 40.0},
    "py": {"creates_locally": True, "expiry_max_s": 40.0},
    # a direct debit that can be reversed, decided at once · after a while · after a while, and cannot be reversed
    "def": {"is_direct_debit": True},
    "cz": {"is_direct_debit": True},
    "kj": {"is_direct_debit": True, "can_close": False},
}
ALIKE = tuple(_KINDS)
#: One of each way to pay; the others differ from these in one trait each.
COMMON = ("wvu", "qrs", "lmn", "def")
KINDS = {code: _shape(code, **can) for codes, can in _KINDS.items() for code in codes}
#: Becomes an order only when the payer opens it.
COMES_TO_LIFE = frozenset("qrslmnpy")
DEBITS = frozenset("defczkj")
#: Debits that may be under way for a while.
SLOW = frozenset("czkj")
#: Those that may judge an order; the others would only double the states.
JUDGES = frozenset("wd")

T0 = datetime(2026, 3, 2, tzinfo=UTC)
EXPIRES_AT = T0 + timedelta(seconds=100)
#: The moments that matter: the start, after a debit's margin, after the short life of a code or a page, after the
#: expiry of the intent and every margin.
MOMENTS = tuple(T0 + timedelta(seconds=seconds) for seconds in (0, 10, 60, 200))
LATE = len(MOMENTS) - 1

#: none · open · paid · closed · back: paid, and given back.
AtProvider = Literal["none", "open", "paid", "closed", "back"]
#: Where the creating call is: nowhere, on its way there, on its way back, on its way back with a verdict, on its way
#: back with the word that the debit is under way.
HERE, THERE, BACK, VERDICT, UNDECIDED = range(5)


class Row(NamedTuple):
    """One attempt in our database, as far as a decision can depend on it. ``is_kept``: the row is committed."""

    channel: str
    born: int
    state: str
    seen: str = ""
    has_asked: bool = False
    is_interrupted: bool = False
    is_kept: bool = True


class Order(NamedTuple):
    """The same attempt in the world. ``is_delivered``: the payer may have the credential."""

    at: AtProvider = "none"
    leg: int = HERE
    is_delivered: bool = False


class World(NamedTuple):
    """One intent, its attempts on both sides, and what may still go wrong."""

    rows: tuple[Row, ...] = ()
    orders: tuple[Order, ...] = ()
    paid: int | None = None
    phase: Phase = "open"
    switch_to: str | None = None
    moment: int = 0
    call: tuple[Any, ...] | None = None
    crashes: int = 0
    wishes: int = 0
    lies: int = 0


def attempt_of(row: Row, index: int) -> Attempt:
    """The attempt that the shipping functions get to see."""
    born = MOMENTS[row.born]
    shape = KINDS[row.channel]
    dead_from = born if shape.is_direct_debit else expires_at(row)
    return Attempt(
        id=str(index),
        intent_id="i",
        number=index + 1,
        channel=row.channel,
        state=AttemptState(row.state),
        amount_fen=Fen(1),
        created_at=born,
        changed_at=born,
        expires_at=expires_at(row),
        dead_after=dead_from + timedelta(seconds=shape.expiry_margin_s),
        ask_at=born,
        asks=failover.DEBIT_ASKS_BEFORE_REVERSE if row.has_asked else 0,
        seen=row.seen,
        reason=failover.INTERRUPTED if row.is_interrupted else "",
    )


def row_of(attempt: Attempt, was: Row) -> Row:
    """What of an attempt is part of a state."""
    is_pursued = attempt.is_live or attempt.state is AttemptState.ABANDONED
    is_reversed = attempt.state is AttemptState.UNKNOWN and attempt.seen == "close_sent"
    is_kept_seen = (is_pursued and attempt.seen == "unpaid") or is_reversed or attempt.seen == failover.LAST_LOOK
    return Row(
        channel=was.channel,
        born=was.born,
        state=attempt.state.value,
        seen=attempt.seen if is_kept_seen and attempt.state not in WITH_MONEY else "",
        has_asked=attempt.asks > 0 and attempt.state is AttemptState.UNKNOWN,
        is_interrupted=attempt.reason == failover.INTERRUPTED,
        is_kept=True,
    )


def expires_at(row: Row) -> datetime:
    """Until when the attempt can be paid."""
    return min(EXPIRES_AT, MOMENTS[row.born] + timedelta(seconds=KINDS[row.channel].expiry_max_s))


def standing(row: Row, order: Order, moment: int) -> Standing:
    """What the provider says when it is asked."""
    match order.at:
        case "none":
            return "absent"
        case "open":
            is_late = MOMENTS[moment] >= expires_at(row)
            return "closed" if is_late and KINDS[row.channel].can_close else "unpaid"
        case "closed":
            return "closed"
        case _:
            return "paid"


def kept(world: World) -> int:
    """Orders that a provider has the payer's money for."""
    return sum(order.at == "paid" for order in world.orders)


def is_settled(world: World) -> bool:
    """It is decided, and the payer's money is where the books say: with the one attempt that paid, or nowhere."""
    if world.phase == "cancelled":
        return kept(world) == 0
    if world.paid is None:
        return world.phase == "failed" and kept(world) == 0
    return kept(world) == 1 and world.orders[world.paid].at == "paid"


def with_item(items: tuple[Any, ...], index: int, item: Any) -> tuple[Any, ...]:
    return (*items[:index], item, *items[index + 1 :])
