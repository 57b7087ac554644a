"""How a connection wants its frames: which codec and which datum; frames are built once per look, not per watcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from geo.datum import Datum, from_wgs84, to_wgs84
from geo.point import Point

from .frames import JSON, MSGPACK, Box, Codec, EventFrame, PositionRow, Positions, ServerFrame, framed


class Look:
    """A codec and a datum; there are only four, compared by identity."""

    __slots__ = ("_encode", "_tail", "codec", "datum", "is_wgs84")

    def __init__(self, codec: Codec, datum: Datum) -> None:
        self.codec = codec
        self.datum = datum
        self.is_wgs84 = datum is Datum.WGS84
        self._encode, self._tail = _ROWS[codec.name]

    def encode(self, frame: ServerFrame) -> bytes:
        return self.codec.encode(frame)

    def head(self, topic: str) -> bytes:
        """What the payloads of all ``pos`` frames of a topic begin with, for ``positions``."""
        whole = self._encode(Positions(topic, ()))
        return whole[: -len(self._encode(()) + self._tail)]

    def positions(self, head: bytes, rows: Sequence[PositionRow]) -> bytes:
        """A ``pos`` frame. Of all frames it is sent by far the most often, so only its rows are encoded each time."""
        if not self.is_wgs84:
            rows = self.rows(rows)
        return framed(self.codec.opcode, head + self._encode(rows) + self._tail)

    def event(self, frame: EventFrame) -> bytes:
        """An event, which carries its positions as WGS-84, with them in this look's datum."""
        if self.datum is not Datum.WGS84:
            frame = msgspec.structs.replace(frame, data=_moved(frame.data, self.datum))
        return self.codec.encode(frame)

    def rows(self, rows: Sequence[PositionRow]) -> Sequence[PositionRow]:
        """The rows with their coordinates in this look's datum."""
        if self.datum is Datum.WGS84:
            return rows
        shown: list[PositionRow] = []
        for runner_id, lat, lon, fixed_at_ms, bearing, speed, accuracy, received_at_ms in rows:
            point = from_wgs84(Point(lat, lon), self.datum)
            shown.append((runner_id, point[0], point[1], fixed_at_ms, bearing, speed, accuracy, received_at_ms))
        return shown

    def box_inside(self, box: Box) -> Box:
        """A part of the map that the client named, as the smallest box of WGS-84 that contains it."""
        if self.is_wgs84:
            return box
        south, west, north, east = box
        corners = [to_wgs84(Point(lat, lon), self.datum) for lat in (south, north) for lon in (west, east)]
        lats, lons = [corner[0] for corner in corners], [corner[1] for corner in corners]
        return min(lats), min(lons), max(lats), max(lons)

    def inside(self, lat: float, lon: float) -> tuple[float, float]:
        """What the client sent, as WGS-84."""
        if self.datum is Datum.WGS84:
            return lat, lon
        point = to_wgs84(Point(lat, lon), self.datum)
        return point[0], point[1]


def _moved(data: Any, datum: Datum) -> Any:
    """The same data with every position in it moved: ``lat`` beside ``lon``, and ``position`` as ``[lat, lon, …]``."""
    if isinstance(data, list | tuple):
        return [_moved(part, datum) for part in data]
    if not isinstance(data, Mapping):
        return data
    moved = {name: _moved(part, datum) for name, part in data.items()}
    match data:
        case {"lat": int() | float() as lat, "lon": int() | float() as lon}:
            point = from_wgs84(Point(lat, lon), datum)
            moved["lat"], moved["lon"] = point[0], point[1]
    match data:
        case {"position": [int() | float() as lat, int() | float() as lon, *rest]}:
            point = from_wgs84(Point(lat, lon), datum)
            moved["position"] = [point[0], point[1], *rest]
    return moved


_ROWS: dict[str, tuple[Callable[[Any], bytes], bytes]] = {
    JSON.name: (msgspec.json.Encoder().encode, b"}"),
    MSGPACK.name: (msgspec.msgpack.Encoder().encode, b""),
}
_LOOKS = {(codec.name, datum.value): Look(codec, datum) for codec in (JSON, MSGPACK) for datum in Datum}


def look_of(codec: Codec, datum: str) -> Look:
    return _LOOKS[codec.name, datum]
