"""Policies to compare with: the nearest courier, and linear assignment every minute (match30)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from .instance import Ints, travel_minutes
from .world import Instruction, Situation


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every order (row) with every courier (column): minutes to the counter, pick-up, drop-off; could it be."""

    way: Ints
    pickup: Ints
    dropoff: Ints
    fits: np.ndarray[tuple[int, int], np.dtype[np.bool_]]


def pairs(now: Situation, orders: Ints, couriers: Ints) -> Pairs:
    """``orders``, ``couriers``: positions within the situation's arrays."""
    o, c, rules = now.orders, now.couriers, now.rules
    half_pickup, half_dropoff = rules.pickup_service // 2, rules.dropoff_service // 2
    way = travel_minutes(o.counter_xy[orders][:, None], c.xy[couriers][None, :], rules.meters_per_minute)
    pickup = np.maximum(o.ready[orders][:, None], c.free[couriers][None, :] + way + half_pickup)
    dropoff = pickup + half_pickup + o.ride[orders][:, None] + half_dropoff
    fits = (pickup <= c.off[couriers][None, :]) & (dropoff - o.placed[orders][:, None] <= rules.maximum)
    return Pairs(way, pickup, dropoff, fits)


class NearestCourier:
    """First ready, first served: each order, when it is time to go for it, takes the free courier who is nearest."""

    def decide(self, now: Situation) -> Sequence[Instruction]:
        orders = np.argsort(now.orders.ready, kind="stable").astype(np.int64)
        couriers = np.flatnonzero(now.couriers.free <= now.minute)
        if not len(couriers):
            return ()
        found = pairs(now, orders, couriers)
        half = now.rules.pickup_service // 2
        taken = np.zeros(len(couriers), dtype=bool)
        out: list[Instruction] = []
        for i, order in enumerate(orders):
            way = np.where(found.fits[i] & ~taken, found.way[i], np.iinfo(np.int64).max)
            nearest = int(way.argmin())
            if taken[nearest] or not found.fits[i, nearest]:
                continue
            if now.minute + found.way[i, nearest] + half < now.orders.ready[order]:
                continue  # leaving now would only mean waiting at the counter
            taken[nearest] = True
            out.append(Instruction(int(now.couriers.row[couriers[nearest]]), (int(now.orders.row[order]),)))
        return out


class Match30:
    """One assignment problem a minute over single orders; committed when the courier has to leave.

    Orders that are ready within 30 minutes, couriers who are free within 10; least total minutes from click to door,
    of equal ones the shorter ways.
    """

    order_ahead = 30
    courier_ahead = 10
    # Dearer than any day: as many orders as possible are matched.
    forbidden = 1e4
    tie = 1e-3

    def decide(self, now: Situation) -> Sequence[Instruction]:
        orders = np.flatnonzero(now.orders.ready <= now.minute + self.order_ahead)
        couriers = np.flatnonzero(now.couriers.free <= now.minute + self.courier_ahead)
        if not len(orders) or not len(couriers):
            return ()
        found = pairs(now, orders, couriers)
        click_to_door = found.dropoff - now.orders.placed[orders][:, None]
        cost = np.where(found.fits, click_to_door + self.tie * found.way, self.forbidden)
        half = now.rules.pickup_service // 2
        out: list[Instruction] = []
        for i, j in zip(*linear_sum_assignment(cost), strict=True):
            order, courier = orders[i], couriers[j]
            is_due = now.minute + found.way[i, j] + half >= now.orders.ready[order]
            if found.fits[i, j] and is_due and now.couriers.free[courier] <= now.minute:
                out.append(Instruction(int(now.couriers.row[courier]), (int(now.orders.row[order]),)))
        return out
