"""A payment as its student sees it, whatever the provider's name is, and kept for the page that asks twice a second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from payments.guards.risk import RiskStanding
from payments.guards.risk_desk import DemoFace
from payments.port import ChannelView, IntentView

from ..model import ids
from ..model.views import PassedOverView, PaymentView, RiskView
from .context import Context
from .order_view import ms

#: What a page does with a credential, by the kind that channels give it.
_KINDS: Mapping[str, str] = {
    "sandbox": "sandbox",
    "qr": "qr",
    "wechat_native": "qr",
    "redirect": "redirect",
    "wechat_h5": "redirect",
    "form": "form",
    "wechat_jsapi": "jsapi",
    "wechat_app": "app",
    "alipay_app": "app",
    "unionpay_app": "app",
}
#: Real seconds for which an answer is the next one's as well; what happens to the payment ends it at once.
KEPT_S = 1.0


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    student_id: str
    view: PaymentView


_decoder = msgspec.json.Decoder(_Kept)


def intent_id(order_id: str) -> str:
    """The payment intent of an order."""
    return ids.derived_id(ids.INTENT, order_id)


def payment_view(ctx: Context, intent: IntentView | None, total_fen: int) -> PaymentView:
    """The payment as the student sees it; before the queue got to it, it is ``processing``."""
    if intent is None:
        return PaymentView(
            state="processing", channel=None, amount_fen=total_fen, credential=None, expires_at_ms=None, reason=None
        )
    named = {channel.code: channel for channel in ctx.payments.channels()}
    own = named.get(intent.channel or "")
    return PaymentView(
        state=intent.state,
        channel=intent.channel,
        amount_fen=intent.amount_fen,
        credential=dict(intent.credential) if intent.credential else None,
        expires_at_ms=ms(intent.expires_at),
        reason=intent.reason or None,
        kind=kind_of(intent.credential),
        part=intent.part,
        parts=intent.parts,
        risk=_risk_view(ctx, intent.intent_id, intent.risk),
        name_zh=own.name_zh if own else None,
        name_en=own.name_en if own else None,
        passed_over=_passed_over(intent, named),
    )


def _passed_over(intent: IntentView, named: Mapping[str, ChannelView]) -> PassedOverView | None:
    """The way that was chosen, while another one is to be paid with."""
    wanted = named.get(intent.wanted or "")
    if wanted is None or intent.credential is None or intent.channel == wanted.code:
        return None
    return PassedOverView(
        channel=wanted.code, name_zh=wanted.name_zh, name_en=wanted.name_en, reason=intent.wanted_reason or None
    )


def kind_of(credential: Mapping[str, Any] | None) -> str | None:
    """What the page does with it: qr | redirect | form | jsapi | app | sandbox; None while there is nothing to do.

    >>> kind_of({"kind": "wechat_native", "code_url": "weixin://…"}), kind_of({"kind": "new"}), kind_of(None)
    ('qr', 'app', None)
    """
    if credential is None:
        return None
    return _KINDS.get(str(credential.get("kind")), "app")


def _risk_view(ctx: Context, intent: str, risk: RiskStanding | None) -> RiskView | None:
    """What stands between the student and paying; nothing once it was met or released."""
    if risk is None or risk.decision == "allow":
        return None
    # Where no real money moves there is no face service either: the page may say the word itself.
    is_demo = any(channel.is_demo for channel in ctx.payments.channels())
    is_face = risk.decision == "challenge" and risk.challenge == "face"
    return RiskView(
        decision=risk.decision,
        code=risk.code,
        challenge=risk.challenge,
        demo_proof=f"{DemoFace.WORD}:{intent}" if is_demo and is_face else None,
    )


# -- kept for the next question -----------------------------------------------------------------------------------


async def recall(ctx: Context, campus_id: str, order_id: str, student_id: str) -> PaymentView | None:
    """What was answered a moment ago, if it was this student who asked."""
    kept = await ctx.notes.recall(campus_id, _name(order_id))
    if kept is None:
        return None
    found = _decoder.decode(kept)
    return found.view if found.student_id == student_id else None


async def remember(ctx: Context, campus_id: str, order_id: str, student_id: str, view: PaymentView) -> None:
    """Keep an answer for the next question."""
    await ctx.notes.remember(campus_id, _name(order_id), msgspec.json.encode(_Kept(student_id, view)), KEPT_S)


async def forget(ctx: Context, campus_id: str, order_ids: Iterable[str]) -> None:
    """Something happened to these payments."""
    await ctx.notes.forget(campus_id, [_name(each) for each in order_ids])


def _name(order_id: str) -> str:
    return f"payment:{order_id}"
