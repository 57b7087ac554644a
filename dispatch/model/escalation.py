"""What happens to an order that nobody takes: a ladder of steps, each wider than the one before.

The step follows from how long the order waits, how often it was refused, and the time; that a step was told is written
down, so that it is told once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .order import Order
from .task import Task

#: An order for later begins to wait so long before its time.
LEAD = timedelta(minutes=10)


class Step(StrEnum):
    """The names of the steps, as pages show them."""

    WAITING = "waiting"
    WIDER = "wider"
    FAR = "far"
    CALLED = "called"
    ALERTED = "alerted"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Rung:
    """A step begins ``after_s`` seconds of waiting, or with the ``after_refusals``-th refusal, whichever is first.

    ``reach``: how many times further than usual a runner may come from; ``priority_s``: waiting that is added to its
    age. ``is_any_zone``: runners of other zones may have it. ``is_called``: whoever is free is called, may take it from
    the hall and is asked by the planner, whatever the zone says. ``is_alert``: the campus team is told. ``is_choice``:
    the student may wait on or have everything back.
    """

    step: Step
    after_s: int
    after_refusals: int | None = None
    reach: float = 1.0
    priority_s: float = 0.0
    is_any_zone: bool = False
    is_called: bool = False
    is_alert: bool = False
    is_choice: bool = False


#: Whoever is free is called after four minutes at the earliest: a call that comes for every order is heard by nobody.
DEFAULT_RUNGS = (
    Rung(Step.WIDER, 45, 2, reach=1.5, priority_s=60),
    Rung(Step.FAR, 90, 4, reach=2.5, priority_s=120, is_any_zone=True),
    Rung(Step.CALLED, 240, None, reach=2.5, priority_s=240, is_any_zone=True, is_called=True),
    Rung(Step.ALERTED, 300, None, reach=2.5, priority_s=240, is_any_zone=True, is_called=True, is_alert=True),
    Rung(
        Step.CHOICE, 480, None, reach=2.5, priority_s=240, is_any_zone=True, is_called=True, is_alert=True,
        is_choice=True,
    ),
)  # fmt: skip
_NONE = Rung(Step.WAITING, 0)


@dataclass(frozen=True, slots=True)
class Ladder:
    """A campus's steps, in order. Runners are called at most every ``call_gap_s``, for one order ``calls_most`` times
    at most. No rungs: nothing happens by itself."""

    rungs: tuple[Rung, ...] = DEFAULT_RUNGS
    call_gap_s: int = 30
    calls_most: int = 20

    def at(self, since: datetime, refusals: int, now: datetime) -> int:
        """How many steps have begun."""
        waited_s = (now - since).total_seconds()
        begun = [
            number
            for number, rung in enumerate(self.rungs, 1)
            if waited_s >= rung.after_s or (rung.after_refusals is not None and refusals >= rung.after_refusals)
        ]
        return max(begun, default=0)

    def rung(self, number: int) -> Rung:
        """The rung of the step that began last; a quiet one before the first."""
        return self.rungs[number - 1] if number else _NONE

    def next_at(self, since: datetime, number: int) -> datetime | None:
        """When the step after ``number`` begins by waiting alone."""
        later = self.rungs[number:]
        return since + timedelta(seconds=later[0].after_s) if later else None


@dataclass(frozen=True, slots=True)
class Escalation:
    """What was told of an order that waits: ``told`` steps since ``since``; ``calls`` calls, the last ``called_at``."""

    campus_id: str
    order_id: str
    since: datetime
    told: int = 0
    calls: int = 0
    called_at: datetime | None = None


def waits_since(task: Task, order: Order, known: Escalation | None) -> datetime:
    """Since when the ladder counts: since it was opened (or opened again), and for a later order shortly before."""
    since = known.since if known is not None else task.opened_at
    return since if order.pickup_after is None else max(since, order.pickup_after - LEAD)
