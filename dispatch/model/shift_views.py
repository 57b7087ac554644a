"""What is answered about timetables, breaks, zones, pins, and the ladder of an order that waits."""

from __future__ import annotations

from .escalation import Rung
from .shift import CoolDown, Entry
from .views import View


class PlanZone(View, frozen=True, kw_only=True):
    """A zone that a runner may choose; ``is_open``: whether they may work there at all."""

    id: str
    name: str
    name_en: str | None
    mode: str
    is_open: bool


class PlanView(View, frozen=True, kw_only=True):
    """A runner's week. ``zones``: the chosen ones, None: everywhere. ``excluded``: why they get nothing new now."""

    runner_id: str
    version: int
    term_starts: str | None
    entries: list[Entry]
    zones: list[str] | None
    known_zones: list[PlanZone]
    time_zone: str
    excluded: str | None
    until_ms: int | None
    break_until_ms: int | None
    cool_until_ms: int | None


class ReadPlanView(View, frozen=True, kw_only=True):
    """What a file says; nothing is stored yet."""

    term_starts: str | None
    entries: list[Entry]


class KnownRunner(View, frozen=True, kw_only=True):
    """A runner who carried for the student before; ``is_ready``: they could be sent now."""

    id: str
    name: str  # masked
    vehicle: str
    stars: float | None
    last_at_ms: int
    is_ready: bool


class KnownRunners(View, frozen=True, kw_only=True):
    runners: list[KnownRunner]


class DispatchRulesView(View, frozen=True, kw_only=True):
    """What a campus does about refusals, wishes and orders that nobody takes; ``version`` is the campus's."""

    version: int
    cool_down: CoolDown
    wish_s: int
    rungs: list[Rung]
    call_gap_s: int
    calls_most: int


class HoldView(View, frozen=True, kw_only=True):
    """For whom the campus team keeps an order, until when."""

    order_id: str
    runner_id: str
    until_ms: int
