"""How the sandbox bank signs what it sends, and how its merchants check it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from payments.outcomes import OrderToCreate

TIMESTAMP, NONCE, SIGNATURE = "X-Sandbox-Timestamp", "X-Sandbox-Nonce", "X-Sandbox-Signature"

#: Real seconds; an older or a younger message is refused.
FRESH_S = 300.0


class SealedOrder(msgspec.Struct, frozen=True):
    """What a token that was made without the bank says."""

    channel: str
    order: OrderToCreate


def headers(secret: bytes, body: bytes, wall_s: float, nonce: str) -> dict[str, str]:
    """The headers that prove a body."""
    timestamp = str(int(wall_s))
    return {TIMESTAMP: timestamp, NONCE: nonce, SIGNATURE: _sign(secret, timestamp, nonce, body)}


def why_not_proved(secret: bytes, given: Mapping[str, str], body: bytes, wall_s: float) -> str | None:
    """Why the headers do not prove the raw body, or None when they do."""
    lower = {name.lower(): value for name, value in given.items()}
    timestamp, nonce, signature = (lower.get(name.lower(), "") for name in (TIMESTAMP, NONCE, SIGNATURE))
    if not timestamp.isascii() or not timestamp.isdecimal() or not nonce:
        return "not signed"
    # The signature first: who cannot sign shall not learn what the clock says.
    if not hmac.compare_digest(_sign(secret, timestamp, nonce, body).encode(), signature.encode()):
        return "wrong signature"
    return None if abs(wall_s - int(timestamp)) <= FRESH_S else "not fresh"


def seal(secret: bytes, channel: str, order: OrderToCreate) -> str:
    """A token that carries its order and proves it."""
    text = base64.urlsafe_b64encode(msgspec.json.encode(SealedOrder(channel, order))).decode()
    return f"{text}.{_sign(secret, 'seal', '', text.encode())}"


def unseal(secret: bytes, token: str) -> SealedOrder | None:
    """The order of a sealed token; None when the bank's secret did not seal it."""
    text, dot, signature = token.partition(".")
    expected = _sign(secret, "seal", "", text.encode())
    if not dot or not hmac.compare_digest(expected.encode(), signature.encode()):
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text), type=SealedOrder)
    except (binascii.Error, msgspec.DecodeError):
        return None


def _sign(secret: bytes, timestamp: str, nonce: str, body: bytes) -> str:
    return hmac.new(secret, f"{timestamp}\n{nonce}\n".encode() + body + b"\n", hashlib.sha256).hexdigest()
