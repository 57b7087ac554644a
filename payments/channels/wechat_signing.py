"""How WeChat Pay v3 signs, proves and encrypts, for both sides of the protocol."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from payments.channels.signing_keys import serial_of

ALGORITHM = "WECHATPAY2-SHA256-RSA2048"
RESOURCE_ALGORITHM = "AEAD_AES_256_GCM"

TIMESTAMP, NONCE = "Wechatpay-Timestamp", "Wechatpay-Nonce"
SERIAL, SIGNATURE = "Wechatpay-Serial", "Wechatpay-Signature"
#: How the name of a public key begins; anything else is a platform certificate's serial number.
PUBLIC_KEY_PREFIX = "PUB_KEY_ID_"
#: What a probe's signature begins with: it is wrong on purpose, and whoever accepts it is found out.
PROBE_PREFIX = "WECHATPAY/SIGNTEST/"

#: Real seconds; an older or a younger message is refused.
FRESH_S = 300.0
#: A name that WeChat may want encrypted is shorter than what one RSA block holds.
_OAEP = OAEP(mgf=MGF1(algorithm=SHA1()), algorithm=SHA1(), label=None)  # noqa: S303


# -- what is signed -------------------------------------------------------------------------------------------------


def request_message(method: str, target: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    """What a request's signature covers. ``target``: path and query as sent; ``body``: the exact bytes sent."""
    return f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"


def answer_message(timestamp: str, nonce: str, body: bytes) -> bytes:
    """What the signature of an answer, or of a callback, covers: the raw bytes, never JSON written anew."""
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"


def invoke_message(*lines: str) -> bytes:
    """What lets a phone call the cashier up: appid, timestamp, nonce, and the prepay id (``prepay_id=…`` for JSAPI)."""
    return "".join(f"{line}\n" for line in lines).encode()


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """SHA256 with RSA, in base64."""
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def is_signed(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether the owner of this key signed exactly these bytes."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def authorization(
    key: RSAPrivateKey, *, mchid: str, serial: str, method: str, target: str, body: bytes, timestamp: str, nonce: str
) -> str:
    """The Authorization header of a request."""
    signature = sign(key, request_message(method, target, timestamp, nonce, body))
    return (
        f'{ALGORITHM} mchid="{mchid}",nonce_str="{nonce}",timestamp="{timestamp}",serial_no="{serial}",'
        f'signature="{signature}"'
    )


def read_authorization(header: str) -> dict[str, str]:
    """The parts of an Authorization header; empty when it is none of WeChat Pay's."""
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        return {}
    # The order of the parts is free; base64 has no comma and no quote.
    parts = (part.strip().partition("=") for part in rest.split(","))
    return {name: value.strip('"') for name, _, value in parts if name}


def answer_headers(key: RSAPrivateKey, serial: str, body: bytes, *, timestamp: str, nonce: str) -> dict[str, str]:
    """The headers by which the provider proves an answer or a callback."""
    return {
        TIMESTAMP: timestamp,
        NONCE: nonce,
        SERIAL: serial,
        SIGNATURE: sign(key, answer_message(timestamp, nonce, body)),
        "Wechatpay-Signature-Type": ALGORITHM,
    }


# -- whether it is proved --------------------------------------------------------------------------------------------


class PlatformKeys:
    """The provider's keys by their names: public keys for good, certificates for as long as they last."""

    def __init__(self, public_keys: Mapping[str, RSAPublicKey] | None = None) -> None:
        self._public = dict(public_keys or {})
        self._certificates: dict[str, x509.Certificate] = {}

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Those known now."""
        return tuple(self._certificates.values())

    def replace_certificates(self, certificates: tuple[x509.Certificate, ...]) -> None:
        """What the provider listed last. It keeps an old one on the list for as long as it signs with it."""
        self._certificates = {serial_of(each): each for each in certificates}

    def has(self, serial: str) -> bool:
        return serial in self._public or serial.upper() in self._certificates

    def find(self, serial: str, wall_s: float) -> RSAPublicKey | None:
        """The key of this name, unless its certificate is out of its time."""
        if serial in self._public:
            return self._public[serial]
        found = self._certificates.get(serial.upper())
        now = datetime.fromtimestamp(wall_s, UTC)
        if found is None or not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
            return None
        key = found.public_key()
        return key if isinstance(key, RSAPublicKey) else None

    def newest(self, wall_s: float) -> tuple[str, RSAPublicKey] | None:
        """The key to encrypt for the provider with, and its name."""
        for serial, key in self._public.items():
            return serial, key
        by_age = sorted(self._certificates.values(), key=lambda each: each.not_valid_after_utc, reverse=True)
        for each in by_age:
            key_now = self.find(serial_of(each), wall_s)
            if key_now is not None:
                return serial_of(each), key_now
        return None


def why_not_proved(keys: PlatformKeys, headers: Mapping[str, str], body: bytes, wall_s: float) -> str | None:
    """Why the headers do not prove the raw body; None when they do.

    ``unknown_key:…`` may heal by fetching the certificates anew; everything else may not.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    timestamp, nonce, serial, signature = (
        lower.get(name.lower(), "") for name in (TIMESTAMP, NONCE, SERIAL, SIGNATURE)
    )
    if not (timestamp and nonce and serial and signature):
        return "not_signed"
    if signature.startswith(PROBE_PREFIX):
        return "probe"
    if lower.get("wechatpay-signature-type", ALGORITHM) != ALGORITHM:
        return "wrong_algorithm"
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return "bad_timestamp"
    key = keys.find(serial, wall_s)
    if key is None:
        return f"unknown_key:{serial[:64]}"
    if not is_signed(key, answer_message(timestamp, nonce, body), signature):
        return "bad_signature"
    # After the signature: who cannot sign shall not learn what the clock says.
    return None if abs(wall_s - int(timestamp)) <= FRESH_S else "not_fresh"


# -- what is encrypted ------------------------------------------------------------------------------------------------


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """An encrypted part of a callback, or of the list of certificates."""

    ciphertext: str
    nonce: str
    associated_data: str = ""
    algorithm: str = RESOURCE_ALGORITHM
    original_type: str = ""


def open_resource(api_v3_key: bytes, resource: Resource) -> bytes | None:
    """The plain bytes; None when the key is another one, or a byte is not as it was sent."""
    try:
        sealed = base64.b64decode(resource.ciphertext, validate=True)
        return AESGCM(api_v3_key).decrypt(resource.nonce.encode(), sealed, resource.associated_data.encode())
    except (InvalidTag, binascii.Error, ValueError):
        return None


def seal_resource(api_v3_key: bytes, plain: bytes, *, nonce: str, associated_data: str, original_type: str) -> Resource:
    """What the provider sends of these bytes."""
    sealed = AESGCM(api_v3_key).encrypt(nonce.encode(), plain, associated_data.encode())
    return Resource(
        ciphertext=base64.b64encode(sealed).decode(),
        nonce=nonce,
        associated_data=associated_data,
        original_type=original_type,
    )


def encrypt_field(key: RSAPublicKey, text: str) -> str:
    """A name or a number of a person, for the provider's eyes."""
    return base64.b64encode(key.encrypt(text.encode(), _OAEP)).decode()


def decrypt_field(key: RSAPrivateKey, sealed: str) -> str | None:
    """The provider's side of it; None when it was encrypted for another key."""
    try:
        return key.decrypt(base64.b64decode(sealed, validate=True), _OAEP).decode()
    except (ValueError, binascii.Error):
        return None
