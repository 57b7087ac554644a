"""When campuses are served, as a file tells it: for payments in a process of their own, which know of campuses only
their names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import time
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from payments.upkeep.alarms import ServiceHours

#: Asked at each look. A campus that is not named has the hours of the one named "".
AskHours = Callable[[], Awaitable[Sequence[ServiceHours]]]

_Clock = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class _Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    opens: _Clock = "07:00"
    closes: _Clock = "23:00"
    zone: str = "Asia/Shanghai"


async def no_hours() -> Sequence[ServiceHours]:
    """Every campus has the usual hours."""
    return ()


def read_hours(text: bytes | str) -> tuple[ServiceHours, ...]:
    """The hours of ``{"campus": {"opens": "07:00", "closes": "23:00", "zone": "Asia/Shanghai"}}``; ``*`` is every
    campus that is not named, equal times are always. ValueError names the campus."""
    told = msgspec.json.decode(text, type=dict[str, _Told])
    return tuple(_hours("" if campus == "*" else campus, each) for campus, each in told.items())


def _hours(campus_id: str, told: _Told) -> ServiceHours:
    try:
        zone = ZoneInfo(told.zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{campus_id or '*'}: no time zone {told.zone!r}") from None
    opens, closes = time.fromisoformat(told.opens), time.fromisoformat(told.closes)
    return ServiceHours(campus_id=campus_id, zone=zone, opens=opens, closes=closes)


def always(hours: Sequence[ServiceHours]) -> AskHours:
    """The same hours at each look."""

    async def ask() -> Sequence[ServiceHours]:
        return hours

    return ask
