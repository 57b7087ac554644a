"""Alipay's signatures, both sides of them: requests, replies and notifications, RSA2 (SHA256withRSA) alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from payments.channels import signing_keys
from payments.channels.rsa_signing import is_signed_sha256, sign_sha256
from payments.channels.signing_keys import BadSetting

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


# -- keys and certificates ------------------------------------------------------------------------------------------


class AlipayKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant's own key, and Alipay's; with certificates also the numbers of them that every request carries."""

    own: RSAPrivateKey
    alipay: RSAPublicKey
    serials: Mapping[str, str]
    #: When the first of the certificates ends; None: there are none.
    ends_at: datetime | None


def keys_of_certificates(own: RSAPrivateKey, app: str, alipay: str, roots: str, now: datetime) -> AlipayKeys:
    """From the three files that Alipay gives (PEM or absolute paths), all in their time. BadSetting."""
    app_certificate = signing_keys.certificate("app_certificate", app)
    signing_keys.check_certificate("app_certificate", app_certificate, own, now)
    alipay_certificate = signing_keys.certificate("alipay_certificate", alipay)
    signing_keys.check_certificate("alipay_certificate", alipay_certificate, None, now)
    key = alipay_certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise BadSetting("alipay_certificate", "is not for an RSA key")
    try:
        bundle = x509.load_pem_x509_certificates(signing_keys.pem_of("alipay_root_certificate", roots))
    except ValueError as error:
        raise error if isinstance(error, BadSetting) else BadSetting("alipay_root_certificate", "is not PEM") from None
    root_serials = [certificate_serial(each) for each in bundle if _is_rsa_signed(each)]
    if not root_serials:
        raise BadSetting("alipay_root_certificate", "has no certificate that is signed with RSA")
    return AlipayKeys(
        own=own,
        alipay=key,
        serials={"app_cert_sn": certificate_serial(app_certificate), "alipay_root_cert_sn": "_".join(root_serials)},
        ends_at=min(app_certificate.not_valid_after_utc, alipay_certificate.not_valid_after_utc),
    )


def certificate_serial(certificate: x509.Certificate) -> str:
    """Alipay's own number of a certificate: the digest of its issuer's name, the last part first, and its serial."""
    text = f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _is_rsa_signed(certificate: x509.Certificate) -> bool:
    # Alipay's bundle also has roots for elliptic curves and for SM2, which do not count.
    return certificate.signature_algorithm_oid.dotted_string.startswith("1.2.840.113549.1.1.")


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
    signature = json.loads(members.get("sign", '""'))
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
