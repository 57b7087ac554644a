"""The URLs that guard money: one-time codes, and the acts of operators that need one."""

from __future__ import annotations

from ..access.permissions import Permission as P
from ..flow import money_codes, payer_needs, refund_order
from ..model import money_views as mv
from ..model import payer_views as pv
from ..model import views as vw
from .route import CALLBACK_LIMIT, Anyone, Call, Route

#: Under which path payments that run apart sign what they post; what a proxy makes of it is its own affair.
CODES_PATH = "/api/v1/payments/codes"


async def _take_code(call: Call) -> None:
    await money_codes.take_over(call.ctx, call.headers, CODES_PATH, call.body)


async def _refund(call: Call) -> mv.RefundRow:
    assert call.key is not None, "the edge asks for the key"
    return await refund_order.refund_order(call.ctx, call.me, call.id, call.body, call.key)


GUARD_ROUTES: tuple[Route, ...] = (
    Route("POST", "/orders/{id}/refund", P.MONEY_MANAGE,
          _refund, mv.RefundRow, "Give money back, with a one-time code, never of one's own order; audited",
          request=mv.RefundOrder, status=202, key="flow"),
    Route("POST", "/me/codes", Anyone.SIGNED_IN, lambda c: money_codes.ask_code(c.ctx, c.me, c.body),
          vw.CodeSentView, "Have a one-time code sent to one's own phone, for one sensitive act",
          request=mv.AskMoneyCode, status=202),
    Route("POST", "/me/codes/{id}/confirm", Anyone.SIGNED_IN,
          lambda c: money_codes.confirm_code(c.ctx, c.me, c.id, c.body), None,
          "Give the code back; then the act may name it", request=mv.ConfirmMoneyCode),
    Route("POST", "/me/channels/{channel}/page", P.ORDERS_PLACE,
          lambda c: payer_needs.bind_page(c.ctx, c.me, c.path["channel"]), pv.BindPageView,
          "Where to make oneself known to a channel"),
    Route("POST", "/me/channels/{channel}/bind", P.ORDERS_PLACE,
          lambda c: payer_needs.bind(c.ctx, c.me, c.path["channel"], c.body), None,
          "Tell a channel of oneself: what its page gave, or a card", request=pv.BindChannel),
    Route("DELETE", "/me/channels/{channel}/bind", P.ORDERS_PLACE,
          lambda c: payer_needs.unbind(c.ctx, c.me, c.path["channel"], c.body), None, "Have that forgotten",
          request=pv.UnbindChannel),
    Route("POST", "/payments/codes", Anyone.PUBLIC, _take_code, None,
          "Payments that run apart hand over a code to be sent; their signature is checked", media=(),
          limit=CALLBACK_LIMIT),
)  # fmt: skip
