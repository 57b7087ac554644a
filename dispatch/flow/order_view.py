"""An order as one of its parties may see it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.account import Account, Membership, masked_name, masked_phone
from ..model.campus import CampusSettings
from ..model.credit import CreditLevel, CreditRules
from ..model.errors import NotFound
from ..model.order import LIVE, Order, OrderStatus
from ..model.quote import Quote
from ..model.stop import Stop
from ..model.task import Task
from ..model.views import EtaView, OrderView, QuoteLineView, QuoteView, RunnerCard, StepView, StopView
from ..store.orders import Parties
from ..store.unit_of_work import UnitOfWork
from .cancel_price import cancel_price_fen
from .instants import ms as ms
from .progress_view import NO_PROGRESS, Progress

#: Students meet their runner only while the order is live, and a little after, to say thanks or complain.
RUNNER_SHOWN = LIVE | {OrderStatus.DELIVERED}


#: So many memberships are read one by one before all are read at once.
_FEW = 4


class Viewer(StrEnum):
    STUDENT = "student"
    RUNNER = "runner"
    OPERATOR = "operator"


def viewer_of(order: Order | Parties, who: Principal) -> Viewer:
    """As whom ``who`` sees the order; raises :class:`NotFound` for a stranger, who must not learn that it exists."""
    if order.student_id == who.account_id:
        return Viewer.STUDENT
    if order.runner_id == who.account_id:
        return Viewer.RUNNER
    if who.may(Permission.ORDERS_READ_ANY):
        return Viewer.OPERATOR
    raise NotFound(id=order.id)


def quote_view(quote: Quote) -> QuoteView:
    return QuoteView(
        lines=[
            QuoteLineView(
                kind=line.kind,
                label_zh=line.label_zh,
                label_en=line.label_en,
                amount_fen=line.amount_fen,
                payer=line.payer,
            )
            for line in quote.lines
        ],
        service_fen=quote.service_fen,
        goods_cap_fen=quote.goods_cap_fen,
        total_fen=quote.total_fen,
        distance_m=quote.distance_m,
        duration_s=quote.duration_s,
        arrive_from_ms=ms(quote.arrive_from),
        arrive_by_ms=ms(quote.arrive_by),
        rule_version=quote.rule_version,
        discount_fen=quote.discount_fen,
        coupon_id=quote.coupon_id,
    )


def stop_view(stop: Stop, *, is_personal: bool) -> StopView:
    """``is_personal``: whether the viewer may see the door and the contact."""
    return StopView(
        role=str(stop.role),
        lat=stop.lat,
        lon=stop.lon,
        label=stop.label,
        floor=stop.floor,
        place_id=stop.place_id,
        detail=stop.detail if is_personal else "",
        contact_name=stop.contact_name if is_personal else masked_name(stop.contact_name) if stop.contact_name else "",
        contact_phone=stop.contact_phone
        if is_personal
        else masked_phone(stop.contact_phone)
        if stop.contact_phone
        else "",
    )


def steps_of(order: Order) -> list[StepView]:
    """The four steps of the tracking page with the time each was reached."""
    on_the_way = order.picked_up_at or (order.assigned_at if len(order.stops) < 2 else None)
    times = (
        ("accepted", order.assigned_at),
        ("picked_up", order.picked_up_at),
        ("on_the_way", on_the_way),
        ("delivered", order.delivered_at),
    )
    return [StepView(step=step, at_ms=ms(at) if at else None) for step, at in times]


class People:
    """Names and standings of everybody on a page of orders, and how far their errands are, read at once."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        members: Mapping[str, Membership],
        stars: Mapping[str, float],
        progress: Progress = NO_PROGRESS,
    ) -> None:
        self.accounts = accounts
        self.members = members
        self.stars = stars
        self.progress = progress

    @classmethod
    def of(cls, uow: UnitOfWork, orders: list[Order]) -> People:
        """Read the people of ``orders``; ratings only for the few runners among them."""
        runners = {order.runner_id for order in orders if order.runner_id}
        accounts = uow.accounts.many(runners | {order.student_id for order in orders})
        stars = uow.statistics.stars(runners) if runners else {}
        return cls(accounts, _members(uow, runners), stars, Progress.of(uow, orders))

    def name(self, account_id: str | None) -> str:
        account = self.accounts.get(account_id or "")
        return account.name if account else ""


