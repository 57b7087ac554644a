"""A merchant's account at the simulated Alipay: numbers and keys of both sides, and how each proves itself."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec

from payments.channels import alipay_signing as signing
from payments.simulator.alipay_words import Denied, moment
from payments.simulator.protocol import BadOption, Call, Room, Twist

INSTITUTION = "alipay"

#: How far a request's timestamp may be off, in seconds.
FRESH_S = 86_400.0
_COMMON = ("app_id", "method", "charset", "sign_type", "sign", "timestamp", "version")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be set with ``--option alipay.NAME=VALUE``."""

    #: The most that all parts of an order together may come to.
    split_permille: int = 300
    #: Whether today's bill may be had, too.
    bills_at_once: bool = False
    #: Where messages about splits and transfers go (应用网关); without it those about splits go where the order's go.
    app_gateway: str = ""


def read_options(given: Mapping[str, str]) -> Options:
    """Options from text; BadOption."""
    try:
        return msgspec.convert(dict(given), Options, strict=False)
    except msgspec.ValidationError as problem:
        raise BadOption(f"alipay: {problem}; there are: {', '.join(Options.__struct_fields__)}") from problem


class Account:
    """Both sides' keys; there is one of each, for good."""

    def __init__(self, room: Room) -> None:
        self.options = read_options(room.options)
        self._desk = room.desk
        self.app_id = room.keys.number("alipay/app_id", "2021", 12)
        self.seller_id = room.keys.number("alipay/seller_id", "2088", 12)
        self._app = room.keys.pair("alipay/app", f"application {self.app_id}")
        self._own = room.keys.pair("alipay/own", "alipay")
        self._app_key = self._app.private_key.public_key()
        self._key = self._own.private_key

    def proved(self, params: Mapping[str, str], *, is_page: bool) -> None:
        """Denied, unless the merchant made this request."""
        for name in _COMMON:
            if not params.get(name):
                raise Denied(f"isv.missing-{name.replace('_', '-')}", f"缺少参数 {name}", "40001")
        if params["app_id"] != self.app_id:
            raise Denied("isv.invalid-app-id", "无效的AppID参数", "40002")
        if params["charset"].lower() != "utf-8":
            raise Denied("isv.invalid-charset", "utf-8", "40002")
        why = signing.why_request_not_proved(params, self._app_key)
        if why is not None:
            text = signing.text_to_sign(params)
            raise Denied("isv.invalid-signature", f"验签出错，{why}。待验签字符串: {text}", "40002")
        try:
            sent_s = moment(params["timestamp"], "timestamp").timestamp()
        except Denied as no:
            raise Denied("isv.invalid-timestamp", no.message, "40002") from None
        if not is_page and abs(self._desk.clock.wall_s() - sent_s) > FRESH_S:
            raise Denied("isv.invalid-timestamp", "非法的时间戳参数", "40002")

    def reply(self, method: str, content: bytes, twist: Twist) -> bytes:
        """A reply, signed."""
        whole = signing.signed_reply(method, content, self._key)
        if not twist.is_wrong:
            return whole
        # The signature is good, and of other words.
        other = signing.signed_reply(method, content + b" ", self._key)
        return whole.replace(_sign_of(whole), _sign_of(other))

    def notice(self, params: Mapping[str, str], twist: Twist, *, covers_sign_type: bool) -> dict[str, str]:
        """A notification, signed. Alipay has no probe of its own: one is simply signed wrongly."""
        told = {**params, "charset": "utf-8", "version": "1.0", "app_id": self.app_id}
        signed = signing.signed_notice(told, self._key, covers_sign_type=covers_sign_type)
        if not (twist.is_wrong or twist.is_probe):
            return signed
        other = signing.signed_notice({**told, "notify_id": "0"}, self._key, covers_sign_type=covers_sign_type)
        return {**signed, "sign": other["sign"]}

    def settings(self, base_url: str) -> dict[str, str]:
        """What a merchant puts into its settings."""
        return {
            "environment": "simulator",
            "base_url": base_url,
            "algorithm": signing.ALGORITHM,
            # Any product will do; this is the one that needs no page of ours.
            "product": "qr",
            "app_id": self.app_id,
            "seller_id": self.seller_id,
            "app_private_key": self._app.private_pem,
            "alipay_public_key": self._own.public_pem,
        }


def _sign_of(reply: bytes) -> bytes:
    return reply[reply.rindex(b'"sign":') :]


def params_of(call: Call) -> dict[str, str]:
    """Everything that a request says, in its address and in its body."""
    try:
        form = parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        form = []
    return {**call.query, **dict(form)}
