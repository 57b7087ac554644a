"""Where and when a runner tapped: their word, within what is possible, and else what their track says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from geo.datum import Datum, to_wgs84
from geo.fix import Fix
from geo.point import Point

from ..access.principal import Principal
from ..live.connect import RedisTrouble
from ..model.order import Order
from ..model.requests import Tap
from ..model.stop import StopRole
from ..model.visit import geotag
from .context import Context
from .instants import ms

#: A tap that was made offline counts from when it was made, but not from further back than this.
MAX_TAP_AGE = timedelta(hours=12)
#: A reading so long before or after a tap says where it was made.
SAME_PLACE_MS = 30_000


class Spot(NamedTuple):
    """Where a tap was made, WGS-84. ``located_by``: ``tap`` (the phone said it with the tap) or ``track``."""

    point: Point
    accuracy_m: float | None
    located_by: str


async def locate(ctx: Context, who: Principal, tap: Tap) -> Spot | None:
    """Where the runner tapped, as well as anybody knows."""
    if tap.lat is not None and tap.lon is not None:
        return Spot(to_wgs84(Point(tap.lat, tap.lon), Datum(tap.datum)), tap.accuracy_m, "tap")
    now_ms = ms(ctx.clock.now())
    at_ms = now_ms if tap.tapped_at_ms is None else min(tap.tapped_at_ms, now_ms)
    since_ms, until_ms = at_ms - SAME_PLACE_MS, at_ms + SAME_PLACE_MS
    try:
        fixes = await ctx.tracks.read(who.campus_id, who.account_id, since_ms=since_ms, until_ms=until_ms)
        # The newest reading is on no track yet.
        newest = (await ctx.presence.get(who.campus_id, [who.account_id])).get(who.account_id)
    except RedisTrouble:
        return None  # a tap counts, wherever it was made
    if newest is not None and since_ms <= newest.fixed_at_ms <= until_ms:
        fixes.append(newest)
    found = min(fixes, key=lambda fix: abs(fix.fixed_at_ms - at_ms), default=None)
    return None if found is None else _spot(found)


def _spot(fix: Fix) -> Spot:
    return Spot(fix.point, fix.accuracy_m, "track")


def where(order: Order, role: StopRole, spot: Spot | None, far_m: float) -> dict[str, Any]:
    """How far from its stop something was tapped, for the order's timeline; empty where nobody knows."""
    stop = next((stop for stop in order.stops if stop.role is role), None)
    if stop is None or spot is None:
        return {}
    tag = geotag(spot.point, spot.accuracy_m, stop, far_m)
    found: dict[str, Any] = {"distance_from_stop_m": tag.distance_m, "located_by": spot.located_by}
    if tag.accuracy_m is not None:
        found["accuracy_m"] = tag.accuracy_m
    return found | ({"is_far_from_stop": True} if tag.is_far else {})


def beyond_doubt_m(told: dict[str, Any]) -> float | None:
    """At least so far from the stop it was tapped; None where nobody knows."""
    away_m = told.get("distance_from_stop_m")
    return None if away_m is None else float(max(0, away_m - told.get("accuracy_m", 0)))


def tapped_at(tap: Tap, now: datetime, not_before: datetime | None) -> datetime:
    """When the button was pressed: the runner's word, within what is possible."""
    if tap.tapped_at_ms is None:
        return now
    earliest = max(now - MAX_TAP_AGE, not_before) if not_before is not None else now - MAX_TAP_AGE
    # Compared as numbers: a device's idea of the time need not be a date at all.
    if tap.tapped_at_ms >= ms(now):
        return now
    if tap.tapped_at_ms <= ms(earliest):
        return min(earliest, now)
    return datetime.fromtimestamp(tap.tapped_at_ms / 1000, UTC)
