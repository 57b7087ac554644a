"""Places of rows within groups of the same key."""

from __future__ import annotations

import numpy as np

from .state import Rows


def rank(sorted_keys: Rows) -> Rows:
    """The place of each entry among those of the same key, from 0."""
    if not len(sorted_keys):
        return sorted_keys
    begins = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])
    return np.arange(len(sorted_keys)) - np.repeat(begins, np.diff(np.r_[begins, len(sorted_keys)]))
