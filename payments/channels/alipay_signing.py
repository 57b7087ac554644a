"""Alipay's signatures, both sides of them: requests, replies and notifications, RSA2 (SHA256withRSA) alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from payments.channels.rsa_signing import is_signed_sha256, sign_sha256

#: The only algorithm that is sent or believed; "RSA" is SHA-1.
ALGORITHM = "RSA2"


class SignedReply(msgspec.Struct, frozen=True):
    """A reply taken apart: the exact bytes that the signature is over, and the signature ("" without one)."""

    content: bytes
    signature: str


def text_to_sign(params: Mapping[str, str], without: Collection[str] = ("sign",)) -> str:
    """The parameters that have a value, in the order of their names' characters, nothing encoded.

    >>> text_to_sign({"b": "2", "a": "x y", "empty": "", "sign": "..."})
    'a=x y&b=2'
    """
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if params[name] and name not in without)


# -- requests -----------------------------------------------------------------------------------------------------


def signed_request(params: Mapping[str, str], key: RSAPrivateKey) -> dict[str, str]:
    """The parameters with ``sign_type`` and ``sign``; a request's signature covers its ``sign_type``."""
    whole = {**params, "sign_type": ALGORITHM}
    return {**whole, "sign": sign_sha256(key, text_to_sign(whole).encode())}


def why_request_not_proved(params: Mapping[str, str], key: RSAPublicKey) -> str | None:
    """Why the parameters do not come from the owner of the key; None: they do."""
    if params.get("sign_type") != ALGORITHM:
        return "sign_type: only RSA2"
    is_proved = is_signed_sha256(key, text_to_sign(params).encode(), params.get("sign", ""))
    return None if is_proved else "sign: wrong"


# -- replies ------------------------------------------------------------------------------------------------------


def reply_member(method: str) -> str:
    """The name under which a method's reply stands.

    >>> reply_member("alipay.trade.query")
    'alipay_trade_query_response'
    """
    return method.replace(".", "_") + "_response"


def signed_reply(method: str, content: bytes, key: RSAPrivateKey) -> bytes:
    """A whole reply around this JSON object."""
    signature = sign_sha256(key, content)
    return b'{"%s":%s,"sign":"%s"}' % (reply_member(method).encode(), content, signature.encode())


def take_apart(body: bytes, method: str) -> SignedReply | None:
    """The signed part of a reply as it came, byte by byte: writing parsed JSON again would seldom give the same bytes.
    None: not such a reply. A member that comes twice makes it none, or the one read might not be the one signed."""
    try:
        members = _raw_members(body.decode())
    except ValueError:
        return None
    content = members.get(reply_member(method), members.get("error_response"))
    if content is None:
        return None
    try:
        signature = json.loads(members.get("sign", '""'))
    except ValueError:
        return None
    return SignedReply(content.encode(), signature if isinstance(signature, str) else "")


def why_reply_not_proved(reply: SignedReply, key: RSAPublicKey) -> str | None:
    """Why the reply does not come from the owner of the key; None: it does."""
    if not reply.signature:
        return "sign: missing"
    return None if is_signed_sha256(key, reply.content, reply.signature) else "sign: wrong"


def _raw_members(text: str) -> dict[str, str]:
    """The members of a JSON object with their values as they were written. ValueError: not one, or a name twice."""
    decoder = json.JSONDecoder()
    members: dict[str, str] = {}
    at = _skip(text, 0, "{")
    if text[at : at + 1] == "}":
        return members
    while True:
        name, at = decoder.raw_decode(text, at)
        if not isinstance(name, str) or name in members:
            raise ValueError("not a name, or the same one again")
        start = _skip(text, at, ":")
        _, at = decoder.raw_decode(text, start)
        members[name] = text[start:at]
        at = _blank(text, at)
        if text[at : at + 1] == "}":
            if text[at + 1 :].strip():
                raise ValueError("something after the object")
            return members
        at = _skip(text, at, ",")


def _skip(text: str, at: int, sign: str) -> int:
    at = _blank(text, at)
    if text[at : at + 1] != sign:
        raise ValueError(f"no {sign!r} at {at}")
    return _blank(text, at + 1)


def _blank(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\r", "\n"):
        at += 1
    return at


# -- notifications ------------------------------------------------------------------------------------------------


def signed_notice(params: Mapping[str, str], key: RSAPrivateKey, *, covers_sign_type: bool = False) -> dict[str, str]:
    """The parameters of a notification with ``sign_type`` and ``sign``; some kinds sign their ``sign_type`` too."""
    whole = {**params, "sign_type": ALGORITHM}
    signed = whole if covers_sign_type else params
    return {**whole, "sign": sign_sha256(key, text_to_sign(signed).encode())}


def why_notice_not_proved(params: Mapping[str, str], key: RSAPublicKey) -> str | None:
    """Why the notification does not come from the owner of the key; None: it does. Which kinds sign their ``sign_type``
    is not documented, so both texts are tried; whoever cannot sign can make neither."""
    if params.get("sign_type") != ALGORITHM:
        return "sign_type: only RSA2"
    signature = params.get("sign", "")
    for without in (("sign", "sign_type"), ("sign",)):
        if is_signed_sha256(key, text_to_sign(params, without).encode(), signature):
            return None
    return "sign: wrong"
