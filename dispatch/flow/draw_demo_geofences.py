"""Draw the geofences that a campus of the demonstration begins with: where runners wait, and where they come and go."""

from __future__ import annotations

from ..model import ids
from ..model.geofence import CampusFence, CircleShape, FenceShape, PolygonShape
from ..store.unit_of_work import UnitOfWork
from .context import Context

#: Kinds of places: how far around them, and after how long in them somebody seems to wait.
_AROUND: dict[str, tuple[float, int | None]] = {"canteen": (55.0, 300), "parcel": (35.0, 300), "gate": (40.0, None)}


async def draw_demo_geofences(ctx: Context, campus_id: str) -> int:
    """Fence canteens, parcel stations and gates, and the library by its outline; how many. A campus that has fences
    already is left alone."""
    campus_map = (await ctx.grounds.get(campus_id)).map
    drawn: list[tuple[str, str, FenceShape, int | None]] = []
    for building in campus_map.buildings:
        if building.kind == "library":
            corners = [(point.lat, point.lon) for point in building.ring]
            drawn.append((building.name, building.name_en, PolygonShape(corners), 600))
        elif building.kind in _AROUND:
            radius_m, dwell_s = _AROUND[building.kind]
            drawn.append((building.name, building.name_en, CircleShape(*building.centroid, radius_m), dwell_s))
    for spot in campus_map.spots:
        if spot.kind in _AROUND:
            radius_m, dwell_s = _AROUND[spot.kind]
            drawn.append((spot.name, spot.name_en, CircleShape(*spot.point, radius_m), dwell_s))

    def insert(uow: UnitOfWork) -> int:
        if uow.geofences.count_active():
            return 0
        for name, name_en, shape, dwell_s in drawn:
            uow.geofences.insert(
                CampusFence(
                    uow.new_id(ids.GEOFENCE), uow.campus_id, name, name_en or None, shape, dwell_s, 1, True, uow.now,
                    uow.now, "system",
                )
            )  # fmt: skip
        return len(drawn)

    return await ctx.store.run(campus_id, insert)
