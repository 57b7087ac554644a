"""After the student confirmed and the waiting time passed: divide the money."""

from __future__ import annotations

import msgspec

from payments.port import Release, Settle, Share

from ..model.money import Fen, split_fen
from ..model.order import Order, OrderStatus
from ..model.quote import SplitRules
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .place_order import intent_id


def shares_of(order: Order, service_fen: Fen, goods_fen: Fen, rules: SplitRules) -> tuple[Share, ...]:
    """Who gets what of a captured sum: the service price by the campus's rule, the goods whole to who laid them out."""
    assert order.runner_id is not None, "only carried orders are divided"
    runner, campus, platform = split_fen(service_fen, (rules.runner, rules.campus, rules.platform))
    shares = (
        Share(party="runner", account_ref=order.runner_id, amount_fen=Fen(runner + goods_fen)),
        Share(party="campus", account_ref=order.campus_id, amount_fen=campus),
        Share(party="platform", account_ref="platform", amount_fen=platform),
    )
    return tuple(share for share in shares if share.amount_fen)


def runner_pay_fen(order: Order, rules: SplitRules) -> int:
    """What the runner earns with this order, goods left out."""
    return split_fen(order.quote.service_fen, (rules.runner, rules.campus, rules.platform))[0]


def command_settlement(uow: UnitOfWork, order: Order, ground: CampusGround) -> None:
    """Tell payments to capture, split and release the rest; applied once however often this is called."""
    if order.status is not OrderStatus.CONFIRMED:
        return
    goods = order.goods_actual_fen if order.goods_actual_fen is not None else Fen(0)
    _settle(uow, order, shares_of(order, order.quote.service_fen, goods, ground.campus.settings.split))


def command_give_back(uow: UnitOfWork, order: Order, charge_fen: Fen, ground: CampusGround) -> None:
    """Tell payments to give a cancelled order's money back, all but the charge and the goods that a runner bought."""
    goods = order.goods_actual_fen or Fen(0)
    if charge_fen or goods:
        _settle(uow, order, shares_of(order, charge_fen, goods, ground.campus.settings.split))
        return
    command = Release(
        id=f"release:{order.id}", intent_id=intent_id(order.id), reason=order.cancel_reason or "cancelled"
    )
    uow.commands.add(command.id, order.id, "Release", msgspec.json.encode(command))


def _settle(uow: UnitOfWork, order: Order, shares: tuple[Share, ...]) -> None:
    command = Settle(
        id=f"settle:{order.id}",
        intent_id=intent_id(order.id),
        shares=shares,
        at=order.confirmed_at or order.cancelled_at or uow.now,
    )
    uow.commands.add(command.id, order.id, "Settle", msgspec.json.encode(command))
