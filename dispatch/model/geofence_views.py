"""What operators are answered about geofences: the fences, the log of stays, the report of how long they took."""

from __future__ import annotations

from .geofence import CircleShape, PolygonShape
from .views import View


class ZoneView(View, frozen=True, kw_only=True):
    """How orders in a zone find their runner; ``runner_ids``: the only ones who work there, None: everybody."""

    mode: str
    runner_ids: list[str] | None


class GeofenceView(View, frozen=True, kw_only=True):
    """A geofence, in the datum that was asked for."""

    id: str
    name: str
    name_en: str | None
    shape: CircleShape | PolygonShape
    dwell_s: int | None
    version: int
    updated_at_ms: int
    inside: list[str]  # ids of the runners who are in it
    zone: ZoneView | None = None  # None: as the campus does it


class GeofenceList(View, frozen=True, kw_only=True):
    geofences: list[GeofenceView]


class StayView(View, frozen=True, kw_only=True):
    """A runner's stay in a fence; ``left_at_ms`` None: they are in it."""

    id: str
    fence_id: str
    fence_name: str
    runner_id: str
    runner_name: str
    entered_at_ms: int
    left_at_ms: int | None
    inside_s: float | None
    has_dwelled: bool


class StayPage(View, frozen=True, kw_only=True):
    stays: list[StayView]
    next_before: str | None  # pass as ``before`` for the next page


class DwellRow(View, frozen=True, kw_only=True):
    """Stays in one fence that began in the time of the report; seconds of those that have ended."""

    fence_id: str
    name: str
    is_active: bool
    visits: int
    inside_now: int
    dwelled: int
    mean_s: float | None
    median_s: float | None
    longest_s: float | None


class DwellReport(View, frozen=True, kw_only=True):
    since_ms: int
    until_ms: int
    rows: list[DwellRow]
