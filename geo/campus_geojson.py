"""A campus map as GeoJSON for drawing: one feature a thing, named by ``layer``, no finer than the eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .campus_parts import Gate, Path, PathKind, Ring
from .datum import Datum, from_wgs84
from .point import Point
from .track import simplify_points

if TYPE_CHECKING:
    from .campus import CampusMap

# Six decimals are a tenth of a metre.
_DECIMALS = 6
_TOLERANCE_M = 0.6
Feature = dict[str, object]


class _Drawer:
    """Turns points into coordinates of one datum."""

    def __init__(self, datum: Datum) -> None:
        self._datum = datum

    def at(self, point: Point) -> list[float]:
        shown = from_wgs84(point, self._datum)
        return [round(shown.lon, _DECIMALS), round(shown.lat, _DECIMALS)]

    def line(self, points: Sequence[Point]) -> list[list[float]]:
        return [self.at(point) for point in simplify_points(points, _TOLERANCE_M)]

    def point(self, layer: str, point: Point, **properties: object) -> Feature:
        return _feature(layer, "Point", self.at(point), properties)

    def paths(self, layer: str, lines: Sequence[Sequence[Point]], **properties: object) -> Feature:
        return _feature(layer, "MultiLineString", [self.line(points) for points in lines], properties)

    def polygon(self, layer: str, ring: Sequence[Point], **properties: object) -> Feature:
        return _feature(layer, "Polygon", [self.line([*ring, ring[0]])], properties)


def _feature(layer: str, kind: str, coordinates: object, properties: dict[str, object]) -> Feature:
    kept = {name: value for name, value in properties.items() if value not in ("", None, ())}
    return {
        "type": "Feature",
        "properties": {"layer": layer, **kept},
        "geometry": {"type": kind, "coordinates": coordinates},
    }


def _gate(drawer: _Drawer, place_id: str, gate: Gate) -> Feature:
    return drawer.point("gate", gate.point, id=gate.id, place_id=place_id, name=gate.name)


def _paths(drawer: _Drawer, paths: Sequence[Path]) -> list[Feature]:
    """One feature for all paths of a kind and name; roads lie under footways, which lie under steps."""
    alike: dict[tuple[PathKind, str], list[Ring]] = {}
    for path in paths:
        alike.setdefault((path.kind, path.name), []).append(path.points)
    order = (PathKind.ROAD, PathKind.CYCLEWAY, PathKind.FOOTWAY, PathKind.CROSSING, PathKind.STEPS)
    ranked = sorted(alike.items(), key=lambda entry: order.index(entry[0][0]))
    return [drawer.paths("path", lines, kind=kind.value, name=name) for (kind, name), lines in ranked]


def feature_collection(campus: CampusMap, datum: Datum = Datum.WGS84) -> dict[str, object]:
    """Layers from the ground up: boundary service area path building zone gate place."""
    drawer = _Drawer(datum)
    features = [drawer.polygon("boundary", campus.boundary, name=campus.name, name_en=campus.name_en)]
    if campus.service_area:
        features.append(drawer.polygon("service", campus.service_area))
    features += [drawer.polygon("area", a.ring, kind=a.kind.value, name=a.name) for a in campus.areas]
    features += _paths(drawer, campus.paths)
    for b in campus.buildings:
        floors = b.floors if b.floors > 1 else None
        features.append(
            drawer.polygon("building", b.ring, id=b.id, name=b.name, name_en=b.name_en, kind=b.kind, floors=floors)
        )
    features += [drawer.polygon("zone", z.ring, id=z.id, kind=z.kind.value, name=z.name) for z in campus.zones]
    features += [_gate(drawer, place_id, gate) for place_id, gate in campus.gates() if gate.is_mapped]
    features += [
        drawer.point("place", p.point, id=p.id, name=p.name, name_en=p.name_en, kind=p.kind) for p in campus.spots
    ]
    low, high = campus.bounds
    return {
        "type": "FeatureCollection",
        "bbox": [*drawer.at(low), *drawer.at(high)],
        "properties": {
            "name": campus.name,
            "name_en": campus.name_en,
            "datum": datum.value,
            "attribution": campus.attribution,
        },
        "features": features,
    }
