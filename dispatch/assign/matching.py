"""Choosing pairs so that each task and each runner is in one at most: the cheapest way, and the plain way."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from .candidates import Pairs
from .state import Floats, Rows

#: So many pairs of the plain way are gone through at a time.
_PIECE = 2048
#: By how many seconds a bid goes over the price at which a task would not mind; bidding rounds at most.
_STEP_S, _MOST_BIDS = 1.0, 4000


def cheapest(
    pairs: Pairs, cost_s: Floats, unassigned_s: float, dense_cells: int, exact_pairs: int = 1_000_000_000
) -> Rows:
    """Numbers of the chosen pairs: the least sum, where a task in no pair counts ``unassigned_s``.

    Of more than ``exact_pairs`` the sum may be a second per task above the least.
    """
    use = np.flatnonzero(np.isfinite(cost_s) & (cost_s < unassigned_s))
    if not len(use):
        return use
    tasks, t = np.unique(pairs.task[use], return_inverse=True)
    runners, r = np.unique(pairs.runner[use], return_inverse=True)
    values = cost_s[use]
    # Dense wins while the matrix is small or mostly full, and where one side is much longer than the other.
    cells = len(tasks) * len(runners)
    if len(use) > exact_pairs:
        sold = _auction(t, r, values, len(tasks), len(runners), unassigned_s)
        if sold is not None:
            return np.sort(use[sold])
    if cells <= dense_cells or len(use) * 3 >= cells:
        matrix = np.full((len(tasks), len(runners)), unassigned_s)
        matrix[t, r] = values
        picked_t, picked_r = linear_sum_assignment(matrix)
        number = np.full(matrix.shape, -1, dtype=np.intp)
        number[t, r] = np.arange(len(use))
        chosen = number[picked_t, picked_r]
    else:
        chosen = _sparse(t, r, values, len(tasks), len(runners), unassigned_s)
    return np.sort(use[chosen[chosen >= 0]])


def _auction(t: Rows, r: Rows, values: Floats, tasks: int, runners: int, unassigned_s: float) -> Rows | None:
    """Tasks bid for runners until nobody is outbid; every task ends within ``_STEP_S`` of what is best for it at the
    final prices. None where that takes too long: with fewer runners than tasks the prices climb for ever."""
    count = np.bincount(t, minlength=tasks)
    width = int(count.max())
    if tasks > runners or width * tasks > 4 * len(t):
        return None
    column = np.arange(width)
    number = np.minimum((np.cumsum(count) - count)[:, None] + column, len(t) - 1)
    runner, cost_s = r[number], np.where(column < count[:, None], values[number], np.inf)
    price, owner, place = np.zeros(runners), np.full(runners, -1, dtype=np.intp), np.full(tasks, -1, dtype=np.intp)
    left = np.arange(tasks)
    for _ in range(_MOST_BIDS):
        worth = cost_s[left] + price[runner[left]]
        best = worth.argmin(axis=1)
        rows = np.arange(len(left))
        least = worth[rows, best]
        worth[rows, best] = np.inf
        # A task that would cost more than having nobody bids no more.
        bids = least < unassigned_s
        left, best, least = left[bids], best[bids], least[bids]
        if not len(left):
            chosen = np.flatnonzero(place >= 0)
            return np.asarray(number[chosen, place[chosen]])
        wanted = runner[left, best]
        offer = price[wanted] + np.minimum(worth[bids].min(axis=1), unassigned_s) - least + _STEP_S
        order = np.lexsort((-offer, wanted))
        is_highest = np.ones(len(order), dtype=np.bool_)
        is_highest[1:] = wanted[order[1:]] != wanted[order[:-1]]
        won = order[is_highest]
        sold = wanted[won]
        before = owner[sold]
        place[before[before >= 0]] = -1
        price[sold], owner[sold], place[left[won]] = offer[won], left[won], best[won]
        lost = np.ones(len(left), dtype=np.bool_)
        lost[won] = False
        left = np.concatenate((left[lost], before[before >= 0]))
    return None


def _sparse(t: Rows, r: Rows, values: Floats, tasks: int, runners: int, unassigned_s: float) -> Rows:
    """Over the finite cells alone; one column more per task stands for "nobody"."""
    # The solver takes 0 for "no edge": everything is moved above it, "nobody" as far as the rest, which changes no
    # choice because every task is in exactly one pair.
    shift = 1.0 - min(float(values.min()), 0.0)
    rows = np.concatenate((t, np.arange(tasks)))
    columns = np.concatenate((r, runners + np.arange(tasks)))
    data = np.concatenate((values, np.full(tasks, unassigned_s))) + shift
    matrix = csr_matrix((data, (rows, columns)), shape=(tasks, runners + tasks))
    picked_t, picked_r = min_weight_full_bipartite_matching(matrix)
    real = picked_r < runners
    key = t.astype(np.int64) * runners + r
    order = np.argsort(key)
    wanted = picked_t[real].astype(np.int64) * runners + picked_r[real]
    return order[np.searchsorted(key[order], wanted)].astype(np.intp)


def greedy(pairs: Pairs, cost_s: Floats, unassigned_s: float) -> Rows:
    """The plain way: the cheapest pair first, then the next among what is left; ties by task, then runner."""
    left = np.flatnonzero(np.isfinite(cost_s) & (cost_s < unassigned_s))
    # Pairs are sorted by task and runner already.
    left = left[np.argsort(cost_s[left], kind="stable")]
    is_free_t = np.ones(int(pairs.task.max(initial=-1)) + 1, dtype=np.bool_)
    is_free_r = np.ones(int(pairs.runner.max(initial=-1)) + 1, dtype=np.bool_)
    chosen: list[int] = []
    # Piece by piece: what an earlier piece has taken is left out all at once.
    for first in range(0, len(left), _PIECE):
        some = left[first : first + _PIECE]
        some = some[is_free_t[pairs.task[some]] & is_free_r[pairs.runner[some]]]
        taken_t: set[int] = set()
        taken_r: set[int] = set()
        for number, t, r in zip(some.tolist(), pairs.task[some].tolist(), pairs.runner[some].tolist(), strict=True):
            if t not in taken_t and r not in taken_r:
                taken_t.add(t)
                taken_r.add(r)
                chosen.append(number)
        is_free_t[list(taken_t)] = False
        is_free_r[list(taken_r)] = False
    return np.sort(np.array(chosen, dtype=np.intp))
