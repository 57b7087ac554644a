"""What runners and the campus team may send about timetables, breaks, zones and pins."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from .requests import DatumName, EpochMs, IdText, Request, Version
from .shift import MAX_ENTRIES, Entry
from .zone import MAX_ZONE_RUNNERS


class SavePlan(Request, frozen=True, kw_only=True):
    """The whole week anew; ``version`` is the one that was seen. ``zones``: where they work, at least
    one; None: everywhere."""

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


class CoolDownRequest(Request, frozen=True, kw_only=True):
    """How long a runner is left in peace after a refusal; see ``model.shift.CoolDown``."""

    first_s: Annotated[int, Meta(ge=0, le=3_600)]
    longest_s: Annotated[int, Meta(ge=0, le=14_400)]
    forget_s: Annotated[int, Meta(ge=60, le=86_400)]


class RungRequest(Request, frozen=True, kw_only=True):
    """A step of the ladder; see ``model.escalation.Rung``."""

    step: Literal["wider", "far", "called", "alerted", "choice"]
    after_s: Annotated[int, Meta(ge=5, le=14_400)]
    after_refusals: Annotated[int, Meta(ge=1, le=50)] | None = None
    reach: Annotated[float, Meta(ge=1, le=10)] = 1.0
    priority_s: Annotated[float, Meta(ge=0, le=3_600)] = 0.0
    is_any_zone: bool = False
    is_called: bool = False
    is_alert: bool = False
    is_choice: bool = False


class SetDispatchRules(Request, frozen=True, kw_only=True):
    """What is done about refusals, wishes and orders that nobody takes; fields left out stay. ``version``: the
    campus's that was seen. Steps come later and reach no less far than the one before."""

    version: Version
    cool_down: CoolDownRequest | UnsetType = UNSET
    wish_s: Annotated[int, Meta(ge=0, le=900)] | UnsetType = UNSET
    rungs: Annotated[list[RungRequest], Meta(max_length=10)] | UnsetType = UNSET
    call_gap_s: Annotated[int, Meta(ge=30, le=3_600)] | UnsetType = UNSET
    calls_most: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET


class HoldOrder(Request, frozen=True, kw_only=True):
    """Keep an order that waits for one runner."""

    runner_id: IdText
    version: Version
    minutes: Annotated[int, Meta(ge=1, le=120)] = 15
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
