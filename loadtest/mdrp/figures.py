"""The figures of a day and of many: click-to-door, undelivered, pay; per instance, mean of instances, and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from .instance import Instance
from .solution import Solution


@dataclass(frozen=True, slots=True)
class Day:
    """One policy on one instance, as sums that days can be added up from; ``faults``: what the validator found."""

    instance: str
    policy: str
    orders: int
    delivered: int
    click_to_door: int
    ready_to_pickup: int
    over_target: int
    trips: int
    paid: float | None
    maximum: int
    tick_ms: tuple[float, ...] = ()
    seconds: float = 0.0
    faults: tuple[str, ...] = ()
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """Minutes, shares of 1, money per delivered order; None where nothing was delivered or measured."""

    days: int
    orders: int
    undelivered: int
    undelivered_share: float
    ctd: float | None
    penalised: float
    rtp: float | None
    over_target_share: float | None
    cost_per_order: float | None
    orders_per_bundle: float | None
    tick_p50_ms: float | None
    tick_p99_ms: float | None
    tick_max_ms: float | None


def day(
    instance: Instance,
    policy: str,
    solution: Solution,
    tick_ms: Sequence[float] = (),
    seconds: float = 0.0,
    faults: Sequence[str] = (),
    chosen: bool = False,
) -> Day:
    """Counted from the solution alone, once the validator has looked at it."""
    orders = {o.id: o for o in instance.orders}
    clicks = [drop.at - orders[drop.order].placed for trip in solution.trips for drop in trip.drops]
    waits = [trip.picked_up - orders[drop.order].ready for trip in solution.trips for drop in trip.drops]
    return Day(
        instance=instance.name,
        policy=policy,
        orders=len(orders),
        delivered=len(clicks),
        click_to_door=sum(clicks),
        ready_to_pickup=sum(waits),
        over_target=sum(minutes > instance.rules.target for minutes in clicks),
        trips=len(solution.trips),
        paid=pay(instance, solution),
        maximum=instance.rules.maximum,
        tick_ms=tuple(tick_ms),
        seconds=seconds,
        faults=tuple(faults),
        chosen=chosen,
    )


def bound(instance: Instance, chosen: bool = False) -> Day:
    """What physics leaves: somebody stands at the counter whenever an order is ready, and goes straight to its door.

    Undelivered are those that nobody could deliver even so: at the time no shift reaches, or over the maximum anyway.
    """
    half_pickup, half_dropoff = instance.rules.pickup_service // 2, instance.rules.dropoff_service // 2
    on = np.maximum(instance.on[None, :], instance.placed[:, None])
    pickup = np.maximum(instance.ready[:, None], on + half_pickup)
    clicks = pickup + (half_pickup + instance.ride + half_dropoff - instance.placed)[:, None]
    fits = (pickup <= instance.off[None, :]) & (clicks <= instance.rules.maximum)
    possible = fits.any(axis=1)
    best = (instance.ready + half_pickup + instance.ride + half_dropoff - instance.placed)[possible]
    return Day(
        instance=instance.name,
        policy="bound",
        orders=len(instance.orders),
        delivered=len(best),
        click_to_door=int(best.sum()),
        ready_to_pickup=0,
        over_target=int((best > instance.rules.target).sum()),
        trips=len(best),
        paid=None,
        maximum=instance.rules.maximum,
        chosen=chosen,
    )


def pay(instance: Instance, solution: Solution) -> float:
    """What all couriers get: by the order, and at least the guarantee for the hours on duty."""
    carried: dict[str, int] = {}
    for trip in solution.trips:
        carried[trip.courier] = carried.get(trip.courier, 0) + len(trip.drops)
    rules = instance.rules
    return sum(
        max(rules.pay_per_order * carried.get(c.id, 0), rules.pay_per_hour * (c.off - c.on) / 60)
        for c in instance.couriers
    )


def pooled(days: Sequence[Day]) -> Figures:
    """All orders of all days as if they were of one; of one day, its own figures."""
    orders, delivered = sum(d.orders for d in days), sum(d.delivered for d in days)
    lost = sum(d.maximum * (d.orders - d.delivered) for d in days)
    ctd = sum(d.click_to_door for d in days)
    paid = [d.paid for d in days if d.paid is not None]
    ticks = np.array([ms for d in days for ms in d.tick_ms])
    p50, p99, most = np.percentile(ticks, [50, 99, 100]).tolist() if len(ticks) else (None, None, None)
    return Figures(
        days=len(days),
        orders=orders,
        undelivered=orders - delivered,
        undelivered_share=(orders - delivered) / orders,
        ctd=_ratio(ctd, delivered),
        penalised=(ctd + lost) / orders,
        rtp=_ratio(sum(d.ready_to_pickup for d in days), delivered),
        over_target_share=_ratio(sum(d.over_target for d in days), delivered),
        cost_per_order=_ratio(sum(paid), delivered) if paid else None,
        orders_per_bundle=_ratio(delivered, sum(d.trips for d in days)),
        tick_p50_ms=p50,
        tick_p99_ms=p99,
        tick_max_ms=most,
    )


def mean_of_instances(days: Sequence[Day]) -> Figures:
    """Every day counts the same, however many orders it has; ticks and counts are of all days together."""
    each, together = [pooled([d]) for d in days], pooled(days)
    return Figures(
        days=len(days),
        orders=together.orders,
        undelivered=together.undelivered,
        undelivered_share=fmean(f.undelivered_share for f in each),
        ctd=_mean([f.ctd for f in each]),
        penalised=fmean(f.penalised for f in each),
        rtp=_mean([f.rtp for f in each]),
        over_target_share=_mean([f.over_target_share for f in each]),
        cost_per_order=_mean([f.cost_per_order for f in each]),
        orders_per_bundle=_mean([f.orders_per_bundle for f in each]),
        tick_p50_ms=together.tick_p50_ms,
        tick_p99_ms=together.tick_p99_ms,
        tick_max_ms=together.tick_max_ms,
    )


def _ratio(sum_of: float, n: int) -> float | None:
    return sum_of / n if n else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return fmean(known) if known else None
