"""Putting a campus together from mapped features: its boundary, then what lies on it, gates, ways and zones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from .campus import CampusMap
from .campus_parts import Area, AreaKind, Building, Gate, Path, PathKind, Place, Ring, Zone, ZoneKind
from .errors import ImportFailed
from .point import LocalPlane, Point, line_length_m
from .survey import Feature, Geometry, ImportReport, area_kind, floors_of, is_named, names_of, path_kind, use_of
from .walkway import WalkGraph

_CAMPUS_AMENITIES = ("university", "college", "school")
# An errand may begin across the street; a path just outside is often the way round.
_SERVICE_MARGIN_M = 40.0
_PATH_MARGIN_M = 120.0
# A door is mapped on the outline, or a hand's breadth beside it.
_DOOR_M = 1.5
_GUESS_MAX_M = 150.0
_SMALLEST_AREA_M2 = 25.0
_SMALLEST_BUILDING_M2 = 12.0
_NO_BUILDINGS = {"no", "roof", "garage", "garages", "carport", "parking"}
_SHUT_DOORS = {"emergency", "exit", "no"}


class _Site:
    """The plane that the campus is measured on, and its shapes there."""

    def __init__(self, features: Sequence[Feature]) -> None:
        rows = np.array([point for feature in features for point in feature.points])
        self.plane = LocalPlane(Point(*(float(v) for v in np.median(rows, axis=0))))

    def polygon(self, ring: Iterable[Point]) -> BaseGeometry:
        shape: BaseGeometry = shapely.Polygon(self.plane.xy_many(ring))
        return shape if shape.is_valid else shapely.make_valid(shape)

    def line(self, points: Iterable[Point]) -> shapely.LineString:
        return shapely.LineString(self.plane.xy_many(points))

    def at(self, point: Point) -> shapely.Point:
        return shapely.Point(self.plane.xy(point))

    def ring(self, shape: BaseGeometry) -> Ring:
        """The outer ring of the biggest part of a shape."""
        parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
        biggest = max(parts, key=lambda part: part.area)
        return tuple(self.plane.point(x, y) for x, y in biggest.exterior.coords[:-1])


def assemble(
    features: Sequence[Feature],
    name: str,
    report: ImportReport,
    bounds: tuple[Point, Point] | None,
    attribution: str = "",
) -> CampusMap:
    """A map, and the report filled in; ``ImportFailed`` names what is missing."""
    solid = [feature for feature in features if _is_building(feature)]
    if not solid:
        raise ImportFailed("the file maps no buildings (areas tagged building=…)", "building")
    site = _Site(features)
    outline, found_name, found_english = _boundary(site, features, solid, bounds, report)
    service = shapely.simplify(outline.buffer(_SERVICE_MARGIN_M), 2.0)
    shapely.prepare(service)
    paths = _paths(site, features, outline.buffer(_PATH_MARGIN_M), report)
    buildings = _buildings(site, solid, service, report)
    if not buildings:
        raise ImportFailed("no building lies on the campus", "building")
    buildings = _with_gates(site, buildings, features, paths, report)
    areas, zones = _ground(site, features, service, report)
    campus = CampusMap(
        name=name or found_name or "Campus",
        name_en=found_english if not name else "",
        boundary=site.ring(outline),
        service_area=site.ring(service),
        buildings=tuple(buildings),
        paths=tuple(paths),
        zones=tuple(zones),
        areas=tuple(areas),
        spots=tuple(_spots(site, features, buildings, service, report)),
        attribution=attribution,
    )
    _measure(campus, report)
    return campus


def _is_building(feature: Feature) -> bool:
    return feature.geometry is Geometry.AREA and feature.tags.get("building", "no") not in _NO_BUILDINGS


def _boundary(
    site: _Site,
    features: Sequence[Feature],
    solid: Sequence[Feature],
    bounds: tuple[Point, Point] | None,
    report: ImportReport,
) -> tuple[BaseGeometry, str, str]:
    """The biggest university's outline; the hull of its pieces where it is incomplete; else that of all buildings."""
    pieces: dict[str, list[Feature]] = {}
    for feature in features:
        is_campus = feature.tags.get("amenity") in _CAMPUS_AMENITIES and "building" not in feature.tags
        if is_campus and feature.geometry is not Geometry.POINT:
            pieces.setdefault(feature.thing, []).append(feature)
    candidates: list[tuple[float, BaseGeometry, str, Mapping[str, str]]] = []
    for thing, parts in pieces.items():
        shape, how = _outline_of(site, parts)
        candidates.append((shape.area, shape, f"{how} of {thing}", parts[0].tags))
    if candidates:
        _, shape, how, tags = max(candidates, key=lambda candidate: candidate[0])
        english = tags.get("name:en", "")
        found = tags.get("name", ""), english if english != tags.get("name") else ""
    else:
        shape = shapely.convex_hull(shapely.union_all([site.polygon(feature.points) for feature in solid]))
        how, found = f"hull of {len(solid)} buildings: no area is tagged amenity=university", ("", "")
        report.warnings.append("no area is tagged as a university: the boundary is drawn around the buildings")
    if bounds is not None:
        (x0, y0), (x1, y1) = site.plane.xy(bounds[0]), site.plane.xy(bounds[1])
        clipped = shape.intersection(shapely.box(x0, y0, x1, y1))
        if clipped.area > 0:
            shape = clipped
    if not shape.area > 0:
        raise ImportFailed("the campus has no extent: fewer than three places that span an area", "boundary")
    report.boundary_from = how
    return shape, *found


