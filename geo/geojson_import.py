"""A campus from GeoJSON (RFC 7946) whose properties use OpenStreetMap's tags, as common exporters write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec

from .assemble import assemble
from .campus import CampusMap
from .campus_parts import Ring
from .errors import ImportFailed
from .point import Point, is_valid
from .survey import MAX_FEATURES, Feature, Geometry, ImportReport, open_source

_DEEPEST = 4


def import_geojson(source: FilePath | str | bytes, name: str = "") -> tuple[CampusMap, ImportReport]:
    """Read a FeatureCollection into a map; ``ImportFailed`` says what is missing or broken."""
    with open_source(source) as stream:
        try:
            document = msgspec.json.decode(stream.read())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ImportFailed(f"the file is not JSON: {error}", "file") from None
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        raise ImportFailed("the file is no GeoJSON FeatureCollection", "type")
    items = document.get("features")
    if not isinstance(items, list) or not items:
        raise ImportFailed("the file holds no features", "features")
    if len(items) > MAX_FEATURES:
        raise ImportFailed(f"the file holds more than {MAX_FEATURES} features: cut out the campus alone", "features")
    report = ImportReport()
    report.read["features"] = len(items)
    refs: Counter[str] = Counter()
    features = [feature for index, item in enumerate(items) for feature in _features(item, index, report, refs)]
    return assemble(features, name, report, bounds=None), report


def _features(item: Any, index: int, report: ImportReport, refs: Counter[str]) -> Iterator[Feature]:
    where = f"feature {index}"
    if not isinstance(item, dict) or item.get("type") != "Feature":
        raise ImportFailed(f"{where} is no GeoJSON Feature", "features")
    geometry = item.get("geometry")
    if geometry is None:
        report.left_out["features without geometry"] += 1
        return
    if not isinstance(geometry, dict):
        raise ImportFailed(f"{where} has a geometry that is no object", "geometry")
    tags = _tags(item.get("properties"))
    ref = str(item.get("id") or tags.get("@id") or tags.get("id") or f"f{index}")
    # A relation's parts are told apart by what follows the mark.
    ref = ref.replace("#", "-")[:80]
    refs[ref] += 1
    if refs[ref] > 1:  # nothing keeps a file from naming two things alike
        ref = f"{ref}-{refs[ref]}"
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Point":
        yield Feature(ref, Geometry.POINT, (_point(coordinates, where),), tags)
    elif kind == "LineString":
        yield from _line(ref, coordinates, tags, where)
    elif kind == "MultiLineString":
        for part, line in enumerate(_list(coordinates, where)):
            yield from _line(f"{ref}#{part}", line, tags, where)
    elif kind == "Polygon":
        yield from _area(ref, coordinates, tags, where)
    elif kind == "MultiPolygon":
        for part, polygon in enumerate(_list(coordinates, where)):
            yield from _area(f"{ref}#{part}", polygon, tags, where)
    else:
        report.left_out[f"geometries of another kind ({str(kind)[:30]})"] += 1


def _tags(properties: Any) -> Mapping[str, str]:
    """Properties as tags: text and numbers; some exporters nest them under ``tags``."""
    if not isinstance(properties, dict):
        return {}
    nested = properties.get("tags")
    flat = {**properties, **nested} if isinstance(nested, dict) else properties
    return {key: str(value) for key, value in flat.items() if isinstance(value, str | int | float) and value != ""}


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ImportFailed(f"{where} has no coordinates", "coordinates")
    return value


def _point(value: Any, where: str) -> Point:
    if (
        not isinstance(value, list)
        or not 2 <= len(value) <= _DEEPEST
        or not all(isinstance(number, int | float) and not isinstance(number, bool) for number in value)
    ):
        raise ImportFailed(f"{where} has a position that is no [longitude, latitude]", "coordinates")
    lon, lat = float(value[0]), float(value[1])
    if not is_valid(lat, lon):
        raise ImportFailed(f"{where} lies outside the map (GeoJSON puts the longitude first)", "coordinates")
    return Point(lat, lon)


def _ring(value: Any, where: str) -> Ring:
    return tuple(_point(position, where) for position in _list(value, where))


def _line(ref: str, value: Any, tags: Mapping[str, str], where: str) -> Iterator[Feature]:
    points = _ring(value, where)
    if len(points) >= 2:
        yield Feature(ref, Geometry.LINE, points, tags)


def _area(ref: str, value: Any, tags: Mapping[str, str], where: str) -> Iterator[Feature]:
    ring = _ring(_list(value, where)[0], where)
    ring = ring[:-1] if ring[0] == ring[-1] else ring
    if len(ring) >= 3:
        yield Feature(ref, Geometry.AREA, ring, tags)
