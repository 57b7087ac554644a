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
