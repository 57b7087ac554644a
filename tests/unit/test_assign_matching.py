"""The matchings: dense, sparse and by bids agree, and the plain one is the plain one."""

from __future__ import annotations

import numpy as np
import pytest

from dispatch.assign import matching
from dispatch.assign.candidates import Pairs
from dispatch.assign.state import Floats, Rows

NOBODY = 1e6


def market(seed: int, tasks: int, runners: int, share: float, ties: bool = False) -> tuple[Pairs, Floats]:
    """Random pairs, some of them impossible."""
    luck = np.random.default_rng(seed)
    t, r = np.nonzero(luck.random((tasks, runners)) < share)
    cost_s = luck.integers(-3, 4, len(t)) * 100.0 if ties else luck.normal(500, 400, len(t))
    cost_s[luck.random(len(t)) < 0.05] = np.inf
    return Pairs(t.astype(np.intp), r.astype(np.intp)), np.asarray(cost_s, dtype=np.float64)


def sum_s(pairs: Pairs, cost_s: Floats, chosen: Rows, tasks: int) -> float:
    """Of the chosen, each task without one as ``NOBODY``; they are a matching of possible pairs."""
    assert len(np.unique(pairs.task[chosen])) == len(np.unique(pairs.runner[chosen])) == len(chosen)
    assert np.isfinite(cost_s[chosen]).all()
    return float(cost_s[chosen].sum()) + NOBODY * (tasks - len(chosen))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("tasks", "runners", "share"), [(1, 1, 1.0), (30, 50, 0.3), (60, 20, 0.2), (40, 40, 0.08)])
def test_sparse_and_dense_are_worth_the_same(tasks: int, runners: int, share: float, ties: bool) -> None:
    for seed in range(20):
        pairs, cost_s = market(seed, tasks, runners, share, ties)
        dense = matching.cheapest(pairs, cost_s, NOBODY, 10**9)
        sparse = matching.cheapest(pairs, cost_s, NOBODY, -1 if 3 * len(pairs) < tasks * runners else 0)
        assert sum_s(pairs, cost_s, sparse, tasks) == pytest.approx(sum_s(pairs, cost_s, dense, tasks))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("tasks", "runners", "share"), [(1, 1, 1.0), (30, 50, 0.3), (300, 400, 0.05), (40, 40, 0.5)])
def test_bids_come_within_a_second_per_task_of_the_best(tasks: int, runners: int, share: float, ties: bool) -> None:
    for seed in range(10):
        pairs, cost_s = market(seed, tasks, runners, share, ties)
        best = sum_s(pairs, cost_s, matching.cheapest(pairs, cost_s, NOBODY, 10**9), tasks)
        bid = sum_s(pairs, cost_s, matching.cheapest(pairs, cost_s, NOBODY, 0, exact_pairs=0), tasks)
        assert best - 1e-6 <= bid <= best + tasks + 1e-6


def test_too_few_runners_for_bids_are_matched_exactly() -> None:
    pairs, cost_s = market(1, 60, 20, 0.5)
    best = matching.cheapest(pairs, cost_s, NOBODY, 10**9)
    bid = matching.cheapest(pairs, cost_s, NOBODY, 0, exact_pairs=0)
    assert sum_s(pairs, cost_s, bid, 60) == pytest.approx(sum_s(pairs, cost_s, best, 60))


@pytest.mark.parametrize("ties", [False, True])
def test_the_plain_way_takes_the_cheapest_pair_then_the_next(ties: bool) -> None:
    for seed in range(10):
        pairs, cost_s = market(seed, 80, 120, 0.4, ties)
        order = sorted(range(len(pairs)), key=lambda k: (cost_s[k], pairs.task[k], pairs.runner[k]))
        tasks: set[int] = set()
        runners: set[int] = set()
        expected = []
        for k in order:
            t, r = int(pairs.task[k]), int(pairs.runner[k])
            if np.isfinite(cost_s[k]) and t not in tasks and r not in runners:
                tasks.add(t)
                runners.add(r)
                expected.append(k)
        assert matching.greedy(pairs, cost_s, NOBODY).tolist() == sorted(expected)


def test_nothing_to_choose_from() -> None:
    nobody = np.zeros(0, dtype=np.intp)
    assert len(matching.cheapest(Pairs(nobody, nobody), np.zeros(0), NOBODY, 10)) == 0
    assert len(matching.greedy(Pairs(nobody, nobody), np.zeros(0), NOBODY)) == 0
    one = Pairs(np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.intp))
    # Dearer than having nobody.
    assert len(matching.cheapest(one, np.array([2e6]), NOBODY, 10)) == 0
    assert len(matching.greedy(one, np.array([2e6]), NOBODY)) == 0
