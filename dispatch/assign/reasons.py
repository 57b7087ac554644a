"""Why a runner is no candidate for a task: the rule, or the limit without which it would have been possible."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .candidates import exclusion
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


def excluded(road: Road, fleet: Fleet, first: Evaluated, tasks: Rows, params: Params) -> dict[int, dict[str, str]]:
    """By task row and runner id, the rule; nothing where there are more runners than ``Params.excluded_most``."""
    crew, rows = road.ground.runners.given, road.ground.tasks.given
    if len(crew) > params.excluded_most or not len(tasks):
        return {}
    mine = np.isin(first.pairs.task, tasks)
    impossible = mine & ~np.isfinite(first.costs.total_s)
    limits = _limits(road, fleet, first, impossible, params)
    possible = {
        (int(t), int(r)) for t, r in zip(first.pairs.task[mine], first.pairs.runner[mine], strict=True)
    } - limits.keys()
    found: dict[int, dict[str, str]] = {}
    for t in tasks.tolist():
        rules = found[t] = {}
        for r, runner in enumerate(crew):
            if (t, r) in possible:
                continue
            rule = exclusion(rows[t], runner) or limits.get((t, r))
            if rule is None:
                is_late = runner.available_in_s > params.runner_ahead_s
                rule = Exclusion.BUSY_TOO_LONG if is_late else Exclusion.NOT_AMONG_NEAREST
            rules[runner.id] = str(rule)
    return found


def _limits(
    road: Road, fleet: Fleet, first: Evaluated, impossible: np.ndarray, params: Params
) -> dict[tuple[int, int], Exclusion]:
    """For pairs that were looked at and cannot be: what is in the way."""
    t, r = first.pairs.task[impossible], first.pairs.runner[impossible]
    found: dict[tuple[int, int], Exclusion] = {}
    for limit, rule in _LIMITS.items():
        if not len(t):
            break
        free = np.isfinite(insertions(Road(road.ground, params, limit), fleet, t, r, params).cost_s)
        found |= dict.fromkeys(zip(t[free].tolist(), r[free].tolist(), strict=True), rule)
        t, r = t[~free], r[~free]
    start, first_stop = road.ground.runners.place[r], road.ground.tasks.place[t, 0]
    no_way = ~np.isfinite(road.ground.metres(start, first_stop)) & road.ground.tasks.has_place[t]
    found |= dict.fromkeys(zip(t[no_way].tolist(), r[no_way].tolist(), strict=True), Exclusion.TOO_FAR)
    t, r = t[~no_way], r[~no_way]
    # More than one limit at once: the time is the one that says most.
    found |= dict.fromkeys(zip(t.tolist(), r.tolist(), strict=True), Exclusion.NOT_BACK_IN_TIME)
    return found
