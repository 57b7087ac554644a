"""How an Alipay merchant account is set up; what cannot work is refused at start, by the setting's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from payments.channels.alipay_signing import ALGORITHM, AlipayKeys, keys_of_certificates
from payments.channels.environment import Environment, check_gateway, check_own_url
from payments.channels.rsa_signing import private_key, public_key
from payments.channels.signing_keys import BadSetting
from payments.money import MAX_INTENT_FEN, Fen, Party

#: qr: a code that the payer scans · wap, page: Alipay's cashier on a phone, on a computer · app: its app, from ours ·
#: freeze: its app, where the money is frozen on the payer's account (资金预授权) and taken when the order is settled.
Product = Literal["qr", "wap", "page", "app", "freeze"]

_GATEWAYS: dict[Environment, str] = {
    "live": "https://openapi.alipay.com",
    "sandbox": "https://openapi-sandbox.dl.alipaydev.com",
}
_NAMES: dict[Product, tuple[str, str]] = {
    "qr": ("支付宝扫码", "Alipay code"),
    "wap": ("支付宝", "Alipay"),
    "page": ("支付宝网页", "Alipay on the web"),
    "app": ("支付宝", "Alipay app"),
    "freeze": ("支付宝预授权", "Alipay deposit"),
}
#: Ids of applications in Alipay's sandbox begin so.
_SANDBOX_APP = "9021"
_ACCOUNT = re.compile(r"2088\d{12}")
_CODE = re.compile(r"[a-z][a-z0-9_]{1,31}")


class AlipayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One product of one merchant account. Keys: PEM, the bare base64 of Alipay's tool, or an absolute path."""

    environment: Environment
    product: Product
    app_id: str
    #: The merchant's own account (PID); whoever else is named in a notification is not us.
    seller_id: str
    app_private_key: str
    notify_url: str
    #: Declared, not guessed; there is only this one.
    algorithm: Literal["RSA2"]
    #: Either Alipay's public key, or the three files of certificate mode; transfers to persons need the latter.
    alipay_public_key: str = ""
    app_certificate: str = ""
    alipay_certificate: str = ""
    alipay_root_certificate: str = ""
    return_url: str = ""
    code: str = "alipay"
    name_zh: str = ""
    name_en: str = ""
    #: Scheme and host of the gateway; empty: the environment's own.
    base_url: str = ""
    #: A credential lives no longer than this; without it 300 s for a code and 900 s for a page. A code that nobody has
    #: scanned is no trade for Alipay, so its end can only be waited for: short is kind to who wants another way to pay.
    life_s: int | None = None
    #: How long after its end Alipay may still take the money.
    expiry_margin_s: int = 120
    limit_fen: Fen | None = None
    #: Who pays the parts of a settled order: Alipay, by its splitting (分账; the money is frozen until then) · the
    #: merchant, by contract and by other means, and all stays with it · nobody: no order in escrow may be paid here.
    parts_paid_by: Literal["alipay", "merchant", "nobody"] = "nobody"
    #: team: the merchant is the runners' own team, so their part stays with it · personal: it is split to the runner.
    runner_payout: Literal["team", "personal"] = "team"
    #: Alipay accounts (2088…) of those who get a part: account_ref → account.
    accounts: Mapping[str, str] = {}
    #: Ways to pay that payers may not use, in Alipay's names (``creditCard``, ``pcredit`` …).
    disabled_pay_channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.algorithm != ALGORITHM:
            raise BadSetting("algorithm", f"must be declared as {ALGORITHM}")
        if not _CODE.fullmatch(self.code):
            raise BadSetting("code", "2 to 32 small letters, digits or _")
        if not self.app_id.isascii() or not self.app_id.isdecimal():
            raise BadSetting("app_id", "must be digits")
        if self.environment == "live" and self.app_id.startswith(_SANDBOX_APP):
            raise BadSetting("app_id", f"{self.app_id} is an application of the sandbox, the environment is live")
        if not _ACCOUNT.fullmatch(self.seller_id):
            raise BadSetting("seller_id", "must be 2088 and twelve more digits")
        if not self.gateway_url:
            raise BadSetting("base_url", "is needed for a simulator")
        check_gateway(
            "base_url",
            self.gateway_url,
            self.environment,
            live={"openapi.alipay.com"},
            sandbox={"openapi-sandbox.dl.alipaydev.com", "openapi.alipaydev.com"},
        )
        check_own_url("notify_url", self.notify_url, self.environment)
        if self.return_url:
            check_own_url("return_url", self.return_url, self.environment)
        for ref, account in self.accounts.items():
            if not _ACCOUNT.fullmatch(account):
                raise BadSetting("accounts", f"{ref}: must be 2088 and twelve more digits")
        self._check_bounds()
        self.keys(datetime.now(UTC))

    def keys(self, now: datetime) -> AlipayKeys:
        """The keys, read and checked. BadSetting."""
        own = private_key("app_private_key", self.app_private_key)
        files = (self.app_certificate, self.alipay_certificate, self.alipay_root_certificate)
        if any(files):
            if not all(files):
                raise BadSetting("app_certificate", "alipay_certificate and alipay_root_certificate belong together")
            if self.alipay_public_key:
                raise BadSetting("alipay_public_key", "is not used with certificates")
            return keys_of_certificates(own, *files, now)
        key = public_key("alipay_public_key", self.alipay_public_key)
        if own.public_key() == key:
            raise BadSetting(
                "alipay_public_key", "is your application's own public key; Alipay shows its key beside it"
            )
        return AlipayKeys(own=own, alipay=key, serials={}, ends_at=None)

    def _check_bounds(self) -> None:
        if not 60 <= self.longest_s <= 15 * 86400:
            raise BadSetting("life_s", "60 seconds to 15 days")
        if not 60 <= self.expiry_margin_s <= 3600:
            raise BadSetting("expiry_margin_s", "60 to 3600 seconds")
        if self.limit_fen is not None and not 0 < self.limit_fen <= MAX_INTENT_FEN:
            raise BadSetting("limit_fen", f"1 to {MAX_INTENT_FEN}")

    @property
    def gateway_url(self) -> str:
        """Where requests go."""
        return (self.base_url or _GATEWAYS.get(self.environment, "")).rstrip("/")

    @property
    def longest_s(self) -> int:
        """Seconds that a credential lives at most."""
        return self.life_s if self.life_s is not None else 300 if self.product == "qr" else 900

    @property
    def names(self) -> tuple[str, str]:
        """The names that payers read, in Chinese and in English."""
        name_zh, name_en = _NAMES[self.product]
        return self.name_zh or name_zh, self.name_en or name_en

    @property
    def billed_parts(self) -> tuple[Party, ...]:
        """Whose parts are split off for certain; what a vault knows of the others may be the merchant itself."""
        if self.parts_paid_by != "alipay":
            return ()
        has_platform = self.accounts.get("platform", self.seller_id) != self.seller_id
        return (*(("runner",) if self.runner_payout == "personal" else ()), *(("platform",) if has_platform else ()))

    def __repr__(self) -> str:
        return f"AlipayConfig({self.code}, {self.environment}, {self.product}, app_id={self.app_id})"
