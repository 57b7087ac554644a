"""One-time codes for sensitive acts with money: sent to one's own phone, given back, named by the act they allow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec

from payments.guards.code_post import CodeToSend
from payments.guards.guarded import NotSetUp
from payments.guards.risk_desk import ChallengeFailed
from payments.guards.second_factor import CodesExhausted, CodeWrong, SendCode
from payments.guards.second_factor_act import Act, GivenCode
from payments.service.internal_signing import Gate, Keys

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import InvalidInput, NotFound, NotPermitted, TooMany, WrongState
from ..model.money_views import AskMoneyCode, ConfirmMoneyCode, MoneyAct
from ..model.views import CodeSentView
from ..notify.sms import MONEY_CODE, SmsSender
from ..store.store import Store
from .context import Context
from .order_view import ms
from .payment_view import intent_id

#: Who may ask for a code for what, beside being signed in: the act itself asks for the same.
_NEEDS = {"withdraw": Permission.TASKS_CARRY, "operator_refund": Permission.MONEY_MANAGE}


def code_sender(store: Store, sms: SmsSender) -> SendCode:
    """Payments' way to a phone: an account is known to them by its reference alone."""

    async def send(act: Act, code: str) -> None:
        account = await store.read_global(lambda unit: unit.accounts.get(act.account_ref))
        await sms.send(account.phone, MONEY_CODE, {"code": code})

    return send


async def ask_code(ctx: Context, who: Principal, request: AskMoneyCode) -> CodeSentView:
    """Send a code to one's own phone that allows this very act, and nothing else."""
    act = await _act(ctx, who, request)
    try:
        sent = await ctx.payments.ask_code(act)
    except CodesExhausted:
        raise TooMany("too many codes; ask again later", retry_after_s=3600) from None
    except (ChallengeFailed, NotSetUp):
        raise WrongState("this server cannot send codes", code="no_codes") from None
    return CodeSentView(code_id=sent.code_id, expires_at_ms=ms(sent.expires_at))


async def confirm_code(ctx: Context, who: Principal, code_id: str, request: ConfirmMoneyCode) -> None:
    """Give the code back: within the hour one act may name it. After a few wrong tries it is worth nothing."""
    act = await _act(ctx, who, request)
    try:
        await ctx.payments.confirm_code(act, GivenCode(code_id=code_id, code=request.code))
    except CodeWrong:
        raise InvalidInput("not the code of this act, or too old", field="code") from None
    except (ChallengeFailed, NotSetUp):
        raise WrongState("this server cannot send codes", code="no_codes") from None


async def _act(ctx: Context, who: Principal, request: MoneyAct) -> Act:
    """What a code is bound to: always one's own account, which says whose phone it is sent to as well."""
    needed = _NEEDS.get(request.kind)
    if needed is not None:
        who.require(needed)
    target = ""
    if request.kind == "operator_refund":
        if request.order_id is None:
            raise InvalidInput("which order is it about?", field="order_id")
        order = await ctx.store.read(who.campus_id, lambda uow: uow.orders.get(request.order_id or ""))
        target = intent_id(order.id)
    elif request.order_id is not None:
        raise InvalidInput("this act is about no order", field="order_id")
    return Act(kind=request.kind, account_ref=who.account_id, amount_fen=request.amount_fen, target=target)


class CodeDoor:
    """Where payments that run apart hand codes over to be sent; who else comes is turned away."""

    def __init__(self, keys: Keys, send: SendCode, wall_s: Callable[[], float] = time.time) -> None:
        self._gate = Gate(keys, wall_s)
        self._send = send

    async def take(self, headers: Mapping[str, str], path: str, body: bytes) -> None:
        """Send it, if it is signed, fresh and new. Raises :class:`NotPermitted`."""
        if self._gate.fault_of(headers, "POST", path, body) is not None:
            raise NotPermitted("this is for the payments of this server")
        try:
            told = msgspec.json.decode(body, type=CodeToSend)
        except msgspec.DecodeError:
            raise InvalidInput("not a code to send") from None
        await self._send(told.act, told.code)


async def take_over(ctx: Context, headers: Mapping[str, str], path: str, body: bytes) -> None:
    """A payments process posts a code to be sent."""
    if ctx.code_door is None:
        raise NotFound("payments do not run apart here, or nobody sends codes")
    await ctx.code_door.take(headers, path, body)
