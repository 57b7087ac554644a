"""What giving a task to a runner costs: a named function for each term, in seconds, computed for all pairs at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .candidates import Pairs
from .ground import Ground
from .insertion import Insertions
from .params import Params
from .state import Floats, Rows


@dataclass(frozen=True, slots=True)
class Case:
    """Pairs with their best insertions: what a term may look at."""

    ground: Ground
    pairs: Pairs
    insertions: Insertions
    params: Params


Term = Callable[[Case], Floats]


def travel(case: Case) -> Floats:
    """The way: seconds that the runner is longer on the way than without the task."""
    return case.params.travel_weight * case.insertions.travel_s


def wait(case: Case) -> Floats:
    """The student's wait: seconds from now until the task is done."""
    return case.params.wait_weight * case.insertions.done_s


def stand(case: Case) -> Floats:
    """The runner's wait: seconds of standing at counters until things are ready."""
    return case.params.stand_weight * case.insertions.stand_s


def lateness(case: Case) -> Floats:
    """Seconds after the task's promise."""
    return case.params.lateness_weight * case.insertions.late_s


def detour(case: Case) -> Floats:
    """Seconds by which everything that the runner carries already is done later."""
    return case.insertions.delay_cost_s


def disturbance(case: Case) -> Floats:
    """Of those the seconds that break a promise made before."""
    return case.insertions.moved_cost_s


def refusal(case: Case) -> Floats:
    """What an offer that is refused costs, times the odds of that."""
    taken = np.clip(case.ground.runners.acceptance, 0.05, 1.0)
    each: Floats = case.params.refusal_s * (1.0 - taken) / taken
    return each[case.pairs.runner]


def credit(case: Case) -> Floats:
    """High credit comes first."""
    return (case.params.credit_s * (100.0 - case.ground.runners.credit))[case.pairs.runner]


def idle(case: Case) -> Floats:
    """Who has had nothing to carry for long comes first, but not at any price."""
    seconds = np.clip(case.ground.runners.idle_s, 0.0, case.params.idle_cap_s)
    return -(case.params.idle_weight * seconds)[case.pairs.runner]


def fairness(case: Case) -> Floats:
    """Who has been paid for less work than the others today comes first."""
    earned = case.ground.runners.earned_s
    mean = earned.mean() if len(earned) else 0.0
    return (case.params.fairness_weight * (earned - mean))[case.pairs.runner]


def ageing(case: Case) -> Floats:
    """A task that has waited is cheaper for everybody alike, so it wins where there are fewer runners than tasks."""
    return -(case.params.ageing_weight * np.maximum(0.0, case.ground.tasks.age_s))[case.pairs.task]


#: In the order in which they are shown.
TERMS: Mapping[str, Term] = {
    term.__name__: term
    for term in (
        travel, wait, stand, lateness, detour, disturbance, refusal, credit, idle, fairness, ageing,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Costs:
    """``total_s`` of each pair, inf where it is impossible; ``terms``: what it is made of."""

    total_s: Floats
    terms: Mapping[str, Floats]

    def terms_of(self, pair: int) -> dict[str, float]:
        """The terms of one pair, those that are zero left out."""
        return self.terms_of_many(np.array([pair], dtype=np.intp))[0]

    def terms_of_many(self, pairs: Rows) -> list[dict[str, float]]:
        """The same of several."""
        rows = np.round(np.stack([column[pairs] for column in self.terms.values()], axis=1), 1).tolist()
        return [{name: value for name, value in zip(self.terms, row, strict=True) if value} for row in rows]


def costs(case: Case) -> Costs:
    """The cost of every pair."""
    terms = {name: term(case) for name, term in TERMS.items()}
    total = np.zeros(len(case.pairs))
    for column in terms.values():
        total += column
    return Costs(np.where(np.isfinite(case.insertions.cost_s), total, np.inf), terms)
