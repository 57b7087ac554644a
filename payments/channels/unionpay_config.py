"""How a UnionPay merchant account is set up; what cannot work is refused at start, by the setting's name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

import msgspec

from payments.channels.environment import Environment, check_gateway, check_own_url
from payments.channels.signing_keys import BadSetting
from payments.channels.unionpay_signing import (
    LIVE_SIGNER,
    SIGN_METHOD,
    VERSION,
    SigningKey,
    Trust,
    load_signing_key,
    load_trust,
)
from payments.money import MAX_INTENT_FEN, Fen

#: wap, page: UnionPay's cashier on a phone, on a computer · app: its app (云闪付), called from ours.
Product = Literal["wap", "page", "app"]

_GATEWAYS: dict[Environment, tuple[str, str]] = {
    "live": ("https://gateway.95516.com", "https://filedownload.95516.com/"),
    "sandbox": ("https://gateway.test.95516.com", "https://filedownload.test.95516.com/"),
}
#: Merchants of the test environment have numbers that begin so.
_TEST_MERCHANT = "777290"
#: Who signs in the test environment.
_TEST_SIGNER = "00040000:SIGN"
_CODE = re.compile(r"[a-z][a-z0-9_]{1,31}")


class UnionpayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One product of one merchant account."""

    environment: Environment
    product: Product
    #: The merchant's number: fifteen letters and digits.
    mer_id: str
    #: The PKCS#12 file with the merchant's key and certificate: an absolute path, and its password.
    sign_pfx: str
    sign_pfx_password: str
    #: The certificates that issue UnionPay's own ones directly (``acp_*_middle.cer``), PEM or absolute paths.
    issuers: tuple[str, ...]
    notify_url: str
    #: Declared, not guessed; there is only this one: RSA with SHA-256 over a SHA-256.
    algorithm: Literal["5.1.0/01"]
    return_url: str = ""
    code: str = "unionpay"
    name_zh: str = "云闪付"
    name_en: str = "UnionPay"
    #: Scheme and host of the gateway, and where files come from; empty: the environment's own.
    base_url: str = ""
    file_url: str = ""
    #: For whom UnionPay's own certificates are; empty: the environment's own.
    signers: tuple[str, ...] = ()
    #: How long a payer may take (``payTimeout``). An order cannot be closed, so its end can only be waited for.
    life_s: int = 900
    #: How long after that UnionPay may still take the money (it gives it back by itself then).
    expiry_margin_s: int = 300
    limit_fen: Fen | None = None
    #: Who pays the parts of a settled order: the merchant, by contract and by other means, and all stays with it ·
    #: nobody: no order in escrow may be paid here. UnionPay itself splits nothing.
    parts_paid_by: Literal["merchant", "nobody"] = "nobody"

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise BadSetting("code", "2 to 32 small letters, digits or _")
        if self.algorithm != f"{VERSION}/{SIGN_METHOD}":
            raise BadSetting("algorithm", f"must be declared as {VERSION}/{SIGN_METHOD}")
        if not re.fullmatch(r"[0-9A-Z]{15}", self.mer_id):
            raise BadSetting("mer_id", "must be fifteen digits or capital letters")
        self._check_environment()
        if not 60 <= self.life_s <= 86400:
            raise BadSetting("life_s", "60 seconds to a day")
        if not 60 <= self.expiry_margin_s <= 3600:
            raise BadSetting("expiry_margin_s", "60 to 3600 seconds")
        if self.limit_fen is not None and not 0 < self.limit_fen <= MAX_INTENT_FEN:
            raise BadSetting("limit_fen", f"1 to {MAX_INTENT_FEN}")
        now = datetime.now(UTC)
        self.signing_key(now)
        self.trust(now)

    def _check_environment(self) -> None:
        is_test = self.mer_id.startswith(_TEST_MERCHANT)
        if self.environment == "live" and is_test:
            raise BadSetting("mer_id", f"{self.mer_id} is a merchant of the test environment, the environment is live")
        if self.environment == "sandbox" and not is_test:
            raise BadSetting("mer_id", f"{self.mer_id} is no merchant of the test environment")
        for field, url in (("base_url", self.gateway_url), ("file_url", self.files_url)):
            if not url:
                raise BadSetting(field, "is needed for a simulator")
            check_gateway(
                field,
                url,
                self.environment,
                live={"gateway.95516.com", "filedownload.95516.com"},
                sandbox={"gateway.test.95516.com", "filedownload.test.95516.com"},
            )
        check_own_url("notify_url", self.notify_url, self.environment)
        if self.return_url:
            check_own_url("return_url", self.return_url, self.environment)

    @property
    def gateway_url(self) -> str:
        """Where requests go."""
        return (self.base_url or _GATEWAYS.get(self.environment, ("", ""))[0]).rstrip("/")

    @property
    def files_url(self) -> str:
        """Where bills come from."""
        return self.file_url or _GATEWAYS.get(self.environment, ("", ""))[1]

    def signing_key(self, now: datetime) -> SigningKey:
        """The merchant's key. BadSetting."""
        return load_signing_key("sign_pfx", self.sign_pfx, self.sign_pfx_password, now)

    def trust(self, now: datetime) -> Trust:
        """Whose messages are UnionPay's. BadSetting."""
        own = (LIVE_SIGNER,) if self.environment == "live" else (LIVE_SIGNER, _TEST_SIGNER)
        return load_trust("issuers", self.issuers, self.signers or own, now)

    def __repr__(self) -> str:
        return f"UnionpayConfig({self.code}, {self.environment}, {self.product}, mer_id={self.mer_id})"
