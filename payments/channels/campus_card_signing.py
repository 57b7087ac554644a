"""How the campus-card contract signs, on both sides: HMAC-SHA256 with a shared secret, or RSA-SHA256 with two keys.

The signed text says which kind of message it is, so that none can be sent back as another; a reply also names the nonce
of its request, so that it answers this one and no other.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Literal, Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from payments.channels.rsa_signing import is_signed_sha256, sign_sha256

MERCHANT, ALGORITHM = "Campus-Merchant", "Campus-Algorithm"
TIMESTAMP, NONCE, SIGNATURE = "Campus-Timestamp", "Campus-Nonce", "Campus-Signature"

#: Real seconds; an older or a younger message is refused.
FRESH_S = 300.0

Algorithm = Literal["HMAC-SHA256", "RSA-SHA256"]

_NONCE = re.compile(r"[0-9A-Za-z]{16,64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class Signer(Protocol):
    """One side's way to sign, and to prove what the other side signed."""

    @property
    def algorithm(self) -> Algorithm:
        """What both sides have agreed on."""

    def sign(self, text: bytes) -> str:
        """The signature of a text."""

    def is_signed(self, text: bytes, signature: str) -> bool:
        """Whether the other side signed this text."""


class HmacSigner:
    """Both sides hold the same secret."""

    algorithm: Algorithm = "HMAC-SHA256"

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, text: bytes) -> str:
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

    def is_signed(self, text: bytes, signature: str) -> bool:
        return hmac.compare_digest(self.sign(text).encode(), signature.encode())


class RsaSigner:
    """Each side holds its own key and knows the other's."""

    algorithm: Algorithm = "RSA-SHA256"

    def __init__(self, own: RSAPrivateKey, other: RSAPublicKey) -> None:
        self._own = own
        self._other = other

    def sign(self, text: bytes) -> str:
        return sign_sha256(self._own, text)

    def is_signed(self, text: bytes, signature: str) -> bool:
        return is_signed_sha256(self._other, text, signature)


# -- what is signed -------------------------------------------------------------------------------------------------


def request_subject(method: str, target: str) -> str:
    """What a request is about: its method, and path and query as they are sent."""
    return f"REQUEST\n{method}\n{target}"


def reply_subject(status: int, request_nonce: str) -> str:
    """What a reply is about: its status, and which request it answers."""
    return f"REPLY\n{status}\n{request_nonce}"


#: What a notice is about; there is only one address for them.
NOTICE_SUBJECT = "NOTICE"


def signed_headers(
    signer: Signer, subject: str, merchant: str, body: bytes, wall_s: float, nonce: str
) -> dict[str, str]:
    """The headers that prove a message."""
    timestamp = str(int(wall_s))
    text = _text(subject, merchant, timestamp, nonce, body)
    return {
        MERCHANT: merchant,
        ALGORITHM: signer.algorithm,
        TIMESTAMP: timestamp,
        NONCE: nonce,
        SIGNATURE: signer.sign(text),
    }


def why_not_proved(
    signer: Signer, subject: str, merchant: str, headers: Mapping[str, str], body: bytes, wall_s: float
) -> str | None:
    """Why the headers do not prove the raw body, or None when they do."""
    given = {name.lower(): value for name, value in headers.items()}
    algorithm, timestamp, nonce = (given.get(name.lower(), "") for name in (ALGORITHM, TIMESTAMP, NONCE))
    if algorithm != signer.algorithm:
        return "algorithm"
    if given.get(MERCHANT.lower()) != merchant:
        return "merchant"
    if not _TIMESTAMP.fullmatch(timestamp) or not _NONCE.fullmatch(nonce):
        return "not_signed"
    # The signature first: who cannot sign shall not learn what the clock says.
    if not signer.is_signed(_text(subject, merchant, timestamp, nonce, body), given.get(SIGNATURE.lower(), "")):
        return "wrong_signature"
    return None if abs(wall_s - int(timestamp)) <= FRESH_S else "not_fresh"


def _text(subject: str, merchant: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest()
    return f"CAMPUS-CARD-1\n{subject}\n{merchant}\n{timestamp}\n{nonce}\n{digest}\n".encode()
