"""A campus as the rest of the house sees it: outline, buildings with gates and floors, paths, zones, named places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, zip_longest

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon, contains_xy, distance, make_valid, prepare
from shapely import points as make_points
from shapely.geometry.base import BaseGeometry
from shapely.strtree import STRtree

from .campus_codec import pack, unpack
from .campus_geojson import feature_collection
from .campus_parts import (
    Area as Area,
)
from .campus_parts import (
    AreaKind as AreaKind,
)
from .campus_parts import (
    Building as Building,
)
from .campus_parts import (
    Gate as Gate,
)
from .campus_parts import (
    Path as Path,
)
from .campus_parts import (
    PathKind as PathKind,
)
from .campus_parts import (
    Place as Place,
)
from .campus_parts import (
    Ring as Ring,
)
from .campus_parts import (
    Zone as Zone,
)
from .campus_parts import (
    ZoneKind as ZoneKind,
)
from .campus_parts import (
    place_of as place_of,
)
from .datum import Datum
from .errors import BadMap, UnknownPlace
from .place_search import PlaceSearch
from .point import LocalPlane, Point, distance_m

# What most errands begin or end at, in this order, is offered before anything is typed.
QUICK_KINDS = ("dormitory", "canteen", "parcel", "library", "shop", "teaching", "gate", "cafe", "sports")


@dataclass(frozen=True, eq=False)
class CampusMap:
    """One campus's map, WGS-84. ``service_area`` is where orders may begin and end; empty: the boundary."""

    name: str
    boundary: Ring = field(repr=False)
    buildings: tuple[Building, ...] = field(default=(), repr=False)
    paths: tuple[Path, ...] = field(default=(), repr=False)
    service_area: Ring = field(default=(), repr=False)
    zones: tuple[Zone, ...] = field(default=(), repr=False)
    areas: tuple[Area, ...] = field(default=(), repr=False)
    # Places that are no building: shops, cafés, the campus's own gates.
    spots: tuple[Place, ...] = field(default=(), repr=False)
    quick_ids: tuple[str, ...] = field(default=(), repr=False)
    name_en: str = ""
    attribution: str = ""

    def __post_init__(self) -> None:
        if len(self.boundary) < 3:
            raise BadMap("a campus needs a boundary of at least three points", "boundary")
        seen: set[str] = set()
        for item in self._named():
            if item.id in seen:
                raise BadMap(f"the id {item.id!r} names two places", "id")
            seen.add(item.id)

    def _named(self) -> tuple[Building | Place, ...]:
        return (*self.buildings, *self.spots)

    @cached_property
    def bounds(self) -> tuple[Point, Point]:
        """South-west and north-east corner of the boundary and the service area."""
        rows = (*self.boundary, *self.service_area)
        lats, lons = [p.lat for p in rows], [p.lon for p in rows]
        return Point(min(lats), min(lons)), Point(max(lats), max(lons))

    @cached_property
    def center(self) -> Point:
        low, high = self.bounds
        return Point((low.lat + high.lat) / 2, (low.lon + high.lon) / 2)

    @cached_property
    def plane(self) -> LocalPlane:
        return LocalPlane(self.center)

    @cached_property
    def service_ring(self) -> Ring:
        return self.service_area or self.boundary

    @cached_property
    def _service_shape(self) -> BaseGeometry:
        return _prepared(self.service_ring)

    @cached_property
    def _boundary_shape(self) -> BaseGeometry:
        return _prepared(self.boundary)

    @cached_property
    def _zone_shapes(self) -> list[tuple[Zone, BaseGeometry]]:
        return [(zone, _prepared(zone.ring)) for zone in self.zones]

    def contains(self, point: Point) -> bool:
        """Whether a place lies in the service area."""
        return bool(contains_xy(self._service_shape, point[1], point[0]))

    def is_on_campus(self, point: Point) -> bool:
        return bool(contains_xy(self._boundary_shape, point[1], point[0]))

    def zone_at(self, point: Point) -> Zone | None:
        """The first no-go zone around a place, or None."""
        for zone, shape in self._zone_shapes:
            if zone.kind is ZoneKind.NO_GO and contains_xy(shape, point[1], point[0]):
                return zone
        return None

    def is_no_go(self, point: Point) -> bool:
        return self.zone_at(point) is not None

    @cached_property
    def _no_go_shapes(self) -> list[BaseGeometry]:
        """In metres of ``plane``."""
        rings = [self.plane.xy_many(zone.ring) for zone in self.zones if zone.kind is ZoneKind.NO_GO]
        return [_prepared(Point(y, x) for x, y in ring.tolist()) for ring in rings]

    def are_no_go(self, points: Sequence[Point], blur_m: Sequence[float] | float = 0.0) -> NDArray[np.bool_]:
        """Whether each place lies in a no-go zone for sure: further from the edge than it may be off (``blur_m``)."""
        found = np.zeros(len(points), dtype=np.bool_)
        if not points or not self._no_go_shapes:
            return found
        xy, blur = self.plane.xy_many(points), np.broadcast_to(np.asarray(blur_m, dtype=np.float64), len(points))
        for shape in self._no_go_shapes:
            rows = np.flatnonzero(contains_xy(shape, xy[:, 0], xy[:, 1]))
            found[rows] |= distance(shape.boundary, make_points(xy[rows])) >= blur[rows]
        return found

    @cached_property
    def places(self) -> Mapping[str, Place]:
        """Everything that has a name or is worth naming, by id."""
        found = {place.id: place for place in self.spots}
        for building in self.buildings:
            if building.name or building.name_en:
                found[building.id] = place_of(building)
        return found

    def place(self, place_id: str) -> Place:
        """``UnknownPlace`` if this campus has no such place."""
        try:
            return self.places[place_id]
        except KeyError:
            raise UnknownPlace(f"this campus has no place {place_id!r}", "place_id") from None

    @cached_property
    def _buildings_by_id(self) -> Mapping[str, Building]:
        return {building.id: building for building in self.buildings}

    def building(self, building_id: str) -> Building | None:
        return self._buildings_by_id.get(building_id)

    @cached_property
    def _building_tree(self) -> tuple[STRtree, list[Building]]:
        whole = [building for building in self.buildings if len(building.ring) >= 3]
        return STRtree([_shape(building.ring) for building in whole]), whole

    def building_at(self, point: Point) -> Building | None:
        """The building that a place lies in, or None."""
        tree, whole = self._building_tree
        rows = tree.query(make_points(point[1], point[0]), predicate="intersects")
        return whole[int(rows[0])] if len(rows) else None

    def nearest_place(self, point: Point, within_m: float = float("inf")) -> Place | None:
        """The named place around a point, else the nearest one by its gates, within ``within_m``."""
        inside = self.building_at(point)
        if inside is not None and inside.id in self.places:
            return self.places[inside.id]
        best: Place | None = None
        best_m = within_m
        for place in self.places.values():
            for stand in (place.point, *(gate.point for gate in place.gates)):
                metres = distance_m(point, stand)
                if metres <= best_m:
                    best, best_m = place, metres
        return best

    @cached_property
    def _searcher(self) -> PlaceSearch:
        return PlaceSearch(self.places.values())

    def search(self, text: str, limit: int = 10) -> list[Place]:
        """Places whose name fits, best first: Chinese, English and other names; parts and short forms too."""
        return self._searcher.find(text, limit)

    def quick(self, limit: int = 12) -> list[Place]:
        """The addresses to offer before anything is typed."""
        if self.quick_ids:
            return [self.places[place_id] for place_id in self.quick_ids if place_id in self.places][:limit]
        # Every kind gets its turn: three dormitories are no use without a canteen.
        by_kind = [sorted((p for p in self.places.values() if p.kind == kind), key=_by_name) for kind in QUICK_KINDS]
        turns = (place for turn in zip_longest(*by_kind) for place in turn if place is not None)
        return list(islice(turns, max(limit, 0)))

    def gates(self) -> Iterator[tuple[str, Gate]]:
        """Every gate with the id of its place."""
        for item in self._named():
            for gate in item.gates:
                yield item.id, gate

    def to_geojson(self, datum: Datum = Datum.WGS84) -> dict[str, object]:
        """What pages draw: a FeatureCollection, each feature with a ``layer``, nothing finer than half a metre."""
        return feature_collection(self, datum)

    def to_bytes(self) -> bytes:
        """Compact and versioned; ``from_bytes`` reads every version up to this one."""
        return pack(self)

    @classmethod
    def from_bytes(cls, body: bytes) -> CampusMap:
        """``BadMap`` for anything that ``to_bytes`` did not write."""
        return cls(**unpack(body))


def _by_name(place: Place) -> str:
    return place.name


def _shape(ring: Iterable[Point]) -> BaseGeometry:
    polygon = Polygon([(p[1], p[0]) for p in ring])
    return polygon if polygon.is_valid else make_valid(polygon)


def _prepared(ring: Iterable[Point]) -> BaseGeometry:
    polygon = _shape(ring)
    prepare(polygon)
    return polygon
