"""A task: what one runner carries out for an order, and the one table of its moves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .errors import WrongState


class TaskStatus(StrEnum):
    OPEN = "open"  # waits for the planner or a grab
    OFFERED = "offered"  # put to one runner, with a deadline
    ASSIGNED = "assigned"
    AT_PICKUP = "at_pickup"
    CARRYING = "carrying"
    AT_DROPOFF = "at_dropoff"
    DONE = "done"
    CANCELLED = "cancelled"


class TaskMove(StrEnum):
    OFFER = "offer"
    WITHDRAW = "withdraw"  # declined, expired or taken back: open again
    ASSIGN = "assign"  # accepted, grabbed or forced
    ARRIVE = "arrive"
    PICK_UP = "pick_up"
    DELIVER = "deliver"
    CANCEL = "cancel"


_S, _M = TaskStatus, TaskMove
MOVES: dict[tuple[TaskStatus, TaskMove], TaskStatus] = {
    (_S.OPEN, _M.OFFER): _S.OFFERED,
    (_S.OPEN, _M.ASSIGN): _S.ASSIGNED,
    (_S.OPEN, _M.CANCEL): _S.CANCELLED,
    (_S.OFFERED, _M.WITHDRAW): _S.OPEN,
    (_S.OFFERED, _M.ASSIGN): _S.ASSIGNED,
    (_S.OFFERED, _M.CANCEL): _S.CANCELLED,
    (_S.ASSIGNED, _M.ASSIGN): _S.ASSIGNED,
    (_S.ASSIGNED, _M.WITHDRAW): _S.OPEN,
    (_S.ASSIGNED, _M.ARRIVE): _S.AT_PICKUP,
    (_S.ASSIGNED, _M.PICK_UP): _S.CARRYING,  # a tap that came before its "arrived"
    (_S.ASSIGNED, _M.DELIVER): _S.DONE,  # queueing: no pick-up
    (_S.ASSIGNED, _M.CANCEL): _S.CANCELLED,
    (_S.AT_PICKUP, _M.ASSIGN): _S.ASSIGNED,
    (_S.AT_PICKUP, _M.WITHDRAW): _S.OPEN,
    (_S.AT_PICKUP, _M.PICK_UP): _S.CARRYING,
    (_S.AT_PICKUP, _M.DELIVER): _S.DONE,  # queueing
    (_S.AT_PICKUP, _M.CANCEL): _S.CANCELLED,
    (_S.CARRYING, _M.ARRIVE): _S.AT_DROPOFF,
    (_S.CARRYING, _M.DELIVER): _S.DONE,
    (_S.CARRYING, _M.ASSIGN): _S.CARRYING,
    (_S.CARRYING, _M.CANCEL): _S.CANCELLED,
    (_S.AT_DROPOFF, _M.ASSIGN): _S.CARRYING,
    (_S.AT_DROPOFF, _M.DELIVER): _S.DONE,
    (_S.AT_DROPOFF, _M.CANCEL): _S.CANCELLED,
}

#: A runner carries it out: it counts as load.
HELD = frozenset({_S.ASSIGNED, _S.AT_PICKUP, _S.CARRYING, _S.AT_DROPOFF})
#: Nobody has it yet: the planner may offer it, a runner may grab it.
TAKEABLE = frozenset({_S.OPEN, _S.OFFERED})


def next_status(status: TaskStatus, move: TaskMove) -> TaskStatus:
    """The state after ``move``; raises :class:`WrongState` where the table has none."""
    try:
        return MOVES[status, move]
    except KeyError:
        raise WrongState(f"a task that is {status} cannot {move}", status=str(status), move=str(move)) from None


@dataclass(frozen=True, slots=True)
class Task:
    """The work of one order. ``version`` guards every assignment; ``fence`` is the planner lease it was made under."""

    id: str
    campus_id: str
    order_id: str
    status: TaskStatus
    version: int
    runner_id: str | None
    opened_at: datetime
    offer_id: str | None = None
    decision_id: str | None = None
    fence: int = 0
