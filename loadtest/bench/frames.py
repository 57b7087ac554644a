"""The generator's frames: whole runs of masked fixes built in advance."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from geo.point import Point

from ..websocket_bytes import BINARY, masked

_METRE_DEG = 1 / 111_195.0
_encode = msgspec.msgpack.encode


def message(body: dict[str, object]) -> bytes:
    """One msgpack message to a hub, framed and masked."""
    return masked(BINARY, _encode(body))


@dataclass(frozen=True, slots=True)
class Tracks:
    """Runners who each go round a circle of their own, at a walk or on a bicycle, somewhere near ``centre``."""

    centre: Point
    runners: int
    radius_m: float = 60.0
    spread_m: float = 350.0

    def positions(self, runner: NDArray[np.int64], at_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Latitude, longitude, bearing and speed of these runners at these seconds, one row each."""
        speed = 1.2 + (runner % 7) * 0.6  # 1.2 to 4.8 m/s
        angle = at_s * speed / self.radius_m + runner * 2.399963
        # The golden ratio twice: homes spread evenly over a disc.
        turn, away_m = runner * 2.399963, self.spread_m * np.sqrt(np.mod(runner * 0.618034, 1.0))
        north_m = away_m * np.sin(turn) + self.radius_m * np.sin(angle)
        east_m = away_m * np.cos(turn) + self.radius_m * np.cos(angle)
        lat = self.centre.lat + north_m * _METRE_DEG
        lon = self.centre.lon + east_m * _METRE_DEG / np.cos(np.radians(self.centre.lat))
        bearing: NDArray[np.float64] = np.mod(np.degrees(-angle), 360.0)
        return lat, lon, bearing, np.asarray(speed, dtype=np.float64)


_MASK = np.frombuffer(b"\xa7\x39\x5c\xe1", dtype=np.uint8)
_MARK_AT, _MARK_LAT, _MARK_LON, _MARK_BRG, _MARK_SEQ = 2**60 + 7, 1.0e200, 2.0e200, 3.0e200, 2**61 + 7


def _template(speed: float) -> bytes:
    """A fix with marks where the figures go; integers and floats of eight bytes, so that all fixes are equally long."""
    fix = {
        "t": "fix", "seq": _MARK_SEQ, "at": _MARK_AT, "lat": _MARK_LAT, "lon": _MARK_LON, "acc": 6.5,
        "spd": speed, "brg": _MARK_BRG,
    }  # fmt: skip
    return _encode(fix)


def fix_frames(
    tracks: Tracks, runner: NDArray[np.int64], at_ms: NDArray[np.int64], seq: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """One masked frame per row: the fix of ``runner[i]`` at ``at_ms[i]`` (business time), ready to be sent."""
    lat, lon, bearing, speed = tracks.positions(runner, at_ms / 1000.0)
    template = _template(1.5)
    body = np.tile(np.frombuffer(template, dtype=np.uint8), (len(runner), 1))

    def put(mark: bytes, values: NDArray[np.generic], kind: str) -> None:
        begin = template.index(mark)
        body[:, begin : begin + 8] = values.astype(kind).view(np.uint8).reshape(-1, 8)

    put(struct.pack(">Q", _MARK_AT), at_ms, ">u8")
    put(struct.pack(">Q", _MARK_SEQ), seq, ">u8")
    put(struct.pack(">d", _MARK_LAT), np.round(lat, 7), ">f8")
    put(struct.pack(">d", _MARK_LON), np.round(lon, 7), ">f8")
    put(struct.pack(">d", _MARK_BRG), np.round(bearing, 1), ">f8")
    put(struct.pack(">d", 1.5), speed, ">f8")
    length = len(template)
    assert length < 126, "a fix fits the short form of a frame"
    mask = np.tile(_MASK, length // 4 + 1)[:length]
    head = np.concatenate([np.array([0x80 | BINARY, 0x80 | length], dtype=np.uint8), _MASK])
    return np.hstack([np.tile(head, (len(runner), 1)), body ^ mask])


def frame_bytes() -> int:
    """How long each frame of ``fix_frames`` is."""
    return len(_template(1.5)) + 6
