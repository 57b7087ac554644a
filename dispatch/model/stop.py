"""A stop: one place of a task, and what the runner does there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StopRole(StrEnum):
    PICKUP = "pickup"
    DROPOFF = "dropoff"
    PLACE = "place"  # where a queue is stood in


@dataclass(frozen=True, slots=True)
class Stop:
    """One place of a task. ``detail`` (room, door) and the contact are personal and stored encrypted."""

    role: StopRole
    lat: float
    lon: float
    label: str
    place_id: str | None = None
    floor: int = 0
    detail: str = ""
    contact_name: str = ""
    contact_phone: str = ""
