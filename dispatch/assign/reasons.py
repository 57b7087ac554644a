"""Why a runner is no candidate for a task: the rule, or the limit without which it would have been possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from .candidates import ANYBODY, forbidden, pinned, works_in, zone_codes
from .ground import FAR_S, Ground
from .insertion import insertions
from .params import Params
from .rounds import Evaluated
from .routes import Fleet, Limit, Road
from .state import Exclusion, Rows

_LIMITS: Mapping[Limit, Exclusion] = {
    "reach": Exclusion.TOO_FAR,
    "merchant": Exclusion.ANOTHER_MERCHANT,
    "weight": Exclusion.TOO_HEAVY,
    "volume": Exclusion.TOO_BULKY,
    "time": Exclusion.NOT_BACK_IN_TIME,
    "deadline": Exclusion.PAST_DEADLINE,
}
#: Exclusions as small numbers; 0: none.
_NUMBER = {rule: number for number, rule in enumerate(Exclusion, 1)}
_NAMES = np.array(["", *(str(rule) for rule in Exclusion)], dtype=object)


def excluded(road: Road, fleet: Fleet, first: Evaluated, tasks: Rows, params: Params) -> dict[int, dict[str, str]]:
    """By task row and runner id, the rule; nothing where there are more runners than ``Params.excluded_most``."""
    seen = road.ground
    crew = seen.runners.given
    if len(crew) > params.excluded_most or not len(tasks):
        return {}
    tasks = np.sort(tasks)
    mine = np.flatnonzero(np.isin(first.pairs.task, tasks))
    row, r = np.searchsorted(tasks, first.pairs.task[mine]), first.pairs.runner[mine]
    rules = _rules(seen, tasks)
    is_possible = np.isfinite(first.costs.total_s[mine])
    limits = _limits(road, fleet, first.pairs.task[mine][~is_possible], r[~is_possible], params)
    none = rules[row[~is_possible], r[~is_possible]] == 0
    rules[row[~is_possible][none], r[~is_possible][none]] = limits[none]
    late = np.where(seen.runners.available_s > params.runner_ahead_s, _NUMBER[Exclusion.BUSY_TOO_LONG], 0)
    rules = np.where(rules == 0, late[None, :], rules)
    rules[rules == 0] = _NUMBER[Exclusion.NOT_AMONG_NEAREST]
    rules[row[is_possible], r[is_possible]] = 0
    ids = np.array([runner.id for runner in crew], dtype=object)
    found: dict[int, dict[str, str]] = {}
    for t, numbers in zip(tasks.tolist(), rules, strict=True):
        barred = np.flatnonzero(numbers)
        found[t] = dict(zip(ids[barred].tolist(), _NAMES[numbers[barred]].tolist(), strict=True))
    return found


def _rules(seen: Ground, tasks: Rows) -> Rows:
    """The numbers of the first rules of ``exclusion`` that are broken, shape (tasks, runners)."""
    rows, crew = seen.tasks, seen.runners
    own = [0 if runner.excluded is None else _NUMBER[runner.excluded] for runner in crew.given]
    found = np.tile(np.array(own, dtype=np.intp), (len(tasks), 1))
    is_no_go = np.array([rows.given[t].is_no_go for t in tasks.tolist()], dtype=np.bool_)
    only, everybody = pinned(seen)[tasks][:, None], np.arange(len(crew))[None, :]
    for rule, is_broken in (
        (Exclusion.STOP_IN_NO_GO_AREA, is_no_go[:, None]),
        (Exclusion.PINNED_TO_ANOTHER, (only != ANYBODY) & (only != everybody)),
        (Exclusion.OFFERED_BEFORE, np.isin(tasks[:, None] * len(crew) + everybody, forbidden(seen))),
        (Exclusion.AT_CAPACITY, (crew.load >= crew.max_tasks)[None, :]),
        (Exclusion.OTHER_ZONE, ~works_in(seen)[zone_codes(seen)[tasks]]),
        (Exclusion.TOO_HEAVY, rows.weight_g[tasks][:, None] > crew.capacity_g[None, :]),
        (Exclusion.TOO_BULKY, rows.volume_ml[tasks][:, None] > crew.capacity_ml[None, :]),
    ):
        found = np.where((found == 0) & is_broken, _NUMBER[rule], found)
    return found


def _limits(road: Road, fleet: Fleet, t: Rows, r: Rows, params: Params) -> Rows:
    """For pairs that were looked at and cannot be: the number of what is in the way."""
    # More than one limit at once: the time is the one that says most.
    found = np.full(len(t), _NUMBER[Exclusion.NOT_BACK_IN_TIME], dtype=np.intp)
    seen, left = road.ground, np.arange(len(t))
    for limit in _that_matter(seen, params):
        if not len(left):
            return found
        without = insertions(Road(seen, params, limit), fleet, t[left], r[left], params)
        is_it = np.isfinite(without.cost_s)
        found[left[is_it]] = _NUMBER[_LIMITS[limit]]
        left = left[~is_it]
    has_place = seen.tasks.has_place[t[left]]
    no_way = ~np.isfinite(seen.metres(seen.runners.place[r[left]], seen.tasks.place[t[left], 0])) & has_place
    found[left[no_way]] = _NUMBER[Exclusion.TOO_FAR]
    return found


def _that_matter(seen: Ground, params: Params) -> Iterator[Limit]:
    """The limits that anything has in this tick."""
    crew = seen.runners
    matters: Mapping[Limit, bool] = {
        "reach": bool(np.isfinite(seen.tasks.reach_m).any()),
        "merchant": params.merchant_bundles,
        "weight": True,
        "volume": True,
        "time": bool(min(crew.until_s.min(initial=FAR_S), crew.last_pickup_s.min(initial=FAR_S)) < FAR_S),
        "deadline": bool(seen.tasks.deadline_s.min(initial=FAR_S) < FAR_S),
    }
    return (limit for limit, does in matters.items() if does)
