"""The optimizer's settings: weights of the cost's terms, and limits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Params:
    """A plan is repeatable only together with the params that made it.

    Each ``*_weight`` multiplies seconds; ``*_s`` are seconds that a circumstance is worth, or lengths of time.
    """

    version: str = "2026-2"
    # --- terms of the cost
    travel_weight: float = 0.5  # seconds on the way, of the whole route with the task less without it
    wait_weight: float = 1.0  # seconds until the task is done
    stand_weight: float = 0.2  # seconds that the runner stands at a counter
    lateness_weight: float = 2.0  # seconds after the promise
    detour_weight: float = 1.0  # seconds by which those on the route are delayed
    disturbance_weight: float = 2.0  # of these, the seconds after their promise
    refusal_s: float = 60.0  # what a refused offer costs everybody
    credit_s: float = 0.6  # for each point of credit below 100
    idle_weight: float = 0.05  # of the time without an errand
    idle_cap_s: float = 1200.0
    fairness_weight: float = 0.02  # of the paid work beyond the mean of all runners
    ageing_weight: float = 1.0  # of the time that the task has waited
    # --- when and who
    look_ahead_s: float = 1800.0  # orders that are ready later than this are not planned yet
    runner_ahead_s: float = 600.0  # runners who are free later than this are not planned yet
    commit_ahead_s: float = 60.0  # put to a runner this long before they have to go
    max_pickup_m: float = 4000.0
    same_counter_s: float = 20.0  # the second thing picked up at one counter
    unassigned_s: float = (
        1e6  # a task that nobody carries: above any sum of real costs, as many as possible are carried
    )
    nearest: int = 60  # candidates looked at per task
    pairs: int = 150_000  # of a whole tick: with more tasks fewer candidates are looked at for each
    rounds: int = 3  # times that a runner may get a further task in one plan
    iterations: int = 30  # moves of the search that makes the plan better
    ruined: int = 5  # tasks taken out in one move, at most
    searched: int = 12  # runners looked at for each of them
    searched_places: int = 400  # in a tick with more places than this there is no search
    merchant_bundles: bool = False  # tasks picked up together come from one merchant
    # --- records and solving
    explained: int = 10  # candidates kept with each decision
    excluded_most: int = 200  # with more runners than this, their exclusions are derived on demand (``why_not``)
    dense_cells: int = 250_000  # a larger matrix is solved as a sparse one
    exact_pairs: int = 60_000  # of more pairs the matching may be a second per task above the least sum
    seed: int = 1
