"""A pin: the one runner who may have an order for a while, because the student wished or the campus team decided."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: The campus team holds an order for a runner at most so long.
LONGEST_HOLD = timedelta(hours=2)


class PinKind(StrEnum):
    WISH = "wish"  # "again with this runner"
    HOLD = "hold"  # the campus team put it aside for somebody


@dataclass(frozen=True, slots=True)
class Pin:
    """At most one per order. ``until``: of a hold; a wish counts from the moment at which somebody could take it."""

    campus_id: str
    order_id: str
    kind: PinKind
    runner_id: str
    placed_at: datetime
    placed_by: str
    until: datetime | None = None


def pin_ends(pin: Pin, since: datetime, wish_s: int) -> datetime:
    """When everybody may have the order; ``since``: since when it waits."""
    return pin.until if pin.until is not None else since + timedelta(seconds=wish_s)


def pinned_to(
    pin: Pin | None, since: datetime, wish_s: int, now: datetime, refused: Collection[str], ready: Collection[str]
) -> str | None:
    """The only runner who may have it now. Whoever refused it frees it for all; a wish also does so when the runner is
    not ``ready`` to be sent, since the student would wait for nothing. A hold stands: somebody decided it."""
    if pin is None or pin.runner_id in refused or now >= pin_ends(pin, since, wish_s):
        return None
    if pin.kind is PinKind.WISH and pin.runner_id not in ready:
        return None
    return pin.runner_id