def _outline_of(site: _Site, parts: Sequence[Feature]) -> tuple[BaseGeometry, str]:
    whole = shapely.union_all([site.polygon(p.points) for p in parts if p.geometry is Geometry.AREA])
    is_complete = all("incomplete" not in part.tags and part.geometry is Geometry.AREA for part in parts)
    if is_complete and isinstance(whole, shapely.Polygon):
        return shapely.Polygon(whole.exterior), "outline"
    lines = [site.line(part.points) for part in parts]
    return shapely.convex_hull(shapely.union_all([whole, *lines])), f"hull of {len(parts)} pieces"


def _paths(site: _Site, features: Sequence[Feature], reach: BaseGeometry, report: ImportReport) -> list[Path]:
    """What can be walked, cut to the campus and its surroundings. An area's edge is walked round."""
    shapely.prepare(reach)
    paths: list[Path] = []
    for feature in features:
        if "highway" not in feature.tags or feature.geometry is Geometry.POINT:
            continue
        kind = path_kind(feature.tags)
        if kind is None:
            report.left_out["ways that are not for walking"] += 1
            continue
        points = (*feature.points, feature.points[0]) if feature.geometry is Geometry.AREA else feature.points
        xy = site.plane.xy_many(points)
        near = shapely.contains_xy(reach, xy[:, 0], xy[:, 1])
        if not near.any():
            report.left_out["ways away from the campus"] += 1
            continue
        run: list[Point] = []
        for point, is_near in zip((*points, points[-1]), (*near, False), strict=True):
            if is_near:
                run.append(point)
                continue
            if len(run) >= 2:
                paths.append(Path(tuple(run), kind, feature.tags.get("name", "")[:120]))
            run = []
    report.made["paths"] = len(paths)
    report.made["flights of steps"] = sum(path.kind is PathKind.STEPS for path in paths)
    if not paths:
        report.warnings.append("no footpaths: distances are straight lines with a detour")
    return paths


def _buildings(site: _Site, solid: Sequence[Feature], service: BaseGeometry, report: ImportReport) -> list[Building]:
    buildings: list[Building] = []
    for feature in solid:
        shape = site.polygon(feature.points)
        if shape.area < _SMALLEST_BUILDING_M2:
            report.left_out["buildings too small to matter"] += 1
            continue
        middle = shape.representative_point()
        if not service.contains(middle):
            report.left_out["buildings away from the campus"] += 1
            continue
        floors = floors_of(feature.tags)
        report.made["buildings with floors"] += floors is not None
        name, english, others = names_of(feature.tags)
        report.made["named buildings"] += is_named(feature.tags)
        ref = feature.id.replace("#0", "")
        centroid = site.plane.point(middle.x, middle.y)
        # Named by its address alone: found when somebody types it, and otherwise out of the way.
        use = use_of(feature.tags) if is_named(feature.tags) else "address"
        buildings.append(Building(ref, name, feature.points, centroid, (), floors or 1, english, use, others))
    report.made["buildings"] = len(buildings)
    return buildings


