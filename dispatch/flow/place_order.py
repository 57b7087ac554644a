"""A student asks for a quote and places an order: the order and the wish for its money are one commit."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from payments.port import OpenIntent

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model import ids
from ..model.campus import CampusSettings
from ..model.coupon import Coupon
from ..model.coupon_views import QuoteToStudent
from ..model.errors import InvalidInput, NotPermitted, OutsideHours, QuoteExpired, TooMany, Unavailable
from ..model.event import EventKind
from ..model.money import Fen
from ..model.order import Order, OrderStatus
from ..model.quote import Quote
from ..model.requests import PlaceOrder, QuoteRequest
from ..model.stop import Stop
from ..model.views import OrderView
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .context import Context
from .make_quote import Demand, make_quote
from .order_view import People, Viewer, order_view, quote_view
from .origin import NOWHERE, AskedFrom, Origin
from .payer_needs import lacking_for_order, place_for
from .payment_view import intent_id
from .show_coupons import coupon_view
from .tell import tell
from .use_coupons import quoted_with, reserve_coupon
from .wish_runner import wish_for

#: One student may have this many orders waiting for their payment.
MAX_UNPAID = 5
#: An errand may be asked for at most this far ahead.
MAX_AHEAD = timedelta(days=3)


async def quote_order(ctx: Context, who: Principal, request: QuoteRequest) -> QuoteToStudent:
    """What the errand would cost now and by when it would arrive."""
    ground = await ctx.grounds.get(who.campus_id)

    def read(uow: UnitOfWork) -> tuple[Quote, list[Coupon]]:
        quote, _ = make_quote(ground, request, _demand(uow), uow.now)
        return quoted_with(uow, who.account_id, request.coupon_id, quote), uow.coupons.usable(who.account_id)

    quote, coupons = await ctx.store.read(who.campus_id, read)
    told = msgspec.structs.asdict(quote_view(quote))
    return QuoteToStudent(**told, coupons=[coupon_view(each) for each in coupons])


async def place_order(
    ctx: Context, who: Principal, request: PlaceOrder, key: str, origin: Origin = NOWHERE
) -> OrderView:
    """Place the order; its payment is opened from the durable queue and arrives over the order's topic. ``origin``:
    where the student is and with what, as risk may ask.

    The same ``key`` with the same request returns the stored answer; with another one it is refused. A price other
    than the one that the student agreed to is refused with the new one.
    """
    who.require(Permission.ORDERS_PLACE)
    request_hash = hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()

    def known(uow: UnitOfWork) -> bytes | None:
        return uow.idempotency.stored(who.account_id, key, request_hash)

    def look(uow: UnitOfWork) -> tuple[bytes | None, Demand]:
        return known(uow), _demand(uow)

    # How busy the campus is has to be no truer than a moment ago; asked for while it is written, every payment that
    # opens a task meanwhile would begin it anew.
    kept, demand = await ctx.store.read(who.campus_id, look)
    if kept is not None:
        return msgspec.json.decode(kept, type=OrderView)
    ground = await ctx.grounds.get(who.campus_id)
    channels = _channels(await lacking_for_order(ctx, who.account_id, request.channel), request.channel)
    client_ip = place_for(ctx, channels, origin)
    asked_from = AskedFrom.of(ctx, who, origin, request.challenge_token)

    def place(uow: UnitOfWork) -> bytes:
        if (stored := known(uow)) is not None:
            return stored
        if uow.accounts.get(who.account_id).is_blocked:
            raise NotPermitted("this account is blocked")
        unpaid = uow.orders.page(student_id=who.account_id, statuses=[OrderStatus.AWAITING_PAYMENT], limit=MAX_UNPAID)
        if len(unpaid) >= MAX_UNPAID:
            raise TooMany("pay or cancel the orders that wait for payment first", limit=MAX_UNPAID)
        quote, stops = make_quote(ground, request, demand, uow.now)
        quote = quoted_with(uow, who.account_id, request.coupon_id, quote)
        if quote.total_fen != request.expected_total_fen:
            raise QuoteExpired(field="expected_total_fen", total_fen=quote.total_fen)
        order = _new_order(uow, who, request, quote, stops, ground.campus.settings)
        _open(uow, order, ground, channels, asked_from, client_ip)
        if request.wish_runner_id is not None:
            wish_for(uow, order, request.wish_runner_id)
        people = People.of(uow, [order])
        view = order_view(order, None, people, Viewer.STUDENT, ground.campus.settings, uow.now)
        answer = msgspec.json.encode(view)
        uow.idempotency.store(who.account_id, key, request_hash, answer)
        return answer

    answer = await ctx.store.run(who.campus_id, place)
    ctx.announce()
    return msgspec.json.decode(answer, type=OrderView)


def order_id_of(intent: str) -> str:
    """The order of a payment intent."""
    return ids.derived_id(ids.ORDER, intent)


def _demand(uow: UnitOfWork) -> Demand:
    waiting, held = uow.tasks.counts()
    return Demand(waiting=waiting, runners=uow.memberships.count_on_duty(), held=held)


def _channels(lacks: Mapping[str, list[str]], chosen: str | None) -> tuple[str, ...]:
    """The chosen one first, then those that may take its place: all that know enough of the payer."""
    offered = [code for code, needs in lacks.items() if not needs]
    if chosen is not None and lacks.get(chosen):
        raise InvalidInput("this channel has to know more of you first", field="channel", needs=lacks[chosen])
    if not offered:
        raise Unavailable("no channel takes payments right now; try again")
    if chosen is None:
        return tuple(offered)
    if chosen not in offered:
        raise InvalidInput("this channel takes no payments now", field="channel", offered=offered)
    return (chosen, *(code for code in offered if code != chosen))


def _new_order(
    uow: UnitOfWork,
    who: Principal,
    request: PlaceOrder,
    quote: Quote,
    stops: tuple[Stop, ...],
    settings: CampusSettings,
) -> Order:
    pickup_after = None
    promised_at = quote.arrive_by
    if request.pickup_after_ms is not None:
        from_now = timedelta(milliseconds=request.pickup_after_ms - round(uow.now.timestamp() * 1000))
        if not timedelta(0) <= from_now <= MAX_AHEAD:
            raise InvalidInput("the time lies in the past or too far ahead", field="pickup_after_ms")
        pickup_after, promised_at = uow.now + from_now, promised_at + from_now
        if not settings.is_open(pickup_after):
            raise OutsideHours(
                field="pickup_after_ms", opens=f"{settings.opens:%H:%M}", closes=f"{settings.closes:%H:%M}"
            )
    return Order(
        id=uow.new_id(ids.ORDER),
        campus_id=uow.campus_id,
        student_id=who.account_id,
        type_code=request.type_code,
        status=OrderStatus.AWAITING_PAYMENT,
        version=1,
        quote=quote,
        stops=stops,
        description=request.description,
        weight_g=request.weight_g,
        volume_ml=request.volume_ml,
        placed_at=uow.now,
        promised_at=promised_at,
        pickup_after=pickup_after,
        held_fen=Fen(0),
        pin=f"{secrets.randbelow(10_000):04d}",
    )


def _open(
    uow: UnitOfWork,
    order: Order,
    ground: CampusGround,
    channels: tuple[str, ...],
    asked_from: AskedFrom,
    client_ip: str | None,
) -> None:
    uow.orders.insert(order)
    subsidies = reserve_coupon(uow, order)
    expires_at = uow.now + timedelta(seconds=ground.campus.settings.unpaid_ttl_s)
    command = OpenIntent(
        id=f"open:{order.id}",
        intent_id=intent_id(order.id),
        campus_id=order.campus_id,
        order_ref=order.id,
        payer_ref=order.student_id,
        amount_fen=order.quote.total_fen,
        description=order.type_code,
        channels=channels,
        expires_at=expires_at,
        device_id=asked_from.device,
        ip=asked_from.place,
        challenge_token=asked_from.proof,
        client_ip=client_ip,
        subsidies=subsidies,
    )
    uow.commands.add(command.id, order.id, "OpenIntent", msgspec.json.encode(command))
    uow.jobs.schedule("expire_unpaid", order.id, expires_at)
    tell(uow, EventKind.ORDER_PLACED, order, actor_id=order.student_id)
