"""Keys and certificates as they are configured: PEM text or an absolute path, checked before anything is signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

#: A shorter key is refused everywhere.
LEAST_BITS = 2048
#: A certificate that ends within so many days is worth an alarm.
EXPIRES_SOON_DAYS = 30


class BadSetting(ValueError):
    """A setting of a channel that cannot work; the text begins with the setting's name and never shows its value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def pem_of(field: str, given: str) -> bytes:
    """PEM as it stands in a setting, or in the file that the setting names."""
    text = given.strip()
    if text.startswith("-----BEGIN"):
        # An environment variable often carries its line ends as two characters.
        return (text.replace("\\n", "\n") + "\n").encode()
    if not text:
        raise BadSetting(field, "is empty")
    path = Path(text)
    if not path.is_absolute():
        raise BadSetting(field, "must be PEM text or an absolute path, so that it is found from any directory")
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSetting(field, f"the file cannot be read ({error.strerror or type(error).__name__})") from None


def private_key(field: str, given: str) -> RSAPrivateKey:
    """The merchant's own key."""
    pem = pem_of(field, given)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadSetting(field, "is not an unencrypted private key in PEM") from None
    if not isinstance(key, RSAPrivateKey):
        raise BadSetting(field, "is not an RSA key")
    if key.key_size < LEAST_BITS:
        raise BadSetting(field, f"has {key.key_size} bits; at least {LEAST_BITS} are needed")
    return key


def public_key(field: str, given: str) -> RSAPublicKey:
    """The provider's key; a certificate will do, too."""
    pem = pem_of(field, given)
    if b"BEGIN CERTIFICATE" in pem:
        return _rsa(field, certificate(field, given).public_key())
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise BadSetting(field, "is neither a public key nor a certificate in PEM") from None
    return _rsa(field, key)


def _rsa(field: str, key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey):
        raise BadSetting(field, "is not an RSA key")
    return key


def certificate(field: str, given: str) -> x509.Certificate:
    """A certificate; nothing is said yet about its time."""
    pem = pem_of(field, given)
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise BadSetting(field, "is not a certificate in PEM") from None


def serial_of(certificate: x509.Certificate) -> str:
    """The serial number as providers write it."""
    return f"{certificate.serial_number:X}"


def check_certificate(field: str, given: x509.Certificate, key: RSAPrivateKey | None, now: datetime) -> None:
    """In its time, and of this key when one is given."""
    if now < given.not_valid_before_utc:
        raise BadSetting(field, f"is not valid before {given.not_valid_before_utc:%Y-%m-%d}")
    if now > given.not_valid_after_utc:
        raise BadSetting(field, f"expired on {given.not_valid_after_utc:%Y-%m-%d}")
    if key is not None and given.public_key() != key.public_key():
        raise BadSetting(field, "does not belong to the private key")


def days_left(given: x509.Certificate, now: datetime | None = None) -> int:
    """Whole days until it ends; negative when it has."""
    return (given.not_valid_after_utc - (now or datetime.now(UTC))) // timedelta(days=1)
