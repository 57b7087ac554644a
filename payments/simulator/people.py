"""Simulated people: students who pay what is put before them after a while (or never), and receivers who say yes."""

from __future__ import annotations

import heapq
import random

import msgspec

from payments.simulator.desk import Desk
from payments.simulator.events import OrderKey
from payments.simulator.order_book import OrderBook


class Habits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``pay_share``: how many of the orders are paid; ``think_s``: between so many real seconds later."""

    pay_share: float = 0.0
    think_s: tuple[float, float] = (0.2, 3.0)

    def problem(self) -> str | None:
        """What is wrong with it."""
        if not 0 <= self.pay_share <= 1:
            return "pay_share: from 0 to 1"
        least, most = self.think_s
        return None if 0 <= least <= most <= 86400 else "think_s: two numbers of seconds, the smaller one first"


class People:
    """They know an order by its token, as real ones do, and may well pay one that was closed meanwhile."""

    def __init__(self, desk: Desk, seed: int, habits: Habits) -> None:
        self._desk = desk
        self._seed = seed
        self._habits = habits
        self._plans: list[tuple[float, OrderKey]] = []
        desk.books.on_order = self._meet
        self.habits = habits

    @property
    def habits(self) -> Habits:
        """How they are."""
        return self._habits

    @habits.setter
    def habits(self, habits: Habits) -> None:
        self._habits = habits
        self._plans.clear()
        for order in self._desk.books.orders.values():
            if not order.charges and not order.is_closed:
                self._meet(order)

    def _meet(self, order: OrderBook) -> None:
        # Each order has its own luck, so that neither the order of arrival nor a restart changes who pays.
        luck = random.Random(f"{self._seed}/{order.key.institution}/{order.key.number}")  # noqa: S311 - rehearsed
        if luck.random() < self._habits.pay_share:
            at_s = self._desk.clock.wall_s() + luck.uniform(*self._habits.think_s)
            heapq.heappush(self._plans, (at_s, order.key))

    def act(self) -> int:
        """Do what it is time for; how much that was."""
        now_s = self._desk.clock.wall_s()
        done = 0
        while self._plans and self._plans[0][0] <= now_s:
            order = self._desk.books.orders[heapq.heappop(self._plans)[1]]
            self._desk.pay(order, order.opened.terms.get("openid", f"payer-of-{order.key.number}"))
            done += 1
        if self._habits.pay_share > 0:
            for transfer in self._desk.books.transfers_under_way():
                key = transfer.opened.key
                if transfer.standing != "waiting":
                    continue
                if self._desk.faults.fires("transfer_waits", key.institution, "transfer", key.number) is None:
                    done += self._desk.agree(transfer)
        return done
