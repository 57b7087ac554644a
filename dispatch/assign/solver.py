"""The plan of one tick: pairs, insertions, a minimum-cost matching per round, a search, the records."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .candidates import pairs
from .ground import ground
from .params import Params
from .records import Records
from .rounds import Solution, evaluate, rounds
from .routes import Road, fleet_of
from .search import searched
from .state import Method, Plan, RunnerIn, TaskIn, Ways

#: Called with a stage's name when it ends; the caller holds the watch.
Lap = Callable[[str], None]


def plan(
    tasks: Sequence[TaskIn],
    runners: Sequence[RunnerIn],
    ways: Ways,
    now_ms: int,
    params: Params,
    method: Method = "optimizer",
    lap: Lap | None = None,
) -> Plan:
    """Routes for the runners with as many of the tasks as possible, at the least cost, and what of it is due now.

    The same input gives the same plan, in whatever order it comes. ``lap`` hears of the stages ``places``,
    ``candidates``, ``costs``, ``solve``, ``routes`` and ``records``. ValueError: a task with more than two stops, or
    without their seconds.
    """
    mark = lap or (lambda stage: None)
    seen = ground(tasks, runners, ways, now_ms, params)
    mark("places")
    road, fleet = Road(seen, params), fleet_of(seen)
    among = pairs(seen, fleet, params)
    mark("candidates")
    # What is impossible costs infinitely much, and the difference of two such costs is no number: it is never used.
    with np.errstate(invalid="ignore"):
        first = evaluate(road, fleet, among, params)
        mark("costs")
        best: Solution = rounds(road, fleet, first, params, "greedy")
        if method == "optimizer":
            best = min(rounds(road, fleet, first, params, "optimizer"), best, key=lambda one: one.worth_s)
            mark("solve")
            best = searched(road, fleet, first, best, params)
            mark("routes")
        made = Records(road, fleet, first, best, params).plan(method)
    mark("records")
    return made
