"""An order: what the student asks and pays for, its states and the one table of their moves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .errors import WrongState
from .money import Fen
from .quote import Quote
from .stop import Stop


class OrderStatus(StrEnum):
    AWAITING_PAYMENT = "awaiting_payment"
    OPEN = "open"  # paid; nobody carries it yet
    ASSIGNED = "assigned"  # a runner has it, nothing picked up
    CARRYING = "carrying"
    DELIVERED = "delivered"
    CONFIRMED = "confirmed"
    SETTLED = "settled"  # captured, split, the rest released
    CANCELLED = "cancelled"  # decided; money is on its way back
    CLOSED = "closed"  # cancelled or never paid, and no fen is left in escrow


class OrderMove(StrEnum):
    PAY = "pay"
    ASSIGN = "assign"
    UNASSIGN = "unassign"
    PICK_UP = "pick_up"
    DELIVER = "deliver"
    CONFIRM = "confirm"
    SETTLE = "settle"
    CANCEL = "cancel"
    CLOSE = "close"


_S, _M = OrderStatus, OrderMove
MOVES: dict[tuple[OrderStatus, OrderMove], OrderStatus] = {
    (_S.AWAITING_PAYMENT, _M.PAY): _S.OPEN,
    (_S.AWAITING_PAYMENT, _M.CANCEL): _S.CANCELLED,
    (_S.OPEN, _M.ASSIGN): _S.ASSIGNED,
    (_S.OPEN, _M.CANCEL): _S.CANCELLED,
    (_S.ASSIGNED, _M.ASSIGN): _S.ASSIGNED,  # a forced reassignment
    (_S.ASSIGNED, _M.UNASSIGN): _S.OPEN,
    (_S.ASSIGNED, _M.PICK_UP): _S.CARRYING,
    # A queueing task has no pick-up: its one act is the delivery of the place in the queue.
    (_S.ASSIGNED, _M.DELIVER): _S.DELIVERED,
    (_S.ASSIGNED, _M.CANCEL): _S.CANCELLED,
    (_S.CARRYING, _M.DELIVER): _S.DELIVERED,
    (_S.CARRYING, _M.ASSIGN): _S.CARRYING,  # the goods change hands on an operator's word
    (_S.CARRYING, _M.CANCEL): _S.CANCELLED,  # operators only
    (_S.DELIVERED, _M.CONFIRM): _S.CONFIRMED,
    (_S.CONFIRMED, _M.SETTLE): _S.SETTLED,
    (_S.CANCELLED, _M.CLOSE): _S.CLOSED,
}

#: No further move is possible.
TERMINAL = frozenset({OrderStatus.SETTLED, OrderStatus.CLOSED})
#: A runner is on it: the student sees that runner, and only then.
LIVE = frozenset({OrderStatus.ASSIGNED, OrderStatus.CARRYING})


def next_status(status: OrderStatus, move: OrderMove) -> OrderStatus:
    """The state after ``move``; raises :class:`WrongState` where the table has none."""
    try:
        return MOVES[status, move]
    except KeyError:
        raise WrongState(f"an order that is {status} cannot {move}", status=str(status), move=str(move)) from None


@dataclass(frozen=True, slots=True)
class Order:
    """One student's errand; ``version`` grows by one with every change and guards each of them.

    Money: ``held_fen`` = ``captured_fen`` + ``released_fen`` + ``refunded_fen`` once it is settled or closed.
    """

    id: str
    campus_id: str
    student_id: str
    type_code: str
    status: OrderStatus
    version: int
    quote: Quote
    stops: tuple[Stop, ...]
    description: str
    weight_g: int
    placed_at: datetime
    promised_at: datetime  # arrival promised at payment; never edited silently
    merchant_id: str | None = None
    runner_id: str | None = None
    pickup_after: datetime | None = None
    paid_at: datetime | None = None
    assigned_at: datetime | None = None
    picked_up_at: datetime | None = None
    delivered_at: datetime | None = None
    confirmed_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None
    goods_actual_fen: Fen | None = None
    held_fen: Fen = Fen(0)
    captured_fen: Fen = Fen(0)
    released_fen: Fen = Fen(0)
    refunded_fen: Fen = Fen(0)
    pin: str = ""
    pin_tries: int = 0
    rating: int | None = None
    rating_text: str = ""
    volume_ml: int = 0
    goods_runner_id: str | None = None  # who laid the goods out at the pick-up; they may change hands after it

    @property
    def is_live(self) -> bool:
        return self.status in LIVE
