"""How a fix is packed for Redis: a short msgpack array, so that a thousand runners are read in one go."""

from __future__ import annotations

import msgspec

from geo.fix import Fix


class _PackedFix(msgspec.Struct, array_like=True, frozen=True, gc=False):
    lat: float
    lon: float
    fixed_at_ms: int
    received_at_ms: int
    accuracy_m: float | None = None
    speed_mps: float | None = None
    bearing_deg: float | None = None
    battery: float | None = None
    seq: int | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_PackedFix)
_chunk_decoder = msgspec.msgpack.Decoder(list[_PackedFix])


def pack_fix(fix: Fix) -> bytes:
    return _encoder.encode(
        (
            fix.lat,
            fix.lon,
            fix.fixed_at_ms,
            fix.received_at_ms,
            fix.accuracy_m,
            fix.speed_mps,
            fix.bearing_deg,
            fix.battery,
            fix.seq,
        )
    )


class Chunk:
    """Packed readings of one runner that wait to become a part of their track; newest time first of all."""

    __slots__ = ("last", "newest_ms", "parts")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.newest_ms = 0
        self.last: Fix | None = None  # whose bytes are the last part

    def add(self, fix: Fix) -> bytes:
        """Pack the reading, once for the track and for whoever else needs its bytes."""
        packed = pack_fix(fix)
        self.parts.append(packed)
        self.last = fix
        if fix.fixed_at_ms > self.newest_ms:
            self.newest_ms = fix.fixed_at_ms
        return packed

    def to_bytes(self) -> bytes:
        """As one array, which is its length before its parts."""
        return b"\xdd" + len(self.parts).to_bytes(4, "big") + b"".join(self.parts)


def unpack_chunk(packed: bytes) -> list[Fix]:
    """The readings of a chunk, without their numbers and times of receipt. Raises msgspec.DecodeError."""
    return [
        Fix(p.lat, p.lon, p.fixed_at_ms, p.accuracy_m, p.speed_mps, p.bearing_deg, p.battery)
        for p in _chunk_decoder.decode(packed)
    ]


def unpack_fix(packed: bytes) -> Fix:
    """Raises msgspec.DecodeError when something else wrote under our key."""
    p = _decoder.decode(packed)
    return Fix(
        lat=p.lat,
        lon=p.lon,
        fixed_at_ms=p.fixed_at_ms,
        accuracy_m=p.accuracy_m,
        speed_mps=p.speed_mps,
        bearing_deg=p.bearing_deg,
        battery=p.battery,
        seq=p.seq,
        received_at_ms=p.received_at_ms,
    )
