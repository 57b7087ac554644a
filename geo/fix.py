"""A fix: one GPS reading as a runner's device reported it."""

from __future__ import annotations

import msgspec

from .point import Point


class Fix(msgspec.Struct, frozen=True, gc=False):
    """Degrees WGS-84. ``fixed_at_ms`` is the device's time, ``received_at_ms`` the server's (0: not received yet)."""

    lat: float
    lon: float
    fixed_at_ms: int
    accuracy_m: float | None = None
    speed_mps: float | None = None
    bearing_deg: float | None = None
    battery: float | None = None  # 0 empty .. 1 full
    seq: int | None = None  # the device's own counter, echoed in acknowledgements
    received_at_ms: int = 0

    @property
    def point(self) -> Point:
        return Point(self.lat, self.lon)
