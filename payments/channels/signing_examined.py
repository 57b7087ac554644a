"""A signature opened: by whose key it was made, with which algorithm, and over which digest."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from payments.channels import rsa_signing
from payments.channels import signing_keys as keys

#: How the digest inside an RSA signature begins, by algorithm.
_PREFIXES: Mapping[str, bytes] = {
    "md5": bytes.fromhex("3020300c06082a864886f70d020505000410"),
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What one key makes of a signature: ``algorithm`` and ``digest`` of what was signed."""

    key_name: str
    algorithm: str
    digest: bytes

    def is_over(self, message: bytes) -> bool:
        """Whether exactly these bytes were signed."""
        return self.algorithm in _PREFIXES and hashlib.new(self.algorithm, message).digest() == self.digest


def decode_signature(text: str) -> bytes | None:
    """The bytes of a signature in base64; None: it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def open_signature(known: Mapping[str, RSAPublicKey], signature: bytes) -> Opened | None:
    """By the key that made it; None: none of these made it, or a byte of it was changed."""
    for name, key in known.items():
        try:
            inside = key.recover_data_from_signature(signature, PKCS1v15(), None)
        except (InvalidSignature, ValueError):
            continue
        for algorithm, prefix in _PREFIXES.items():
            if inside.startswith(prefix) and len(inside) == len(prefix) + hashlib.new(algorithm).digest_size:
                return Opened(key_name=name, algorithm=algorithm, digest=inside[len(prefix) :])
        return Opened(key_name=name, algorithm="unknown", digest=inside)
    return None


def read_public_key(field: str, path: str) -> RSAPublicKey:
    """A public key, a certificate, a private key's public half, each as PEM or as bare base64. BadSetting."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError):
        raise keys.BadSetting(field, f"the file {path} cannot be read") from None
    if not text or text.startswith("/"):
        raise keys.BadSetting(field, f"the file {path} has no key in it")
    try:
        return rsa_signing.public_key(field, text)
    except keys.BadSetting as error:
        with contextlib.suppress(keys.BadSetting):
            return rsa_signing.private_key(field, text).public_key()
        raise error from None


def signature_bytes(key: RSAPublicKey) -> int:
    """How long a signature of this key is."""
    return key.key_size // 8


def carried_key(field: str, pem: str) -> RSAPublicKey:
    """The key of a certificate that came with the message; whether to believe it is another question. BadSetting."""
    return keys.public_key(field, pem)
