"""A campus's own settings: hours, price list, split, how orders find their runner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from zoneinfo import ZoneInfo

from .alarm import AlarmRules
from .assurance import Assurance
from .coupon import CouponRules
from .credit import CreditRules
from .escalation import Ladder
from .order_type import DEFAULT_TYPES, OrderType
from .quote import CancelRules, PricingRules, SplitRules
from .shift import CoolDown


class AssignMode(StrEnum):
    DISPATCH = "dispatch"  # the planner offers
    GRAB = "grab"  # runners take from the hall
    MIXED = "mixed"  # both: one atomic assignment decides


@dataclass(frozen=True, slots=True)
class CampusSettings:
    """What operators set for their campus. ``opens`` inclusive, ``closes`` exclusive, campus-local; equal: always."""

    time_zone: str = "Asia/Shanghai"
    opens: time = time(0, 0)
    closes: time = time(0, 0)
    mode: AssignMode = AssignMode.MIXED
    pricing: PricingRules = field(default_factory=PricingRules)
    split: SplitRules = field(default_factory=SplitRules)
    cancel: CancelRules = field(default_factory=CancelRules)
    types: Mapping[str, OrderType] = field(default_factory=lambda: DEFAULT_TYPES)
    credit: CreditRules = field(default_factory=CreditRules)
    max_tasks_per_runner: int = 3
    settle_after_s: int = 86_400
    auto_confirm_after_s: int = 86_400
    unpaid_ttl_s: int = 900
    cool_down: CoolDown = field(default_factory=CoolDown)
    #: Seconds for which a runner whom the student wished for is waited for.
    wish_s: int = 120
    ladder: Ladder = field(default_factory=Ladder)
    alarms: AlarmRules = field(default_factory=AlarmRules)
    coupons: CouponRules = field(default_factory=CouponRules)
    assurances: tuple[Assurance, ...] = ()

    def local_time(self, now: datetime) -> time:
        return now.astimezone(ZoneInfo(self.time_zone)).time()

    def is_open(self, now: datetime) -> bool:
        local = self.local_time(now)
        if self.opens == self.closes:
            return True
        if self.opens < self.closes:
            return self.opens <= local < self.closes
        return local >= self.opens or local < self.closes


@dataclass(frozen=True, slots=True)
class Campus:
    """A campus that this server runs; its map is stored apart (``geo.campus.CampusMap``)."""

    id: str
    name: str
    settings: CampusSettings
    created_at: datetime
    version: int = 1
