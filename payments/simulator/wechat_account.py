"""A merchant's account at the simulated WeChat Pay: numbers and keys of both sides, and how each proves itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from payments.channels import wechat_signing as signing
from payments.simulator.desk import Desk
from payments.simulator.keys import KeyRing, Pair
from payments.simulator.protocol import Answer, BadOption, Call, Room, Twist
from payments.simulator.wechat_words import error

INSTITUTION = "wechat"

#: How far a request's timestamp may be off, in seconds.
FRESH_S = 300.0
_SERIALS_KEPT = 2


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be set with ``--option wechat.NAME=VALUE``."""

    #: What signs answers and callbacks when a request does not say: ``public_key`` or ``certificate``.
    sign_with: Literal["public_key", "certificate"] = "public_key"
    #: The most that all parts of an order together may come to.
    split_permille: int = 300
    #: Whether the settings are a service provider's, whose merchant is another; both kinds are served in any case.
    service_provider: bool = False
    #: Whether the receiver of a transfer has to say yes first.
    transfer_confirm: bool = True
    #: Whether today's bill may be had, too.
    bills_at_once: bool = False
    #: What a payer's contract for direct debits can pay in all.
    contract_fen: int = 10_000_000
    #: Whether a contract that nobody made counts as made.
    any_contract: bool = True


def read_options(given: Mapping[str, str]) -> Options:
    """Options from text; BadOption."""
    try:
        return msgspec.convert(dict(given), Options, strict=False)
    except msgspec.ValidationError as problem:
        known = ", ".join(Options.__struct_fields__)
        raise BadOption(f"wechat: {problem}; there are: {known}") from problem


@lru_cache(maxsize=64)
def _private_key(pem: str) -> RSAPrivateKey:
    return Pair(private_pem=pem, certificate_pem="").private_key


