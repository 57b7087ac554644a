"""After the student confirmed and the waiting time passed: divide the money."""

from __future__ import annotations

import msgspec

from payments.port import Release, Settle, Share

from ..model.campus import CampusSettings
from ..model.money import Fen, split_fen
from ..model.order import Order, OrderStatus
from ..model.quote import SplitRules
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .payment_view import intent_id


def shares_of(order: Order, service_fen: Fen, goods_fen: Fen, rules: SplitRules) -> tuple[Share, ...]:
    """Who gets what of a captured sum: the service price by rule, the goods whole to who laid them out, which need not
    be who carried them to the door."""
    assert order.runner_id is not None, "only carried orders are divided"
    runner, campus, platform = split_fen(service_fen, (rules.runner, rules.campus, rules.platform))
    buyer_id = order.goods_runner_id or order.runner_id
    earned = {order.runner_id: runner}
    earned[buyer_id] = Fen(earned.get(buyer_id, 0) + goods_fen)
    shares = (
        *(Share(party="runner", account_ref=who, amount_fen=amount) for who, amount in earned.items()),
        Share(party="campus", account_ref=order.campus_id, amount_fen=campus),
        Share(party="platform", account_ref="platform", amount_fen=platform),
    )
    return tuple(share for share in shares if share.amount_fen)


def split_of(order: Order, settings: CampusSettings) -> SplitRules:
    """The rule that stood when the order was placed: nobody's pay changes under their hands."""
    return order.quote.split or settings.split


def runner_pay_fen(order: Order, settings: CampusSettings) -> int:
    """What the runner earns with this order, goods left out."""
    rules = split_of(order, settings)
    return split_fen(order.quote.service_fen, (rules.runner, rules.campus, rules.platform))[0]


def due_to_fen(order: Order, runner_id: str, settings: CampusSettings) -> int:
    """What this runner will get for a delivered order: for carrying it, for the goods that they laid out, or both."""
    pay = runner_pay_fen(order, settings) if order.runner_id == runner_id else 0
    is_buyer = (order.goods_runner_id or order.runner_id) == runner_id
    return pay + (order.goods_actual_fen or 0 if is_buyer else 0)


def command_settlement(uow: UnitOfWork, order: Order, ground: CampusGround) -> None:
    """Tell payments to capture, split and release the rest; applied once however often this is called."""
    if order.status is not OrderStatus.CONFIRMED:
        return
    goods = order.goods_actual_fen if order.goods_actual_fen is not None else Fen(0)
    shares = shares_of(order, order.quote.service_fen, goods, split_of(order, ground.campus.settings))
    _settle(uow, order, shares, order.quote.discount_fen)


def command_give_back(uow: UnitOfWork, order: Order, charge_fen: Fen, ground: CampusGround) -> None:
    """Tell payments to give a cancelled order's money back, all but the charge and the goods that a runner bought; a
    coupon bears nothing of these as long as the student's money is enough."""
    goods = order.goods_actual_fen or Fen(0)
    if charge_fen or goods:
        _settle(uow, order, shares_of(order, charge_fen, goods, split_of(order, ground.campus.settings)))
        return
    command = Release(
        id=f"release:{order.id}", intent_id=intent_id(order.id), reason=order.cancel_reason or "cancelled"
    )
    uow.commands.add(command.id, order.id, "Release", msgspec.json.encode(command))


def _settle(uow: UnitOfWork, order: Order, shares: tuple[Share, ...], discount_fen: int = 0) -> None:
    command = Settle(
        id=f"settle:{order.id}",
        intent_id=intent_id(order.id),
        shares=shares,
        at=order.confirmed_at or order.cancelled_at or uow.now,
        discount_fen=discount_fen,
    )
    uow.commands.add(command.id, order.id, "Settle", msgspec.json.encode(command))
