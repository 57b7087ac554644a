"""A campus map as bytes: versioned, compressed, coordinates as differences in units of 1e-7 degrees (a centimetre)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from .campus_parts import Area, AreaKind, Building, Gate, Path, PathKind, Place, Ring, Zone, ZoneKind
from .errors import BadMap
from .point import Point, is_valid

if TYPE_CHECKING:
    from .campus import CampusMap

_MAGIC = b"CAMPUS"
_VERSION = 1
_UNITS = 10_000_000
# A map of a whole campus takes some 300 kB unpacked; a bomb takes gigabytes.
_MAX_UNPACKED = 64 * 1024 * 1024

_Line = list[int]


class _Gate(msgspec.Struct, array_like=True):
    id: str
    at: _Line
    name: str
    is_mapped: bool


class _Building(msgspec.Struct, array_like=True):
    id: str
    name: str
    name_en: str
    kind: str
    ring: _Line
    centroid: _Line
    gates: list[_Gate]
    floors: int
    aliases: tuple[str, ...]


class _Spot(msgspec.Struct, array_like=True):
    id: str
    name: str
    name_en: str
    kind: str
    at: _Line
    gates: list[_Gate]
    floors: int
    building_id: str | None
    aliases: tuple[str, ...]


class _Path(msgspec.Struct, array_like=True):
    line: _Line
    kind: PathKind
    name: str


class _Zone(msgspec.Struct, array_like=True):
    id: str
    name: str
    ring: _Line
    kind: ZoneKind


class _Area(msgspec.Struct, array_like=True):
    ring: _Line
    kind: AreaKind
    name: str


class _Map(msgspec.Struct):
    name: str
    name_en: str
    attribution: str
    boundary: _Line
    service_area: _Line
    buildings: list[_Building]
    paths: list[_Path]
    zones: list[_Zone]
    areas: list[_Area]
    spots: list[_Spot]
    quick_ids: tuple[str, ...]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Map)


def _line(points: Sequence[Point]) -> _Line:
    flat: _Line = []
    lat = lon = 0
    for point in points:
        north, east = round(point[0] * _UNITS), round(point[1] * _UNITS)
        flat += (north - lat, east - lon)
        lat, lon = north, east
    return flat


def _ring(flat: _Line) -> Ring:
    if len(flat) % 2:
        raise BadMap("a line in the map has a latitude without a longitude")
    lat = lon = 0
    points: list[Point] = []
    for north, east in zip(flat[::2], flat[1::2], strict=True):
        lat += north
        lon += east
        if not is_valid(lat / _UNITS, lon / _UNITS):
            raise BadMap("a line in the map leaves the earth")
        points.append(Point(lat / _UNITS, lon / _UNITS))
    return tuple(points)


def _point(flat: _Line) -> Point:
    ring = _ring(flat)
    if len(ring) != 1:
        raise BadMap("a place in the map is not one point")
    return ring[0]


def _gates(gates: Sequence[Gate]) -> list[_Gate]:
    return [_Gate(gate.id, _line([gate.point]), gate.name, gate.is_mapped) for gate in gates]


def _read_gates(gates: list[_Gate]) -> tuple[Gate, ...]:
    return tuple(Gate(gate.id, _point(gate.at), gate.name, gate.is_mapped) for gate in gates)


def pack(campus: CampusMap) -> bytes:
    body = _Map(
        name=campus.name,
        name_en=campus.name_en,
        attribution=campus.attribution,
        boundary=_line(campus.boundary),
        service_area=_line(campus.service_area),
        buildings=[
            _Building(
                b.id,
                b.name,
                b.name_en,
                b.kind,
                _line(b.ring),
                _line([b.centroid]),
                _gates(b.gates),
                b.floors,
                b.aliases,
            )
            for b in campus.buildings
        ],
        paths=[_Path(_line(path.points), path.kind, path.name) for path in campus.paths],
        zones=[_Zone(zone.id, zone.name, _line(zone.ring), zone.kind) for zone in campus.zones],
        areas=[_Area(_line(area.ring), area.kind, area.name) for area in campus.areas],
        spots=[
            _Spot(
                p.id, p.name, p.name_en, p.kind, _line([p.point]), _gates(p.gates), p.floors, p.building_id, p.aliases
            )
            for p in campus.spots
        ],
        quick_ids=campus.quick_ids,
    )
    return _MAGIC + bytes([_VERSION]) + zlib.compress(_ENCODER.encode(body), 6)


def _unpacked(body: bytes) -> _Map:
    if not body.startswith(_MAGIC) or len(body) <= len(_MAGIC):
        raise BadMap("these bytes are no campus map")
    version = body[len(_MAGIC)]
    if version != _VERSION:
        raise BadMap(f"this campus map has version {version}; this program reads version {_VERSION}")
    opened = zlib.decompressobj()
    try:
        raw = opened.decompress(body[len(_MAGIC) + 1 :], _MAX_UNPACKED)
        if not opened.eof:
            raise BadMap("this campus map is cut off or too big")
        return _DECODER.decode(raw)
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMap(f"this campus map is damaged: {error}") from None


def unpack(body: bytes) -> dict[str, Any]:
    """The fields of a ``CampusMap``; ``BadMap`` for anything that ``pack`` did not write."""
    read = _unpacked(body)
    return {
        "name": read.name,
        "name_en": read.name_en,
        "attribution": read.attribution,
        "boundary": _ring(read.boundary),
        "service_area": _ring(read.service_area),
        "buildings": tuple(
            Building(
                b.id,
                b.name,
                _ring(b.ring),
                _point(b.centroid),
                _read_gates(b.gates),
                b.floors,
                b.name_en,
                b.kind,
                b.aliases,
            )
            for b in read.buildings
        ),
        "paths": tuple(Path(_ring(path.line), path.kind, path.name) for path in read.paths),
        "zones": tuple(Zone(zone.id, zone.name, _ring(zone.ring), zone.kind) for zone in read.zones),
        "areas": tuple(Area(_ring(area.ring), area.kind, area.name) for area in read.areas),
        "spots": tuple(
            Place(
                p.id, p.name, _point(p.at), p.kind, p.name_en, _read_gates(p.gates), p.floors, p.building_id, p.aliases
            )
            for p in read.spots
        ),
        "quick_ids": read.quick_ids,
    }