class Account:
    """Both sides' keys. The platform has a public key for good, and a certificate that may be rotated."""

    def __init__(self, room: Room) -> None:
        self.options = read_options(room.options)
        self._desk: Desk = room.desk
        self._keys: KeyRing = room.keys
        self.mchid = room.keys.number("wechat/mchid", "19", 8)
        self.sub_mchid = room.keys.number("wechat/sub_mchid", "16", 8)
        self.appid = "wx" + room.keys.number("wechat/appid", "", 16)
        self.app_secret = room.keys.secret("wechat/app_secret", 32)
        self.api_v3_key = room.keys.secret("wechat/api_v3_key", 32).encode()
        self.merchant = room.keys.pair("wechat/merchant", f"merchant {self.mchid}")
        self._merchant_key = self.merchant.private_key.public_key()
        self._public = room.keys.pair("wechat/public_key", "platform public key")
        # Making a key takes its time: better now than while a merchant waits for an answer.
        self.certificates()
        self.public_key_id = signing.PUBLIC_KEY_PREFIX + room.keys.number("wechat/public_key_id", "01", 30)

    # -- the platform's own keys --------------------------------------------------------------------------------------

    def certificates(self) -> list[Pair]:
        """The platform's certificates, the one that signs first; an old one stays on the list for a while."""
        newest = self._keys.count("wechat/certificate")
        return [self._certificate(n) for n in range(newest, max(-1, newest - _SERIALS_KEPT), -1)]

    def _certificate(self, n: int) -> Pair:
        return self._keys.pair(f"wechat/certificate/{n}", f"platform certificate {n}")

    def rotate(self) -> str:
        """A new certificate signs from now on; its serial number."""
        return self._certificate(self._keys.raise_count("wechat/certificate")).serial

    def signer(self, wish: str, *, is_other: bool = False) -> tuple[str, RSAPrivateKey]:
        """Serial number and key. ``wish``: the key that the merchant named in its request, as it may."""
        is_public = wish.startswith(signing.PUBLIC_KEY_PREFIX) or (not wish and self.options.sign_with == "public_key")
        if is_public != is_other:
            return self.public_key_id, _private_key(self._public.private_pem)
        pair = self.certificates()[0]
        return pair.serial, _private_key(pair.private_pem)

    def opened(self, serial: str, sealed: str) -> str | None:
        """A field that the merchant encrypted; None when it was not for the key that it named."""
        if serial == self.public_key_id:
            return signing.decrypt_field(_private_key(self._public.private_pem), sealed)
        pair = next((pair for pair in self.certificates() if pair.serial == serial.upper()), None)
        return None if pair is None else signing.decrypt_field(_private_key(pair.private_pem), sealed)

    # -- proving ------------------------------------------------------------------------------------------------------

    def proof(self, body: bytes, twist: Twist, wish: str = "") -> dict[str, str]:
        """The headers of an answer or a callback."""
        serial, key = self.signer(wish, is_other=twist.is_other_key)
        timestamp = str(int(self._desk.clock.wall_s() + twist.skew_s))
        signed = body + b" " if twist.is_wrong else body
        headers = signing.answer_headers(key, serial, signed, timestamp=timestamp, nonce=self._desk.new_token())
        if twist.is_probe:
            headers[signing.SIGNATURE] = signing.PROBE_PREFIX + headers[signing.SIGNATURE][: -len(signing.PROBE_PREFIX)]
        return headers

    def why_not(self, call: Call) -> Answer | None:
        """Why a merchant's request is not proved; None when it is."""
        given = signing.read_authorization(call.headers.get("authorization", ""))
        missing = [
            name for name in ("mchid", "nonce_str", "timestamp", "serial_no", "signature") if not given.get(name)
        ]
        if missing:
            return error("SIGN_ERROR", f"Http头Authorization缺少或有误: {', '.join(missing)}")
        if given["mchid"] != self.mchid:
            return error("SIGN_ERROR", f"商户号 {given['mchid'][:32]} 不存在")
        if given["serial_no"].upper() != self.merchant.serial:
            return error("SIGN_ERROR", "商户证书序列号有误")
        message = signing.request_message(call.method, call.target, given["timestamp"], given["nonce_str"], call.body)
        if not signing.is_signed(self._merchant_key, message, given["signature"]):
            return _sign_error(call, message)
        if not given["timestamp"].isdecimal() or abs(self._desk.clock.wall_s() - int(given["timestamp"])) > FRESH_S:
            return error("SIGN_ERROR", "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
        return None

    # -- settings -----------------------------------------------------------------------------------------------------

    def settings(self, base_url: str, backup_url: str) -> dict[str, str]:
        """What a merchant puts into its settings."""
        return {
            "environment": "simulator",
            "base_url": base_url,
            "backup_url": backup_url,
            "algorithm": signing.ALGORITHM,
            "mchid": self.mchid,
            "sub_mchid": self.sub_mchid if self.options.service_provider else "",
            "appid": self.appid,
            "serial_no": self.merchant.serial,
            "private_key": self.merchant.private_pem,
            "certificate": self.merchant.certificate_pem,
            "api_v3_key": self.api_v3_key.decode(),
            "public_key_id": self.public_key_id,
            "public_key": self._public.public_pem,
            "app_secret": self.app_secret,
            "oauth_page_url": base_url,
            "oauth_api_url": base_url,
        }


def _sign_error(call: Call, message: bytes) -> Answer:
    """As the provider does, it says what it thought was signed."""
    shown = message.decode("utf-8", "replace")
    return error(
        "SIGN_ERROR",
        "错误的签名，验签失败",
        detail={
            "field": "signature",
            "issue": "sign not match",
            "location": "authorization",
            "sign_information": {
                "method": call.method,
                "url": call.target,
                "sign_message_length": len(message),
                "truncated_sign_message": shown if len(shown) <= 200 else f"{shown[:100]}…{shown[-60:]}",
            },
        },
    )
