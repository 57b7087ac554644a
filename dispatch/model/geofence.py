"""Geofences of a campus as the books have them: named areas, and who was in which from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct

from geo.fence_shape import Circle, Geofence, Outline
from geo.point import Point

#: Active fences of one campus at most.
MAX_FENCES = 200
#: Corners of a polygon, and the size of any fence: its radius, or that of the circle of the same area.
MIN_CORNERS, MAX_CORNERS = 3, 200
MIN_RADIUS_M, MAX_RADIUS_M = 5.0, 5_000.0
#: Seconds after which somebody inside may be said to dwell.
MIN_DWELL_S, MAX_DWELL_S = 10, 86_400
#: How long it is known who was where.
STAY_KEPT = timedelta(days=30)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MaxLat = Annotated[float, Meta(ge=-85.05, le=85.05)]
_MaxLon = Annotated[float, Meta(ge=-180, le=180)]


class CircleShape(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="circle"):
    """A circle around a point."""

    lat: _MaxLat
    lon: _MaxLon
    radius_m: Annotated[float, Meta(ge=MIN_RADIUS_M, le=MAX_RADIUS_M)]


class PolygonShape(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="polygon"):
    """A polygon by its corners, ``[lat, lon]`` each; the last is not the first again."""

    corners: Annotated[list[tuple[_MaxLat, _MaxLon]], Meta(min_length=MIN_CORNERS, max_length=MAX_CORNERS)]


FenceShape = CircleShape | PolygonShape


@dataclass(frozen=True, slots=True)
class CampusFence:
    """A named area of a campus, WGS-84. One that was deleted is not active: the log of stays still knows its name."""

    id: str
    campus_id: str
    name: str
    name_en: str | None
    shape: FenceShape
    dwell_s: int | None
    version: int
    is_active: bool
    created_at: datetime
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True)
class FenceStay:
    """A runner's stay in a fence; ``left_at`` None: they are in it."""

    id: str
    campus_id: str
    fence_id: str
    runner_id: str
    entered_at: datetime
    left_at: datetime | None
    has_dwelled: bool


@dataclass(frozen=True, slots=True)
class DwellFigures:
    """What is known of the stays in one fence; seconds of those that ended, None without any."""

    fence_id: str
    visits: int
    inside_now: int
    dwelled: int
    mean_s: float | None
    median_s: float | None
    longest_s: float | None


StayChange = Literal["entered", "left", "dwelled"]


@dataclass(frozen=True, slots=True)
class ChangedStay:
    """What a crossing changed in the books."""

    fence_id: str
    runner_id: str
    change: StayChange
    at: datetime
    entered_at: datetime


def drawn(shape: FenceShape) -> Circle | Outline:
    """The shape as geometry knows it."""
    if isinstance(shape, CircleShape):
        return Circle(Point(shape.lat, shape.lon), shape.radius_m)
    return Outline(tuple(Point(lat, lon) for lat, lon in shape.corners))


def judged(fence: CampusFence) -> Geofence:
    """The fence as geometry judges it."""
    return Geofence(fence.id, fence.name, drawn(fence.shape), fence.dwell_s)


def instant(at_ms: int) -> datetime:
    """Milliseconds since 1970 as an instant, exactly."""
    return _EPOCH + timedelta(milliseconds=at_ms)