def _members(uow: UnitOfWork, runners: set[str]) -> dict[str, Membership]:
    """Of a few runners one by one; of many with one question for all of the campus's."""
    known: dict[str, Membership] = {}
    if len(runners) > _FEW:
        known = {member.account_id: member for member, _ in uow.memberships.runners()}
    return {runner: known.get(runner) or uow.memberships.get(runner) for runner in runners}


def runner_card(people: People, runner_id: str, rules: CreditRules) -> RunnerCard | None:
    """What the order's parties see of its runner."""
    account, member = people.accounts.get(runner_id), people.members.get(runner_id)
    if account is None or member is None:
        return None
    return RunnerCard(
        id=runner_id,
        name=masked_name(account.name),
        vehicle=member.vehicle,
        credit=member.credit,
        stars=people.stars.get(runner_id),
        phone=masked_phone(account.phone),
        has_badge=rules.level_of(member.credit) is CreditLevel.GOOD,
    )


def is_late(order: Order, now: datetime) -> bool:
    """Whether the promise was broken, or is broken while the errand is under way."""
    if order.delivered_at is not None:
        return order.delivered_at > order.promised_at
    return order.status in LIVE | {OrderStatus.OPEN} and now > order.promised_at


def _cancel_price(order: Order, viewer: Viewer, settings: CampusSettings, now: datetime) -> int | None:
    """What cancelling would cost this viewer; None where it is not theirs to cancel."""
    # Once it is on its way only the campus team cancels.
    if viewer is Viewer.RUNNER or (order.status is OrderStatus.CARRYING and viewer is not Viewer.OPERATOR):
        return None
    return cancel_price_fen(order, settings.cancel, now)


def order_view(
    order: Order,
    task: Task | None,
    people: People,
    viewer: Viewer,
    settings: CampusSettings,
    now: datetime,
    *,
    photo_ids: list[str] | None = None,
    undo_until: datetime | None = None,
    eta: EtaView | None = None,
) -> OrderView:
    """Build the view. What a viewer may not see is left empty here and nowhere else."""
    is_student, is_operator = viewer is Viewer.STUDENT, viewer is Viewer.OPERATOR
    is_carrier = viewer is Viewer.RUNNER
    # A runner needs the door and the phone while carrying, and not a day longer.
    is_personal = is_student or (is_carrier and order.status in RUNNER_SHOWN)
    student = people.accounts.get(order.student_id)
    shows_runner = order.runner_id is not None and (is_operator or is_carrier or order.status in RUNNER_SHOWN)
    settle_after = timedelta(seconds=settings.settle_after_s)
    return OrderView(
        id=order.id,
        code=order.id[-6:],
        campus_id=order.campus_id,
        type_code=order.type_code,
        status=str(order.status),
        task_status=str(task.status) if task else None,
        task_id=task.id if task else None,
        version=order.version,
        quote=quote_view(order.quote),
        stops=[stop_view(stop, is_personal=is_personal) for stop in order.stops],
        description=order.description,
        weight_g=order.weight_g,
        volume_ml=order.volume_ml,
        placed_at_ms=ms(order.placed_at),
        promised_at_ms=ms(order.promised_at),
        steps=steps_of(order),
        eta=eta,
        near=people.progress.near(order, task),
        delay=people.progress.delay(order, now),
        runner=runner_card(people, order.runner_id, settings.credit) if shows_runner and order.runner_id else None,
        student_id=order.student_id if not is_carrier else None,
        student_name=masked_name(student.name) if student and not is_student else student.name if student else None,
        student_phone=masked_phone(student.phone) if student and not is_student else None,
        pin=order.pin if is_student and order.status in LIVE else None,
        cancel_price_fen=_cancel_price(order, viewer, settings, now),
        cancel_reason=order.cancel_reason,
        rating=order.rating,
        rating_text=order.rating_text,
        goods_actual_fen=order.goods_actual_fen,
        held_fen=order.held_fen,
        captured_fen=order.captured_fen,
        released_fen=order.released_fen,
        refunded_fen=order.refunded_fen,
        is_late=is_late(order, now),
        confirmed_at_ms=ms(order.confirmed_at) if order.confirmed_at else None,
        settle_at_ms=ms(order.confirmed_at + settle_after) if order.confirmed_at else None,
        photo_ids=photo_ids or [],
        undo_until_ms=ms(undo_until) if undo_until and is_operator else None,
    )
