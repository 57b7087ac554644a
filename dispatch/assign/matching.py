"""Choosing pairs so that each task and each runner is in one at most: the cheapest way, and the plain way."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from .candidates import Pairs
from .state import Floats, Rows


def cheapest(pairs: Pairs, cost_s: Floats, unassigned_s: float, dense_cells: int) -> Rows:
    """Numbers of the chosen pairs: the least sum, where a task in no pair counts ``unassigned_s``."""
    use = np.flatnonzero(np.isfinite(cost_s) & (cost_s < unassigned_s))
    if not len(use):
        return use
    tasks, t = np.unique(pairs.task[use], return_inverse=True)
    runners, r = np.unique(pairs.runner[use], return_inverse=True)
    values = cost_s[use]
    # Dense wins while the matrix is small or mostly full, and where one side is much longer than the other.
    cells = len(tasks) * len(runners)
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
    left = left[np.lexsort((pairs.runner[left], pairs.task[left], cost_s[left]))]
    chosen: list[Rows] = []
    # Every pair that is first both for its task and for its runner is taken at once: the same as one after the other.
    while len(left):
        t, r = pairs.task[left], pairs.runner[left]
        first_t, first_r = np.zeros(len(left), dtype=np.bool_), np.zeros(len(left), dtype=np.bool_)
        first_t[np.unique(t, return_index=True)[1]] = True
        first_r[np.unique(r, return_index=True)[1]] = True
        best = left[first_t & first_r]
        chosen.append(best)
        left = left[~np.isin(t, pairs.task[best]) & ~np.isin(r, pairs.runner[best])]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.intp)
