"""A photo: what a runner took as proof that an order was handed over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: Only so long is a photo kept: it shows somebody's door.
PHOTO_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Photo:
    """A re-encoded JPEG without metadata; sizes in pixels."""

    id: str
    campus_id: str
    order_id: str
    runner_id: str
    taken_at: datetime
    jpeg: bytes
    width: int
    height: int