def _with_gates(
    site: _Site, buildings: list[Building], features: Sequence[Feature], paths: Sequence[Path], report: ImportReport
) -> list[Building]:
    """Mapped entrances first; for the rest the point of the outline that lies nearest to a path."""
    doors: dict[int, list[Gate]] = {}
    outlines = [shapely.LinearRing(site.plane.xy_many(building.ring)) for building in buildings]
    tree = shapely.STRtree(outlines)
    for feature in features:
        entrance = feature.tags.get("entrance")
        if entrance is None or feature.geometry is not Geometry.POINT or entrance in _SHUT_DOORS:
            continue
        row = int(tree.nearest(site.at(feature.points[0])))
        if outlines[row].distance(site.at(feature.points[0])) > _DOOR_M:
            report.left_out["entrances of no building on the campus"] += 1
            continue
        name = feature.tags.get("name") or feature.tags.get("ref") or ""
        gate = Gate(feature.id, feature.points[0], name[:60])
        # The main door is the one that is meant when nobody says which.
        if entrance == "main":
            doors.setdefault(row, []).insert(0, gate)
        else:
            doors.setdefault(row, []).append(gate)
    report.made["mapped gates"] = sum(len(found) for found in doors.values())
    lines = [site.line(path.points) for path in paths]
    ways = shapely.STRtree(lines)
    for row, outline in enumerate(outlines):
        if row in doors or not lines:
            continue
        nearest = lines[int(ways.nearest(outline))]
        step = shapely.shortest_line(outline, nearest)
        if step.length <= _GUESS_MAX_M:
            x, y = step.coords[0]
            doors[row] = [Gate(f"{buildings[row].id}-door", site.plane.point(x, y), is_mapped=False)]
            report.made["guessed gates"] += 1
    return [replace(building, gates=tuple(doors.get(row, ()))) for row, building in enumerate(buildings)]


def _ground(
    site: _Site, features: Sequence[Feature], service: BaseGeometry, report: ImportReport
) -> tuple[list[Area], list[Zone]]:
    """What is drawn beneath, and where nobody delivers: water and building sites."""
    areas: list[Area] = []
    zones: list[Zone] = []
    for feature in features:
        if feature.geometry is not Geometry.AREA or "building" in feature.tags:
            continue
        kind = area_kind(feature.tags)
        is_site = feature.tags.get("landuse") == "construction"
        if kind is None and not is_site:
            continue
        shape = site.polygon(feature.points)
        if shape.area < _SMALLEST_AREA_M2 or not shape.intersects(service):
            report.left_out["areas too small or away from the campus"] += 1
            continue
        name = names_of(feature.tags)[0]
        ring = feature.points
        if not service.contains(shape):
            kept = shape.intersection(service)
            if not kept.area > 0:
                continue
            ring = site.ring(kept)
        if kind is not None:
            areas.append(Area(ring, kind, name))
        if kind is AreaKind.WATER or is_site:
            zones.append(Zone(feature.id.replace("#0", ""), name, ring, ZoneKind.NO_GO))
    report.made["drawn areas"] = len(areas)
    report.made["no-go zones"] = len(zones)
    return areas, zones


def _spots(
    site: _Site, features: Sequence[Feature], buildings: Sequence[Building], service: BaseGeometry, report: ImportReport
) -> list[Place]:
    """Named shops, cafés and the like, and named gates of the campus."""
    tree = shapely.STRtree([site.polygon(building.ring) for building in buildings])
    spots: list[Place] = []
    for feature in features:
        tags = feature.tags
        is_gate = tags.get("barrier") in {"gate", "lift_gate", "entrance"}
        if "building" in tags or feature.geometry is Geometry.LINE or tags.get("amenity") in _CAMPUS_AMENITIES:
            continue
        name, english, others = names_of(tags)
        use = "gate" if is_gate else use_of(tags)
        if not tags.get("name") or use == "building":
            continue
        point = feature.points[0]
        if feature.geometry is Geometry.AREA:
            middle = site.polygon(feature.points).representative_point()
            point = site.plane.point(middle.x, middle.y)
        if not service.contains(site.at(point)):
            report.left_out["spots away from the campus"] += 1
            continue
        rows = tree.query(site.at(point), predicate="intersects")
        home = buildings[int(rows[0])] if len(rows) else None
        if home is not None and home.name == name:
            report.left_out["spots that are their building"] += 1
            continue
        spots.append(
            Place(
                feature.id.replace("#0", ""),
                name,
                point,
                use,
                english,
                home.gates if home else (),
                home.floors if home else 1,
                home.id if home else None,
                others,
            )
        )
    report.made["spots"] = len(spots)
    return spots


def _measure(campus: CampusMap, report: ImportReport) -> None:
    report.name = campus.name
    report.path_km = sum(line_length_m(path.points) for path in campus.paths) / 1000
    graph = WalkGraph.of(campus)
    if graph is not None:
        report.graph_nodes = len(graph)
        report.connected_share = graph.connected_share
        if graph.connected_share < 0.8:
            report.warnings.append(
                f"only {graph.connected_share:.0%} of the path network hangs together: places beyond it are "
                "reached in a straight line"
            )
