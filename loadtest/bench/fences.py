"""The geofences of the campus under test, drawn over the operators' HTTP."""

from __future__ import annotations

import math
from typing import Any

from ..api_client import campus_places, open_session
from .errands import Desk, all_at_once
from .passes import Passes

RADIUS_M = 40.0
_METRE_DEG = 1 / 111_195.0


def circle(lat: float, lon: float, radius_m: float = RADIUS_M, corners: int = 12) -> list[list[float]]:
    """A polygon of (lat, lon) pairs round a place."""
    turns = [2 * math.pi * k / corners for k in range(corners)]
    wide = _METRE_DEG / math.cos(math.radians(lat))
    return [
        [round(lat + radius_m * math.sin(t) * _METRE_DEG, 7), round(lon + radius_m * math.cos(t) * wide, 7)]
        for t in turns
    ]


async def draw_fences(url: str, passes: Passes, count: int) -> int | None:
    """Draw ``count`` fences; how many the campus then has, None where the server has no geofences."""
    operators = passes.people["operator"]
    if not operators or not count:
        return 0
    async with open_session() as session:
        desk = Desk(session, url)
        status, _ = await desk.ask(operators[0], "GET", "/geofences", expected=(403, 404, 405))
        if status >= 400:
            return None
        places = await campus_places(session, url, passes.campus_id)
        bodies: list[dict[str, Any]] = []
        for number in range(count):
            place = places[number % len(places)]
            ring = number // len(places)
            bodies.append(
                {"name": f"fence {number}", "outline": circle(place["lat"], place["lon"], RADIUS_M + ring * 25)}
            )
        await all_at_once([desk.ask(operators[0], "POST", "/geofences", body) for body in bodies], 4)
        _, drawn = await desk.ask(operators[0], "GET", "/geofences")
        return len(drawn["items"] if isinstance(drawn, dict) else drawn)
