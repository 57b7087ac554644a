"""How wrong expected times turn out, learned from arrivals: the range within which four of five fall.

An arrival's error is the logarithm of (actual + c) / (expected + c): twice as long and half as long are equally far
off, and near the end, where nothing is left to walk, seconds count. Errors are counted in bins that slowly forget.
Where a case has been seen seldom its quantiles lean on those of all cases, and these on a prior.

Which quantiles the ends of the range are is learned as well: too many arrivals below its lower end move that end down,
too few move it up, and so for the upper one. Whatever else is wrong, in the long run four of five fall within.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erf, exp, log, sqrt
from typing import NamedTuple

import numpy as np

from .eta import Eta
from .point import Floats

#: The range that is told: from the 10 % quantile of arrivals to the 90 %.
LOW, HIGH = 0.1, 0.9
#: Added to both sides of the ratio.
FLOOR_S = 60.0
#: Errors beyond these count as these; bins between them.
_LEAST, _MOST, _BINS = -2.0, 3.0, 125
_WIDTH = (_MOST - _LEAST) / _BINS
#: A case keeps the memory of about so many arrivals; what it leans on counts as so many.
REMEMBERED, PARENT_COUNTS = 1_500.0, 25.0
#: How far an end moves for an arrival beyond it, in shares; and how far the ends may come from where they began.
_PULL, _MOST_PULL = 0.004, 0.095
#: Different cases that are told apart; more would be one, "other".
MOST_CASES = 256
#: The ends of the bands into which expected times are divided, in seconds.
BANDS_S = (120.0, 300.0, 600.0, 1_200.0, 2_400.0)
_ALL, _OTHER = "*", "other"


#: ``bins``, by case: the first that is not empty, then the counts up to the last such; ``levels``, by case: both ends.
CalibrationRecord = dict[str, dict[str, list[float]]]


class Spread(NamedTuple):
    """A prior: normal errors with another width below and above the middle."""

    middle: float = 0.02
    below: float = 0.22
    above: float = 0.30


def shared_weight(count: int) -> float:
    """The weight of each of several expectations of one arrival, a minute apart: they have much of their error in
    common, so that together they count for less than as many arrivals."""
    return float(max(1, count) ** -0.25)


def band(expected_s: float) -> int:
    """0 for the shortest."""
    return sum(expected_s >= end for end in BANDS_S)


def error_of(expected_s: float, actual_s: float) -> float:
    """0 where it was just right, above 0 where it took longer."""
    return log((max(0.0, actual_s) + FLOOR_S) / (max(0.0, expected_s) + FLOOR_S))


class Calibration:
    """Quantiles of errors by case; a case is a name (how far the errand has come) and a band of expected times."""

    def __init__(self, prior: Spread = Spread(), remembered: float = REMEMBERED) -> None:  # noqa: B008
        self._prior = _prior_bins(prior)
        self._remembered = remembered
        self._bins: dict[str, Floats] = {}
        self._levels: dict[str, tuple[float, float]] = {}
        self._told: dict[tuple[str, int], list[float]] = {}  # until something is learned

    def learn(self, case: str, expected_s: float, actual_s: float, weight: float = 1.0) -> None:
        """An arrival that was expected in ``expected_s`` seconds happened after ``actual_s``."""
        error = error_of(expected_s, actual_s)
        self._pull(case, expected_s, error, weight)
        self._told.clear()
        place = (error - _LEAST) / _WIDTH
        index = min(_BINS - 1, max(0, int(place)))
        for name in (_ALL, case, f"{case}/{band(expected_s)}"):
            bins = self._bins.get(name)
            if bins is None:
                if len(self._bins) >= MOST_CASES:
                    name = _OTHER
                bins = self._bins.setdefault(name, np.zeros(_BINS))
            bins *= max(0.0, 1.0 - weight / self._remembered)
            bins[index] += weight

    def range_of(self, case: str, expected_s: float) -> Eta:
        """The expected time, corrected by what is usual, and its range."""
        key = (case, band(expected_s))
        told = self._told.get(key)
        if told is None:
            low, high = self.levels(case)
            told = self.quantiles(case, expected_s, (low, 0.5, high))
            if len(self._told) < MOST_CASES:
                self._told[key] = told
        low, middle, high = told
        return Eta(*(max(0.0, (max(0.0, expected_s) + FLOOR_S) * exp(z) - FLOOR_S) for z in (middle, low, high)))

    def levels(self, case: str) -> tuple[float, float]:
        """Which quantiles of what is known are the ends of the range."""
        return self._levels.get(case) or self._levels.get(_ALL) or (LOW, HIGH)

    def _pull(self, case: str, expected_s: float, error: float, weight: float) -> None:
        """Move the ends by what they would have said of this arrival."""
        low, high = self.levels(case)
        lowest, highest = self.quantiles(case, expected_s, (low, high))
        down = _PULL * weight * ((error < lowest) - LOW)
        up = _PULL * weight * ((error > highest) - (1 - HIGH))
        for name in (_ALL, case):
            if name in self._levels or len(self._levels) < MOST_CASES:
                low, high = self.levels(name)
                self._levels[name] = _within(low - down, LOW), _within(high + up, HIGH)

    def quantiles(self, case: str, expected_s: float, shares: Sequence[float]) -> list[float]:
        """Of the errors of a case, ascending with ``shares``."""
        known = self._prior
        for name in (_ALL, case, f"{case}/{band(expected_s)}"):
            bins = self._bins.get(name)
            if bins is not None:
                known = bins + known * (PARENT_COUNTS / known.sum())
        upto = np.concatenate(([0.0], np.cumsum(known)))
        edges = np.linspace(_LEAST, _MOST, _BINS + 1)
        return [float(np.interp(share * upto[-1], upto, edges)) for share in shares]

    def seen(self, case: str = _ALL) -> float:
        """How many arrivals a case still remembers."""
        bins = self._bins.get(case)
        return float(bins.sum()) if bins is not None else 0.0

    def to_json(self) -> CalibrationRecord:
        """What is to be kept."""
        found = {}
        for name, bins in self._bins.items():
            filled = np.flatnonzero(bins > 1e-3)
            if filled.size:
                counts = bins[filled[0] : filled[-1] + 1]
                found[name] = [float(filled[0]), *(round(float(count), 3) for count in counts)]
        return {"bins": found, "levels": {name: list(levels) for name, levels in self._levels.items()}}

    @classmethod
    def from_json(cls, body: CalibrationRecord, prior: Spread = Spread()) -> Calibration:  # noqa: B008
        """What :meth:`to_json` gave; anything beyond the bounds is left out."""
        made = cls(prior)
        for name, (low, high) in list(body.get("levels", {}).items())[:MOST_CASES]:
            made._levels[name] = _within(low, LOW), _within(high, HIGH)
        for name, (first, *counts) in list(body.get("bins", {}).items())[:MOST_CASES]:
            bins, start = np.zeros(_BINS), int(first)
            if start >= 0 and start + len(counts) <= _BINS:
                bins[start : start + len(counts)] = counts
                made._bins[name] = bins
        return made


def _within(level: float, began: float) -> float:
    return min(began + _MOST_PULL, max(began - _MOST_PULL, level))


def _prior_bins(prior: Spread) -> Floats:
    """The prior as shares of the bins."""
    edges = np.linspace(_LEAST, _MOST, _BINS + 1)
    below = np.array([erf(min(0.0, edge - prior.middle) / prior.below / sqrt(2)) for edge in edges])
    above = np.array([erf(max(0.0, edge - prior.middle) / prior.above / sqrt(2)) for edge in edges])
    shares = np.diff(below + above)
    return np.asarray(shares / shares.sum(), dtype=np.float64)
