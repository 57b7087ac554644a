"""What a campus map is made of: the records for buildings, gates, paths, zones, drawn areas and places."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .point import Point

Ring = tuple[Point, ...]  # not closed: the last point is not the first again


class PathKind(StrEnum):
    FOOTWAY = "footway"
    STEPS = "steps"
    CROSSING = "crossing"
    ROAD = "road"  # cars drive here, and one can walk along it
    CYCLEWAY = "cycleway"


class ZoneKind(StrEnum):
    NO_GO = "no_go"
    QUIET = "quiet"  # on foot only


class AreaKind(StrEnum):
    """What is only drawn."""

    WATER = "water"
    GREEN = "green"
    WOOD = "wood"
    PITCH = "pitch"
    PLAZA = "plaza"
    PARKING = "parking"


@dataclass(frozen=True, slots=True)
class Gate:
    """Where one enters. ``is_mapped`` is false when it was guessed: the outline's point nearest to a path."""

    id: str
    point: Point
    name: str = ""
    is_mapped: bool = True


@dataclass(frozen=True, slots=True)
class Building:
    id: str
    name: str
    ring: Ring
    centroid: Point
    gates: tuple[Gate, ...] = ()
    floors: int = 1
    name_en: str = ""
    kind: str = "building"
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """A way that one can walk. Paths meet where they hold the same point."""

    points: Ring
    kind: PathKind = PathKind.FOOTWAY
    name: str = ""


@dataclass(frozen=True, slots=True)
class Zone:
    id: str
    name: str
    ring: Ring
    kind: ZoneKind = ZoneKind.NO_GO


@dataclass(frozen=True, slots=True)
class Area:
    ring: Ring
    kind: AreaKind
    name: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Something that an order can name: a building, a shop in one, a gate of the campus."""

    id: str
    name: str
    point: Point  # where one stands: the gate if there is one
    kind: str = "place"
    name_en: str = ""
    gates: tuple[Gate, ...] = ()
    floors: int = 1
    building_id: str | None = None
    aliases: tuple[str, ...] = ()

    def gate(self, gate_id: str | None) -> Gate | None:
        """The gate of that id, else the first one, else None."""
        for gate in self.gates:
            if gate.id == gate_id:
                return gate
        return self.gates[0] if self.gates else None


def place_of(building: Building) -> Place:
    """The place that a building is: one stands at its first gate."""
    return Place(
        building.id,
        building.name or building.name_en,
        building.gates[0].point if building.gates else building.centroid,
        building.kind,
        building.name_en,
        building.gates,
        building.floors,
        building.id,
        building.aliases,
    )
