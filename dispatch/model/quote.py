"""A quote: the itemised price and the promise before paying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta

from .errors import InvalidInput
from .money import MAX_ORDER_FEN, Fen
from .order_type import OrderType

#: Stored on every order: which rules made its price.
RULE_VERSION = "2026-11-01"


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One line of the price. ``payer`` says whose money it is: ``student``, or the party that grants a discount.

    ``kind``: ``base`` | ``distance`` | ``weight`` | ``time`` | ``goods`` | ``promotion`` | ``coupon``.
    """

    kind: str
    label_zh: str
    label_en: str
    amount_fen: Fen
    payer: str = "student"


@dataclass(frozen=True, slots=True)
class Quote:
    """What an order costs and by when it arrives.

    ``service_fen`` is earned by carrying; ``goods_cap_fen`` is the most that the goods may cost, captured by receipt.
    """

    lines: tuple[QuoteLine, ...]
    service_fen: Fen
    goods_cap_fen: Fen
    distance_m: int
    duration_s: int
    arrive_from: datetime
    arrive_by: datetime
    rule_version: str = RULE_VERSION
    #: How the service price will be divided; None on orders older than this field: as the campus divides it now.
    split: SplitRules | None = None
    #: Seconds reckoned until somebody is free for it; not part of ``duration_s``.
    queue_s: int = 0
    #: What a coupon takes off; its payer makes up for it, so ``service_fen`` is what it was.
    discount_fen: Fen = Fen(0)
    coupon_id: str | None = None

    @property
    def total_fen(self) -> Fen:
        """What the student pays into escrow."""
        return Fen(self.service_fen + self.goods_cap_fen - self.discount_fen)


@dataclass(frozen=True, slots=True)
class Surcharge:
    """An extra in a daily time window, campus-local: ``start`` inclusive, ``end`` exclusive."""

    start: time
    end: time
    amount_fen: Fen
    label_zh: str
    label_en: str

    def applies(self, local: time) -> bool:
        if self.start <= self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end


@dataclass(frozen=True, slots=True)
class PricingRules:
    """A campus's price list; amounts in fen."""

    per_started_100_m_fen: Fen = Fen(15)
    free_distance_m: int = 300
    per_started_kg_fen: Fen = Fen(50)
    free_weight_g: int = 1_000
    per_started_10_min_fen: Fen = Fen(200)
    surcharges: tuple[Surcharge, ...] = (
        Surcharge(time(11, 0), time(13, 0), Fen(100), "午高峰", "Lunch peak"),
        Surcharge(time(17, 0), time(18, 30), Fen(50), "晚高峰", "Dinner peak"),
        Surcharge(time(22, 0), time(6, 0), Fen(200), "夜间", "Night"),
    )
    version: str = RULE_VERSION


def _steps(value: int, free: int, step: int) -> int:
    return max(0, -(-(value - free) // step))


def _granted(promotions: Sequence[QuoteLine], price_fen: Fen) -> list[QuoteLine]:
    """The promotions as far as there is a price to reduce, so that the lines always add up to what is paid."""
    granted, left_fen = [], price_fen
    for line in promotions:
        assert line.amount_fen <= 0, "a promotion makes nothing dearer"
        amount = Fen(-min(-line.amount_fen, left_fen))
        left_fen = Fen(left_fen + amount)
        if amount:
            granted.append(replace(line, amount_fen=amount))
    return granted


def price(
    kind: OrderType,
    *,
    distance_m: int,
    weight_g: int,
    wait_min: int,
    goods_cap_fen: Fen,
    local_time: time,
    rules: PricingRules,
    promotions: Sequence[QuoteLine] = (),
) -> tuple[QuoteLine, ...]:
    """The lines of the price, in the order in which they are shown; raises :class:`InvalidInput` over the limit.

    ``promotions`` have amounts below zero; what would push the service price below zero is not granted.
    """
    lines = [QuoteLine("base", f"{kind.name_zh}起步价", f"{kind.name_en}, base", kind.base_fen)]
    if steps := _steps(distance_m, rules.free_distance_m, 100):
        amount = Fen(steps * rules.per_started_100_m_fen)
        lines.append(QuoteLine("distance", f"距离 {distance_m} 米", f"Distance {distance_m} m", amount))
    if steps := _steps(weight_g, rules.free_weight_g, 1_000):
        amount = Fen(steps * rules.per_started_kg_fen)
        lines.append(QuoteLine("weight", f"重量 {weight_g / 1000:g} 公斤", f"Weight {weight_g / 1000:g} kg", amount))
    if kind.is_timed and (steps := _steps(wait_min, 0, 10)):
        amount = Fen(steps * rules.per_started_10_min_fen)
        lines.append(QuoteLine("time", f"排队 {wait_min} 分钟", f"Queueing {wait_min} min", amount))
    for extra in rules.surcharges:
        if extra.applies(local_time):
            lines.append(QuoteLine("time", extra.label_zh, extra.label_en, extra.amount_fen))
    lines.extend(_granted(promotions, service_fen(lines)))
    if goods_cap_fen:
        lines.append(
            QuoteLine("goods", "商品金额上限(按小票实付)", "Goods, at most (charged by receipt)", goods_cap_fen)
        )
    if sum(line.amount_fen for line in lines) > MAX_ORDER_FEN:
        raise InvalidInput("the order is worth more than the limit", field="goods_cap_fen", limit_fen=MAX_ORDER_FEN)
    return tuple(lines)


def service_fen(lines: Sequence[QuoteLine]) -> Fen:
    """The sum of all that is neither goods nor a coupon; a promotion cannot push it below zero."""
    return Fen(max(0, sum(line.amount_fen for line in lines if line.kind not in ("goods", "coupon"))))


@dataclass(frozen=True, slots=True)
class SplitRules:
    """How a captured service price is divided, in percent; goods go to the runner, who laid them out."""

    runner: int = 80
    campus: int = 10
    platform: int = 10

    def __post_init__(self) -> None:
        if self.runner + self.campus + self.platform != 100 or min(self.runner, self.campus, self.platform) < 0:
            raise InvalidInput("the shares must add up to 100", field="split")


@dataclass(frozen=True, slots=True)
class CancelRules:
    """What a cancellation costs the student."""

    #: Free within this time after a runner took it, and always before.
    free_after_assignment: timedelta = field(default=timedelta(minutes=2))
    #: Percent of the service price after that: the runner's way so far.
    assigned_percent: int = 30
    #: Percent of the service price once it is picked up (an operator's decision).
    carrying_percent: int = 100
