"""Walking: a line of points, how far one has come on it, and what a phone makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, radians
from random import Random

from geo.point import M_PER_DEG, Point, bearing_deg

from .protocol import SendFix


def metres(a: Point, b: Point) -> float:
    """Distance on a flat earth: a campus is small."""
    return M_PER_DEG * hypot(b.lat - a.lat, (b.lon - a.lon) * cos(radians(a.lat)))


def moved(point: Point, north_m: float, east_m: float) -> Point:
    return Point(point.lat + north_m / M_PER_DEG, point.lon + east_m / (M_PER_DEG * cos(radians(point.lat))))


@dataclass(frozen=True, slots=True)
class Way:
    """Where one is, and the points still ahead."""

    here: Point
    ahead: tuple[Point, ...] = ()

    @property
    def is_there(self) -> bool:
        return not self.ahead

    def after(self, distance_m: float) -> Way:
        """The way when ``distance_m`` more metres have been walked."""
        here, ahead = self.here, self.ahead
        while ahead:
            leg_m = metres(here, ahead[0])
            if leg_m > distance_m:
                part = distance_m / leg_m
                to = ahead[0]
                return Way(Point(here.lat + (to.lat - here.lat) * part, here.lon + (to.lon - here.lon) * part), ahead)
            distance_m -= leg_m
            here, ahead = ahead[0], ahead[1:]
        return Way(here)


def way_to(here: Point, target: Point, path: Sequence[Point] = ()) -> Way:
    """From ``here`` to ``target``, along ``path`` as far as it leads there: the path may go on to further stops, and
    its start may lie behind."""
    if not path:
        return Way(here, (target,))
    end = min(range(len(path)), key=lambda i: metres(path[i], target))
    start = min(range(end + 1), key=lambda i: metres(path[i], here))
    return Way(here, (*path[start : end + 1], target))


def reading(way: Way, at_ms: int, speed_mps: float, luck: Random) -> SendFix:
    """What the phone reports: a few metres off, and it says so."""
    accuracy_m = luck.choice((4.0, 5.0, 6.0, 8.0, 12.0))
    seen = moved(way.here, luck.gauss(0, accuracy_m / 4), luck.gauss(0, accuracy_m / 4))
    is_moving = not way.is_there
    return SendFix(
        at_ms=at_ms,
        lat=round(seen.lat, 7),
        lon=round(seen.lon, 7),
        acc=accuracy_m,
        spd=round(speed_mps, 2) if is_moving else 0.0,
        brg=round(bearing_deg(way.here, way.ahead[0]), 1) if is_moving and way.ahead[0] != way.here else None,
    )
