"""A merchant at the simulated card centre: its name, both sides' keys, and how each proves itself."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from payments.channels import campus_card_signing as signing
from payments.channels.campus_card_signing import Algorithm, HmacSigner, RsaSigner, Signer
from payments.simulator.keys import Pair
from payments.simulator.protocol import BadOption, Call, Room, Twist

INSTITUTION = "campus_card"
PREFIX = "/campus-card/v1"

#: So long a nonce is remembered, in seconds, and so many are at most.
NONCE_S = 600.0
MAX_NONCES = 200_000
_NONCE = re.compile(r"[0-9A-Za-z]{16,64}")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be set with ``--option campus_card.NAME=VALUE``."""

    algorithm: Algorithm = "HMAC-SHA256"
    #: Whether today's bill may be had, too.
    bills_at_once: bool = False
    #: What there is on a card.
    card_fen: int = 10_000_000
    #: Whether a card that nobody bound counts as bound.
    any_card: bool = True


def read_options(given: Mapping[str, str]) -> Options:
    """Options from text; BadOption."""
    try:
        return msgspec.convert(dict(given), Options, strict=False)
    except msgspec.ValidationError as problem:
        raise BadOption(f"campus_card: {problem}; there are: {', '.join(Options.__struct_fields__)}") from problem


class Account:
    """The merchant's account."""

    def __init__(self, room: Room) -> None:
        self.options = read_options(room.options)
        self._desk = room.desk
        self.merchant = room.keys.number("campus_card/merchant", "campus-", 8)
        self._keys = room.keys
        self._nonces: dict[str, float] = {}
        self._signer = self._made_signer()

    def _made_signer(self) -> Signer:
        if self.options.algorithm == "HMAC-SHA256":
            return HmacSigner(self._secret().encode())
        return RsaSigner(self._pair("centre").private_key, self._pair("merchant").private_key.public_key())

    def _secret(self) -> str:
        return self._keys.secret("campus_card/secret", 48)

    def _pair(self, whose: str) -> Pair:
        return self._keys.pair(f"campus_card/{whose}", whose)

    def why_not(self, call: Call) -> str | None:
        """Why a request is not proved; None when it is. Each nonce is good for one message."""
        subject = signing.request_subject(call.method, call.target)
        wall_s = self._desk.clock.wall_s()
        why = signing.why_not_proved(self._signer, subject, self.merchant, call.headers, call.body, wall_s)
        if why is not None:
            return why
        nonce = call.headers[signing.NONCE.lower()]
        # The oldest comes first.
        while self._nonces and next(iter(self._nonces.values())) < wall_s - NONCE_S:
            del self._nonces[next(iter(self._nonces))]
        if nonce in self._nonces or len(self._nonces) >= MAX_NONCES:
            return "replayed"
        self._nonces[nonce] = wall_s
        return None

    def reply_headers(self, call: Call, status: int, body: bytes, twist: Twist) -> dict[str, str]:
        """What proves an answer."""
        nonce = call.headers.get(signing.NONCE.lower(), "")
        return self._headers(signing.reply_subject(status, nonce if _NONCE.fullmatch(nonce) else ""), body, twist)

    def notice_headers(self, body: bytes, twist: Twist) -> dict[str, str]:
        """What proves a notice. A probe is signed wrongly: card centres have none of their own."""
        return self._headers(signing.NOTICE_SUBJECT, body, twist)

    def _headers(self, subject: str, body: bytes, twist: Twist) -> dict[str, str]:
        signed = body + b" " if twist.is_wrong or twist.is_probe else body
        wall_s = self._desk.clock.wall_s() + twist.skew_s
        return signing.signed_headers(self._signer, subject, self.merchant, signed, wall_s, self._desk.new_token())

    def settings(self, base_url: str, backup_url: str) -> dict[str, str]:
        """What a merchant puts into its settings."""
        settings = {
            "environment": "simulator",
            "base_url": base_url + PREFIX,
            "backup_url": backup_url + PREFIX,
            "algorithm": self.options.algorithm,
            "merchant": self.merchant,
        }
        if self.options.algorithm == "HMAC-SHA256":
            return {**settings, "secret": self._secret()}
        keys = {"private_key": self._pair("merchant").private_pem, "card_public_key": self._pair("centre").public_pem}
        return {**settings, **keys}
