"""How far an errand under way is: at which stop its runner is, and what was told of a delay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ..model.delay import Delay, is_delayed
from ..model.order import LIVE, Order, OrderStatus
from ..model.task import Task, TaskStatus
from ..model.views import DelayView, NearView
from ..model.visit import StopVisit, stop_ahead
from ..store.unit_of_work import UnitOfWork
from .instants import ms

_SHOWN = LIVE | {OrderStatus.OPEN}
_CONFIRMED = frozenset({TaskStatus.AT_PICKUP, TaskStatus.AT_DROPOFF})


class Progress:
    """Of a page of orders, read at once."""

    def __init__(self, visits: Mapping[str, Sequence[StopVisit]], delays: Mapping[str, Delay]) -> None:
        self._visits = visits
        self._delays = delays

    @classmethod
    def of(cls, uow: UnitOfWork, orders: Sequence[Order]) -> Progress:
        """Two questions, and none where nothing is under way."""
        live = [order.id for order in orders if order.status in LIVE]
        shown = [order.id for order in orders if order.status in _SHOWN]
        return cls(uow.stop_visits.of_orders(live), uow.delays.of_orders(shown))

    def near(self, order: Order, task: Task | None) -> NearView | None:
        """Where the runner is, if they are near the stop before them or there."""
        stop = None if task is None or order.status not in LIVE else stop_ahead(order.stops, task.status)
        if task is None or stop is None:
            return None
        mine = (one for one in self._visits.get(order.id, ()) if one.role is stop.role)
        visit = next((one for one in mine if one.runner_id == task.runner_id), None)
        if visit is None:
            return None
        is_confirmed = task.status in _CONFIRMED
        began = visit.arrived_at if visit.is_there else visit.confirmed_at if is_confirmed else None
        if began is not None or is_confirmed:
            since = began or visit.begun_at
            return NearView(role=str(stop.role), state="there", since_ms=ms(since), is_confirmed=is_confirmed)
        if visit.near_at is not None and visit.arrived_at is None:
            return NearView(role=str(stop.role), state="near", since_ms=ms(visit.near_at), is_confirmed=False)
        return None

    def delay(self, order: Order, now: datetime) -> DelayView | None:
        """What both sides were told, as long as it stands."""
        told = self._delays.get(order.id)
        if told is None or order.status not in _SHOWN or not is_delayed(order.promised_at, told.expected_at, now):
            return None
        return DelayView(expected_ms=ms(told.expected_at), told_ms=ms(told.told_at))


NO_PROGRESS = Progress({}, {})
