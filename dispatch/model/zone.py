"""Zones: geofences in which orders find their runner in a way of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .campus import AssignMode

#: Runners that a zone may be kept to.
MAX_ZONE_RUNNERS = 500


@dataclass(frozen=True, slots=True)
class Zone:
    """``runner_ids``: the only ones who work there; None: everybody."""

    fence_id: str
    campus_id: str
    mode: AssignMode
    runner_ids: tuple[str, ...] | None = None


def zones_of(runner_id: str, chosen: Iterable[str] | None, zones: Iterable[Zone]) -> frozenset[str] | None:
    """Ids of the zones where a runner works, None: everywhere. What they chose counts as long as they may work there;
    what is kept to others does not."""
    known = {zone.fence_id: zone for zone in zones}
    closed = {one for one, zone in known.items() if zone.runner_ids is not None and runner_id not in zone.runner_ids}
    wanted = (known.keys() & set(chosen)) - closed if chosen is not None else set()
    if not wanted and not closed:
        return None
    return frozenset(wanted or known.keys() - closed)
