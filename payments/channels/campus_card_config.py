"""How a university's card centre is set up; what cannot work is refused at start, by the setting's name."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from payments.channels.campus_card_signing import Algorithm, HmacSigner, RsaSigner, Signer
from payments.channels.environment import Environment, check_own_url
from payments.channels.rsa_signing import check_nobody_else_reads, private_key, public_key
from payments.channels.signing_keys import BadSetting
from payments.money import MAX_INTENT_FEN, Fen

#: A shared secret of less is guessed.
LEAST_SECRET_BYTES = 32

_CODE = re.compile(r"[a-z][a-z0-9_]{1,31}")


class CampusCardConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One card centre. With HMAC-SHA256 a secret that both sides hold; with RSA-SHA256 our key and the centre's."""

    environment: Environment
    #: Our name at the card centre.
    merchant: str
    #: Where the contract is served, up to the version: ``https://card.example.edu.cn/campus-card/v1``.
    base_url: str
    notify_url: str
    #: Declared, not guessed.
    algorithm: Algorithm
    #: The secret itself, or the absolute path of a file that nobody else may read.
    secret: str = ""
    private_key: str = ""
    card_public_key: str = ""
    #: Another address of the same card centre, for when the first cannot be reached.
    backup_url: str = ""
    code: str = "campus_card"
    name_zh: str = "校园卡"
    name_en: str = "Campus card"
    #: How long a debit that was asked for may still be taken; the card centre refuses it afterwards.
    life_s: int = 60
    #: How far its clock may be off.
    expiry_margin_s: int = 120
    limit_fen: Fen | None = None
    #: Who pays the parts of a settled order: the merchant, by contract and by other means, and all stays with it ·
    #: nobody: no order in escrow may be paid here. A card centre splits nothing.
    parts_paid_by: Literal["merchant", "nobody"] = "nobody"

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise BadSetting("code", "2 to 32 small letters, digits or _")
        if not re.fullmatch(r"[0-9A-Za-z_\-]{1,64}", self.merchant):
            raise BadSetting("merchant", "1 to 64 letters, digits, _ or -")
        check_own_url("base_url", self.base_url, "simulator")
        check_own_url("notify_url", self.notify_url, self.environment)
        if self.backup_url:
            check_own_url("backup_url", self.backup_url, "simulator")
            if urlsplit(self.backup_url).path.rstrip("/") != urlsplit(self.base_url).path.rstrip("/"):
                raise BadSetting("backup_url", "must have the path of base_url, which is signed")
        for field in ("base_url", "backup_url"):
            # A card centre may well be inside the campus network, but what it says of money is not for everybody.
            if self.environment == "live" and getattr(self, field).startswith("http://"):
                raise BadSetting(field, "must begin with https://")
        if not 10 <= self.life_s <= 600:
            raise BadSetting("life_s", "10 to 600 seconds")
        if not 30 <= self.expiry_margin_s <= 3600:
            raise BadSetting("expiry_margin_s", "30 to 3600 seconds")
        if self.limit_fen is not None and not 0 < self.limit_fen <= MAX_INTENT_FEN:
            raise BadSetting("limit_fen", f"1 to {MAX_INTENT_FEN}")
        self.signer()

    def signer(self) -> Signer:
        """How messages are signed. BadSetting."""
        if self.algorithm == "RSA-SHA256":
            if self.secret:
                raise BadSetting("secret", "is not used with RSA-SHA256")
            own = private_key("private_key", self.private_key)
            other = public_key("card_public_key", self.card_public_key)
            if own.public_key() == other:
                raise BadSetting("card_public_key", "is your own public key; the card centre has another one")
            return RsaSigner(own, other)
        if self.algorithm != "HMAC-SHA256":
            raise BadSetting("algorithm", "must be declared as HMAC-SHA256 or RSA-SHA256")
        if self.private_key or self.card_public_key:
            raise BadSetting("private_key", "is not used with HMAC-SHA256")
        return HmacSigner(self._secret())

    def _secret(self) -> bytes:
        secret = self.secret.strip().encode()
        if self.secret.startswith("/"):
            check_nobody_else_reads("secret", self.secret)
            try:
                with open(self.secret.strip(), "rb") as file:
                    secret = file.read().strip()
            except OSError as error:
                raise BadSetting("secret", f"the file cannot be read ({error.strerror})") from None
        if len(secret) < LEAST_SECRET_BYTES:
            raise BadSetting("secret", f"at least {LEAST_SECRET_BYTES} bytes are needed")
        return secret

    def __repr__(self) -> str:
        return f"CampusCardConfig({self.code}, {self.environment}, {self.algorithm}, merchant={self.merchant})"
