"""When each campus of this server is served, for the watch over its payments."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from payments.upkeep.alarms import ServiceHours

from .context import Context


async def service_hours(ctx: Context) -> list[ServiceHours]:
    """Every campus's hours as its operators set them, by its own clocks."""
    campuses = await ctx.store.read_global(lambda unit: unit.campuses.all())
    return [
        ServiceHours(
            campus_id=campus.id,
            zone=ZoneInfo(campus.settings.time_zone),
            opens=campus.settings.opens,
            closes=campus.settings.closes,
        )
        for campus in campuses
    ]
