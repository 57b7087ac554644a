"""The geofences of the campus under test, drawn over the operators' HTTP."""

from __future__ import annotations

import math
from typing import Any

from ..api_client import campus_places, open_session
from .errands import Desk
from .passes import Passes

RADIUS_M = 40.0
DWELL_S = 60
_METRE_DEG = 1 / 111_195.0


def corners(lat: float, lon: float, radius_m: float, count: int = 12) -> list[list[float]]:
    """A polygon of [lat, lon] round a place."""
    wide = _METRE_DEG / math.cos(math.radians(lat))
    turns = [2 * math.pi * k / count for k in range(count)]
    return [
        [round(lat + radius_m * math.sin(t) * _METRE_DEG, 7), round(lon + radius_m * math.cos(t) * wide, 7)]
        for t in turns
    ]


def fence(number: int, place: dict[str, Any], radius_m: float) -> dict[str, Any]:
    """Every other one is a circle, the rest are polygons; every fifth tells of those who stay."""
    lat, lon = place["lat"], place["lon"]
    shape: dict[str, Any] = {"kind": "circle", "lat": lat, "lon": lon, "radius_m": radius_m}
    if number % 2:
        shape = {"kind": "polygon", "corners": corners(lat, lon, radius_m)}
    return {"name": f"fence {number}", "shape": shape} | ({"dwell_s": DWELL_S} if number % 5 == 0 else {})


async def draw_fences(url: str, passes: Passes, count: int) -> int | None:
    """Draw fences round places until the campus has ``count``; how many it has, None where the server knows none."""
    operators = passes.people["operator"]
    if not operators or not count:
        return 0
    async with open_session() as session:
        desk = Desk(session, url)
        status, drawn = await desk.ask(operators[0], "GET", "/geofences", expected=(403, 404, 405))
        if status >= 400:
            return None
        had = len(drawn["geofences"])
        places = await campus_places(session, url, passes.campus_id)
        for number in range(had, count):
            place, ring = places[number % len(places)], number // len(places)
            await desk.ask(operators[0], "POST", "/geofences", fence(number, place, RADIUS_M + 25.0 * ring))
        _, drawn = await desk.ask(operators[0], "GET", "/geofences")
        return len(drawn["geofences"])
