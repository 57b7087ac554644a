"""The plain way: the cheapest pair first, then the next among what is left. The fallback, and the measure to beat."""

from __future__ import annotations

import numpy as np

from .state import Floats


def match(total: Floats) -> list[tuple[int, int]]:
    """Pairs (task row, runner column) over a cost matrix with inf for the impossible; ties by row, then column."""
    rows, columns = np.nonzero(np.isfinite(total))
    order = np.lexsort((columns, rows, total[rows, columns]))
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    pairs: list[tuple[int, int]] = []
    for i in order:
        row, column = int(rows[i]), int(columns[i])
        if row in used_rows or column in used_columns:
            continue
        used_rows.add(row)
        used_columns.add(column)
        pairs.append((row, column))
    return sorted(pairs)
