"""Points on the earth (WGS-84 degrees), distances between them, and a flat plane of metres around a place."""

from __future__ import annotations

from collections.abc import Iterable
from math import asin, atan2, cos, degrees, hypot, radians, sin, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import BadPoint

Floats = NDArray[np.float64]

EARTH_RADIUS_M = 6_371_008.8
M_PER_DEG = radians(1) * EARTH_RADIUS_M
# Web maps and Redis's geo commands both end here; no campus lies nearer to a pole.
MAX_LAT_DEG = 85.05


class Point(NamedTuple):
    """A place, degrees WGS-84; always latitude first."""

    lat: float
    lon: float


def is_valid(lat: float, lon: float) -> bool:
    """False for NaN and infinities as well: a comparison with NaN is never true."""
    return -MAX_LAT_DEG <= lat <= MAX_LAT_DEG and -180.0 <= lon <= 180.0


def checked(lat: float, lon: float) -> Point:
    """A point, or ``BadPoint`` that names the coordinate at fault."""
    if not -MAX_LAT_DEG <= lat <= MAX_LAT_DEG:
        raise BadPoint(f"latitude {lat!r} is not between -{MAX_LAT_DEG} and {MAX_LAT_DEG}", "lat")
    if not -180.0 <= lon <= 180.0:
        raise BadPoint(f"longitude {lon!r} is not between -180 and 180", "lon")
    return Point(float(lat), float(lon))


def distance_m(a: Point, b: Point) -> float:
    """Great-circle distance in metres (haversine)."""
    lat_a, lat_b = radians(a[0]), radians(b[0])
    h = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin(radians(b[1] - a[1]) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(h)))


def near_distance_m(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Distance in metres on a flat earth: off by less than 0.1 % within 10 km, and far cheaper than the haversine."""
    east = (lon_b - lon_a + 180.0) % 360.0 - 180.0
    return M_PER_DEG * hypot(lat_b - lat_a, east * cos(radians((lat_a + lat_b) / 2)))


def bearing_deg(a: Point, b: Point) -> float:
    """Direction from ``a`` to ``b``: 0 north, 90 east, always below 360."""
    lat_a, lat_b, east = radians(a[0]), radians(b[0]), radians(b[1] - a[1])
    y = sin(east) * cos(lat_b)
    x = cos(lat_a) * sin(lat_b) - sin(lat_a) * cos(lat_b) * cos(east)
    angle = degrees(atan2(y, x)) % 360.0
    return 0.0 if angle >= 360.0 else angle


def lat_lon_array(points: Iterable[Point] | ArrayLike) -> Floats:
    """Points as an array of shape (n, 2), columns latitude and longitude."""
    rows = points if isinstance(points, np.ndarray) else list(points)  # type: ignore[arg-type]
    return np.asarray(rows, dtype=np.float64).reshape(-1, 2)


def distances_m(points: Floats, target: Point) -> Floats:
    """Great-circle metres from each row (lat, lon) of ``points`` to ``target``."""
    lat = np.radians(points[:, 0])
    half_north = np.sin((radians(target[0]) - lat) / 2) ** 2
    half_east = np.sin(np.radians(target[1] - points[:, 1]) / 2) ** 2
    h = half_north + np.cos(lat) * cos(radians(target[0])) * half_east
    return np.asarray(2 * EARTH_RADIUS_M * np.arcsin(np.minimum(1.0, np.sqrt(h))), dtype=np.float64)


def line_length_m(points: Iterable[Point]) -> float:
    """Length of the line through the points, in metres."""
    rows = lat_lon_array(points)
    if len(rows) < 2:
        return 0.0
    mid = np.radians((rows[1:, 0] + rows[:-1, 0]) / 2)
    east = (np.diff(rows[:, 1]) + 180.0) % 360.0 - 180.0
    return float(np.hypot(np.diff(rows[:, 0]), east * np.cos(mid)).sum() * M_PER_DEG)


class LocalPlane:
    """Metres east (x) and north (y) of an origin; good to about 0.1 % within 10 km of it."""

    __slots__ = ("_lon_m", "origin")

    def __init__(self, origin: Point) -> None:
        self.origin = origin
        self._lon_m = M_PER_DEG * cos(radians(origin[0]))

    def xy(self, point: Point) -> tuple[float, float]:
        east = (point[1] - self.origin[1] + 180.0) % 360.0 - 180.0
        return east * self._lon_m, (point[0] - self.origin[0]) * M_PER_DEG

    def point(self, x: float, y: float) -> Point:
        lon = (self.origin[1] + x / self._lon_m + 180.0) % 360.0 - 180.0
        return Point(self.origin[0] + y / M_PER_DEG, lon)

    def xy_many(self, points: Iterable[Point] | ArrayLike) -> Floats:
        """Shape (n, 2) of (lat, lon) in, shape (n, 2) of (x, y) metres out."""
        rows = lat_lon_array(points)
        east = (rows[:, 1] - self.origin[1] + 180.0) % 360.0 - 180.0
        return np.column_stack((east * self._lon_m, (rows[:, 0] - self.origin[0]) * M_PER_DEG))

    def east_m(self, lon: Floats) -> Floats:
        """Metres east of the origin for each longitude."""
        east = lon - self.origin[1]
        if abs(self.origin[1]) > 170.0:  # near the date line a few metres east may be 360 degrees west
            east = (east + 180.0) % 360.0 - 180.0
        return east * self._lon_m

    def north_m(self, lat: Floats) -> Floats:
        """Metres north of the origin for each latitude."""
        return (lat - self.origin[0]) * M_PER_DEG

    def points(self, xy: Floats) -> list[Point]:
        return [self.point(float(x), float(y)) for x, y in xy]
