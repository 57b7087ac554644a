"""Chinese map coordinates: WGS-84 inside, GCJ-02 at the edges for clients that say so.

GCJ-02 shifts every place in China by up to some 600 m; the formula is the one that all public maps use.
Outside China both datums are the same.
"""

from __future__ import annotations

from enum import StrEnum
from math import cos, pi, radians, sin, sqrt

from .point import Point


class Datum(StrEnum):
    WGS84 = "wgs84"
    GCJ02 = "gcj02"


# The ellipsoid of Krasovsky, which the published shift is computed on.
_AXIS_M = 6_378_245.0
_ECCENTRICITY_SQ = 0.00669342162296594323


def is_in_china(lat: float, lon: float) -> bool:
    """The rectangle in which the shift is applied; the same one that map providers use."""
    return 0.8293 <= lat <= 55.8271 and 72.004 <= lon <= 137.8347


def _shift(lat: float, lon: float) -> tuple[float, float]:
    """How far GCJ-02 lies from WGS-84 at a WGS-84 place, in degrees (north, east)."""
    x, y = lon - 105.0, lat - 35.0
    common = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    root = sqrt(abs(x))
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + common
    north += (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    north += (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + common
    east += (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    east += (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    phi = radians(lat)
    magic = 1.0 - _ECCENTRICITY_SQ * sin(phi) ** 2
    root_magic = sqrt(magic)
    north = north * 180.0 / (_AXIS_M * (1.0 - _ECCENTRICITY_SQ) / (magic * root_magic) * pi)
    east = east * 180.0 / (_AXIS_M / root_magic * cos(phi) * pi)
    return north, east


def _to_gcj02(point: Point) -> Point:
    if not is_in_china(point[0], point[1]):
        return point
    north, east = _shift(point[0], point[1])
    return Point(point[0] + north, point[1] + east)


def _from_gcj02(point: Point) -> Point:
    lat, lon = point[0], point[1]
    if not (0.0 <= lat <= 57.0 and 71.0 <= lon <= 139.0):  # nowhere near: the usual answer abroad
        return point
    # There is no closed inverse. The shift hardly changes over its own length: three steps leave under a millimetre.
    for _ in range(3):
        north, east = _shift(lat, lon)
        lat, lon = point[0] - north, point[1] - east
    # The edge of China is asked of the true place: a shifted one may lie on the other side of it.
    return Point(lat, lon) if is_in_china(lat, lon) else point


def to_wgs84(point: Point, datum: Datum) -> Point:
    """A point as the client gave it, in ``datum``, as WGS-84."""
    return _from_gcj02(point) if datum is Datum.GCJ02 else point


def from_wgs84(point: Point, datum: Datum) -> Point:
    """A WGS-84 point as a client that asked for ``datum`` wants to see it."""
    return _to_gcj02(point) if datum is Datum.GCJ02 else point
