"""SHA256withRSA as Alipay and UnionPay use it, and keys in the bare forms that their own tools make."""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from payments.channels import signing_keys
from payments.channels.signing_keys import BadSetting

#: A provider's key, for those who only hand it on.
PublicKey = RSAPublicKey

_BARE = re.compile(r"MII[A-Za-z0-9+/\s]+=*\s*")
_GROUP_AND_OTHERS = 0o077


def private_key(field: str, given: str) -> RSAPrivateKey:
    """A merchant's key: PEM, an absolute path that nobody else may read, or the bare base64 of Alipay's key tool."""
    check_nobody_else_reads(field, given)
    text = _text(field, given)
    if not _BARE.fullmatch(text):
        return _parsed(field, text)
    try:
        return _parsed(field, _as_pem("PRIVATE KEY", text))
    except BadSetting:
        # The tool makes this form for everybody but Java.
        return _parsed(field, _as_pem("RSA PRIVATE KEY", text))


def _text(field: str, given: str) -> str:
    """The key itself, or what is in the file that is named."""
    text = given.strip()
    if not _BARE.fullmatch(text):
        text = signing_keys.pem_of(field, text).decode(errors="replace").strip()
        if not _BARE.fullmatch(text) and not text.startswith("-----BEGIN"):
            raise BadSetting(field, "is not a key in PEM or base64")
    return text


@lru_cache(maxsize=16)
def _parsed(field: str, pem: str) -> RSAPrivateKey:
    """The same key is read when a setting is checked and when it is used, and reading it takes a tenth of a second."""
    return signing_keys.private_key(field, pem)


def public_key(field: str, given: str) -> RSAPublicKey:
    """A provider's key: PEM, an absolute path, or the bare base64 that Alipay's pages show."""
    text = _text(field, given)
    return signing_keys.public_key(field, _as_pem("PUBLIC KEY", text) if _BARE.fullmatch(text) else text)


def _as_pem(kind: str, bare: str) -> str:
    text = "".join(bare.split())
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n"


def check_nobody_else_reads(field: str, given: str) -> None:
    """Refuse a file with a secret in it that others on the machine may read."""
    text = given.strip()
    if text.startswith("/") and Path(text).is_file() and Path(text).stat().st_mode & _GROUP_AND_OTHERS:
        raise BadSetting(field, "others may read the file: chmod 600")


def sign_sha256(key: RSAPrivateKey, text: bytes) -> str:
    """SHA256withRSA (PKCS#1 v1.5) as base64."""
    return base64.b64encode(key.sign(text, PKCS1v15(), hashes.SHA256())).decode()


def is_signed_sha256(key: RSAPublicKey, text: bytes, signature: str) -> bool:
    """Whether the key's owner signed this text."""
    return _is_signed(key, text, signature, hashes.SHA256())


def is_signed_sha1(key: RSAPublicKey, text: bytes, signature: str) -> bool:
    """The same for SHA1withRSA; nothing is signed with it here any more."""
    return _is_signed(key, text, signature, hashes.SHA1())  # noqa: S303 - an old protocol's, and only to verify


def _is_signed(key: RSAPublicKey, text: bytes, signature: str, algorithm: hashes.HashAlgorithm) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), text, PKCS1v15(), algorithm)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
