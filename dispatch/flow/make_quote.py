"""From what a student asks to stops on the map, a price and a promise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from geo.datum import Datum, to_wgs84
from geo.errors import UnknownPlace
from geo.point import Point
from geo.shrinkage import Mean

from ..model.campus import CampusSettings
from ..model.errors import InvalidInput, OutsideArea, OutsideHours
from ..model.money import Fen
from ..model.order_type import OrderType
from ..model.quote import Quote, price, service_fen
from ..model.requests import QuoteRequest, StopRequest
from ..model.stop import Stop, StopRole
from .arrival import APPROACH_M, TAKE_S, service_s, speed_mps
from .campus_ground import CampusGround

#: How long a runner is busy with one errand, until errands have told; and the longest wait that is promised.
BUSY_S, MAX_BACKLOG_S = 600.0, 2_400.0
_BUSY_PRIOR = 10.0
#: What is promised is the late end of the range with a reserve, because a promise is never moved.
RESERVE_S = 180.0
#: What the learned figures call how wrong promises were, and how long an errand keeps a runner busy.
PROMISE, ERRAND = "promise", "errand"


@dataclass(frozen=True, slots=True)
class Demand:
    """How busy the campus is: errands that wait, errands that are carried out, and runners on duty."""

    waiting: int
    runners: int
    held: int = 0

    def backlog_s(self, busy_s: float) -> float:
        """Until somebody is free. As long as there are more runners than errands it is nothing; every errand more is
        a share of the time that one takes, of what is carried out already half of that."""
        beyond = self.waiting + self.held - max(1, self.runners) + 1
        if beyond <= 0:
            return 0.0
        errands_s = busy_s * (min(self.waiting, beyond) + max(0, beyond - self.waiting) / 2)
        return min(MAX_BACKLOG_S, errands_s / max(1, self.runners))


def order_type(settings: CampusSettings, code: str) -> OrderType:
    """The type; raises :class:`InvalidInput` where the campus does not offer it."""
    try:
        return settings.types[code]
    except KeyError:
        raise InvalidInput("this campus offers no such kind of errand", field="type_code") from None


def make_quote(
    ground: CampusGround, request: QuoteRequest, demand: Demand, now: datetime
) -> tuple[Quote, tuple[Stop, ...]]:
    """Price and promise; raises a refusal that names the field at fault.

    The order of the checks is the order in which a student can mend them: what, where, when, how much.
    """
    settings = ground.campus.settings
    kind = order_type(settings, request.type_code)
    stops = _resolve_stops(ground, kind, request)
    _check_quantities(kind, request)
    if not settings.is_open(now):
        raise OutsideHours(opens=f"{settings.opens:%H:%M}", closes=f"{settings.closes:%H:%M}")
    distance_m = round(trip_m(ground, stops))
    lines = price(
        kind,
        distance_m=distance_m,
        weight_g=request.weight_g,
        wait_min=request.wait_min,
        goods_cap_fen=Fen(request.goods_cap_fen),
        local_time=settings.local_time(now),
        rules=settings.pricing,
    )
    model = ground.arrivals
    trip_s = TAKE_S + request.wait_min * 60 + (APPROACH_M + distance_m) / speed_mps(ground, None, "walk", now)
    trip_s += sum(service_s(ground, kind.code, stop.role, stop.floor) for stop in stops) or float(kind.handling_s)
    queue_s = demand.backlog_s(model.services.get(ERRAND, Mean()).towards(BUSY_S, _BUSY_PRIOR))
    told = model.promises.range_of(PROMISE, trip_s + queue_s)
    quote = Quote(
        lines=lines,
        service_fen=service_fen(lines),
        goods_cap_fen=Fen(request.goods_cap_fen),
        distance_m=distance_m,
        duration_s=round(trip_s),
        arrive_from=now + timedelta(seconds=told.low_s),
        arrive_by=now + timedelta(seconds=told.high_s + RESERVE_S),
        rule_version=settings.pricing.version,
        split=settings.split,
        queue_s=round(queue_s),
    )
    return quote, stops


def trip_m(ground: CampusGround, stops: tuple[Stop, ...]) -> float:
    """Metres on foot from the first stop to the last, in order."""
    points = [Point(stop.lat, stop.lon) for stop in stops]
    return sum(ground.walkways.walk_m(a, b) for a, b in pairwise(points))


def _check_quantities(kind: OrderType, request: QuoteRequest) -> None:
    if kind.has_goods and not request.goods_cap_fen:
        raise InvalidInput("say how much the goods may cost at most", field="goods_cap_fen")
    if not kind.has_goods and request.goods_cap_fen:
        raise InvalidInput("this kind of errand buys no goods", field="goods_cap_fen")
    if kind.is_timed and not request.wait_min:
        raise InvalidInput("say how many minutes it takes", field="wait_min")
    if not kind.is_timed and request.wait_min:
        raise InvalidInput("this kind of errand is not paid by time", field="wait_min")


def _resolve_stops(ground: CampusGround, kind: OrderType, request: QuoteRequest) -> tuple[Stop, ...]:
    if len(request.stops) != len(kind.stops):
        raise InvalidInput(f"this kind of errand has {len(kind.stops)} stops", field="stops")
    stops = []
    for number, (role, asked) in enumerate(zip(kind.stops, request.stops, strict=True)):
        stop = _resolve_stop(ground, asked, request.datum, f"stops.{number}")
        stops.append(replace(stop, role=role))
    if len(stops) == 2 and trip_m(ground, tuple(stops)) < 1 and stops[0].place_id == stops[1].place_id:
        raise InvalidInput("pick-up and drop-off are the same place", field="stops.1")
    return tuple(stops)


def _resolve_stop(ground: CampusGround, asked: StopRequest, datum: str, field: str) -> Stop:
    label = asked.label
    if asked.place_id is not None:
        try:
            place = ground.map.place(asked.place_id)
        except UnknownPlace:
            raise InvalidInput("this campus has no such place", field=f"{field}.place_id") from None
        point, label = place.point, asked.label or place.name
    elif asked.lat is not None and asked.lon is not None:
        point = to_wgs84(Point(asked.lat, asked.lon), Datum(datum))
        if not label:
            near = ground.map.nearest_place(point)
            label = near.name if near else ""
    else:
        raise InvalidInput("name a place or give its position", field=field)
    if not ground.map.contains(point):
        raise OutsideArea(field=field)
    if ground.map.is_no_go(point):
        raise OutsideArea("nobody may be sent into that area", field=field)
    return Stop(
        role=StopRole.PLACE,
        lat=point.lat,
        lon=point.lon,
        label=label or "·",
        place_id=asked.place_id,
        floor=asked.floor,
        detail=asked.detail,
        contact_name=asked.contact_name,
        contact_phone=asked.contact_phone or "",
    )
