"""What a campus has learned about arrivals: its runners' speeds, its detours, and how wrong expectations turn out."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log

from .calibration import Calibration, Spread
from .pace import Paces
from .shrinkage import Mean

#: Where there is no map the straight line counts with this detour, until tracks say better.
FIRST_DETOUR = 1.3
MOST_DETOUR = 3.0
#: Short ways bend more: straight metres at which one band ends and the next begins.
_DETOUR_BANDS_M = (200.0, 500.0, 1_200.0)
_DETOUR_PRIOR, _DETOUR_MOST = 8.0, 500.0


#: Before a runner is known nobody knows where they come from and what they carry besides.
BEFORE_ANYBODY = Spread(0.0, 0.35, 0.4)


class Detours:
    """How much longer the way is than the straight line, by the length of the latter."""

    def __init__(self) -> None:
        self._bands = [Mean() for _ in range(len(_DETOUR_BANDS_M) + 1)]
        self._all = Mean()

    def learn(self, straight_m: float, way_m: float) -> bool:
        """False where the two say nothing about a detour."""
        if not (straight_m >= 30.0 and straight_m <= way_m <= MOST_DETOUR * straight_m):
            return False
        ratio, band = log(way_m / straight_m), _detour_band(straight_m)
        self._all = self._all.seen(ratio, most=_DETOUR_MOST)
        self._bands[band] = self._bands[band].seen(ratio, most=_DETOUR_MOST)
        return True

    def ratio(self, straight_m: float) -> float:
        """At least 1."""
        usual = self._all.towards(log(FIRST_DETOUR), _DETOUR_PRIOR)
        return max(1.0, exp(self._bands[_detour_band(straight_m)].towards(usual, _DETOUR_PRIOR)))

    def to_json(self) -> list[Mean]:
        return [self._all, *self._bands]

    @classmethod
    def from_json(cls, body: list[Mean]) -> Detours:
        made = cls()
        if len(body) == len(made._bands) + 1:
            made._all, made._bands = body[0], body[1:]
        return made


def _detour_band(straight_m: float) -> int:
    return sum(straight_m >= end for end in _DETOUR_BANDS_M)


class ArrivalModel:
    """One campus's; without anything learned it answers from field figures."""

    def __init__(
        self,
        paces: Paces | None = None,
        detours: Detours | None = None,
        errors: Calibration | None = None,
        services: Mapping[str, Mean] | None = None,
        promises: Calibration | None = None,
    ) -> None:
        self.paces = paces or Paces()
        self.detours = detours or Detours()
        #: Of what is expected of errands under way, and of what is reckoned before anybody has one.
        self.errors = errors or Calibration()
        self.promises = promises or Calibration(BEFORE_ANYBODY)
        #: Seconds by what they are spent on.
        self.services: dict[str, Mean] = dict(services or {})
