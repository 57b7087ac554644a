"""What runners and the campus team may send about timetables, breaks, zones and pins."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from .requests import DatumName, EpochMs, IdText, Request, Version
from .shift import MAX_ENTRIES, Entry
from .zone import MAX_ZONE_RUNNERS


class SavePlan(Request, frozen=True, kw_only=True):
    """The whole week anew; ``version`` is the one that was seen. ``zones``: where they work, None: everywhere."""

    version: Version
    term_starts: date | None = None
    entries: Annotated[list[Entry], Meta(max_length=MAX_ENTRIES)]
    zones: Annotated[list[IdText], Meta(max_length=200)] | None = None


class TakeBreak(Request, frozen=True, kw_only=True):
    """No offers until then; None: the break is over."""

    until_ms: EpochMs | None


class SetZone(Request, frozen=True, kw_only=True):
    """Make a geofence a zone, or not one any more (``mode`` None). ``version``: the geofence's that was seen.
    ``runner_ids``: the only ones who work there; None: everybody."""

    version: Version
    mode: Literal["dispatch", "grab", "mixed"] | None
    runner_ids: Annotated[list[IdText], Meta(min_length=1, max_length=MAX_ZONE_RUNNERS)] | None = None
    datum: DatumName = "wgs84"


class HoldOrder(Request, frozen=True, kw_only=True):
    """Keep an order that waits for one runner."""

    runner_id: IdText
    version: Version
    minutes: Annotated[int, Meta(ge=1, le=120)] = 15
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
