"""UnionPay's signatures, both sides of them: a digest of the digest, and certificates that travel with the message."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509.oid import NameOID

from payments.channels.rsa_signing import check_nobody_else_reads, is_signed_sha1, is_signed_sha256, sign_sha256
from payments.channels.signing_keys import BadSetting, check_certificate, pem_of

#: The version that is spoken; 5.0.0 (SHA-1) is only understood where old messages are verified.
VERSION = "5.1.0"
#: RSA with certificates.
SIGN_METHOD = "01"

#: Who signs for UnionPay, as the third part of its certificates' common name.
LIVE_SIGNER = "中国银联股份有限公司"


class SigningKey:
    """A merchant's key with the certificate that UnionPay knows it by."""

    def __init__(self, key: RSAPrivateKey, certificate: x509.Certificate) -> None:
        self.key = key
        self.certificate = certificate
        #: The certificate's serial number in decimal; part of the signed text.
        self.cert_id = str(certificate.serial_number)


def load_signing_key(field: str, given: str, password: str, now: datetime) -> SigningKey:
    """The key and certificate of a PKCS#12 file, which is named by an absolute path; they must belong together and be
    in their time."""
    path = Path(given.strip())
    if not path.is_absolute():
        raise BadSetting(field, "must be an absolute path, so that it is found from any directory")
    check_nobody_else_reads(field, given)
    try:
        key, certificate = _parsed(path.read_bytes(), password)
    except OSError as error:
        raise BadSetting(field, f"the file cannot be read ({error.strerror or type(error).__name__})") from None
    except ValueError:
        raise BadSetting(field, "is not a PKCS#12 file, or the password is wrong") from None
    if not isinstance(key, RSAPrivateKey) or certificate is None:
        raise BadSetting(field, "needs one RSA key and its certificate")
    check_certificate(field, certificate, key, now)
    return SigningKey(key, certificate)


@lru_cache(maxsize=16)
def _parsed(raw: bytes, password: str) -> tuple[PrivateKeyTypes | None, x509.Certificate | None]:
    """The same file is read when a setting is checked and when it is used, and that takes a tenth of a second."""
    return pkcs12.load_key_and_certificates(raw, password.encode())[:2]


def text_to_sign(params: Mapping[str, str]) -> str:
    """The parameters that have a value, in the order of their names' characters, without the signature.

    >>> text_to_sign({"txnAmt": "1", "merId": "777", "reserved": "", "signature": "..."})
    'merId=777&txnAmt=1'
    """
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if params[name] and name != "signature")


def signed(params: Mapping[str, str], signing: SigningKey) -> dict[str, str]:
    """The parameters of a request with version, signMethod, certId (all three are signed) and signature."""
    whole = {**params, "version": VERSION, "signMethod": SIGN_METHOD, "certId": signing.cert_id}
    return {**whole, "signature": sign_sha256(signing.key, _digest(whole))}


def signed_by_provider(params: Mapping[str, str], signing: SigningKey) -> dict[str, str]:
    """The parameters of a reply or a notice, which carries its certificate along instead of its number."""
    pem = signing.certificate.public_bytes(Encoding.PEM).decode()
    whole = {**params, "version": VERSION, "signMethod": SIGN_METHOD, "signPubKeyCert": pem}
    return {**whole, "signature": sign_sha256(signing.key, _digest(whole))}


def is_signed(params: Mapping[str, str], key: RSAPublicKey) -> bool:
    """Whether the key's owner signed the parameters, in the way of the version that they name."""
    signature = params.get("signature", "")
    if params.get("signMethod") != SIGN_METHOD:
        return False
    match params.get("version"):
        case "5.1.0":
            return is_signed_sha256(key, _digest(params), signature)
        case "5.0.0":
            text = hashlib.sha1(text_to_sign(params).encode()).hexdigest()  # noqa: S324 - that version's own digest
            return is_signed_sha1(key, text.encode(), signature)
        case _:
            return False


class Trust:
    """Whose certificates are believed: one of ``issuers`` signed it, and its common name says who it is for."""

    def __init__(self, issuers: Sequence[x509.Certificate], signers: Sequence[str] = (LIVE_SIGNER,)) -> None:
        if not issuers:
            raise ValueError("at least one issuer is needed")
        self._issuers = tuple(issuers)
        self._signers = tuple(signers)
        # The same certificate comes with every message; one that was believed is read once.
        self._known: dict[str, x509.Certificate] = {}

    def why_not_proved(self, params: Mapping[str, str], now: datetime) -> str | None:
        """Why a reply or a notice does not come from UnionPay; None: it does."""
        if params.get("version") != VERSION:
            return f"version: only {VERSION}"
        certificate = self._believed(params.get("signPubKeyCert", ""), now)
        if isinstance(certificate, str):
            return f"signPubKeyCert: {certificate}"
        key = certificate.public_key()
        assert isinstance(key, RSAPublicKey), "no other one is believed"
        return None if is_signed(params, key) else "signature: wrong"

    def _believed(self, pem: str, now: datetime) -> x509.Certificate | str:
        certificate = self._known.get(pem)
        if certificate is None:
            try:
                certificate = x509.load_pem_x509_certificate(pem.encode())
            except ValueError:
                return "is not a certificate in PEM"
            if not isinstance(certificate.public_key(), RSAPublicKey):
                return "is not for an RSA key"
            if not any(_is_issued_by(certificate, issuer, now) for issuer in self._issuers):
                return "no issuer that we know signed it"
            if signer_of(certificate) not in self._signers:
                return f"it is for {signer_of(certificate)!r}"
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[pem] = certificate
        return _why_not_in_time(certificate, now) or certificate


def load_trust(field: str, given: Sequence[str], signers: Sequence[str], now: datetime) -> Trust:
    """The issuers in these settings (each PEM, or an absolute path; several in one will do), all in their time."""
    issuers: list[x509.Certificate] = []
    for each in given:
        pem = pem_of(field, each)
        try:
            issuers += x509.load_pem_x509_certificates(pem)
        except ValueError:
            raise BadSetting(field, "is not a certificate in PEM") from None
    if not issuers:
        raise BadSetting(field, "at least one certificate is needed")
    for issuer in issuers:
        check_certificate(field, issuer, None, now)
    return Trust(issuers, signers)


#: UnionPay has a handful of certificates; more than that is somebody who tries.
_MOST_KNOWN = 32


def signer_of(certificate: x509.Certificate) -> str:
    """For whom a certificate is: the third part of its common name where it has parts, else the whole name."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else ""
    parts = name.split("@")
    return parts[2] if len(parts) > 2 else name


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return _why_not_in_time(issuer, now) is None


def _why_not_in_time(certificate: x509.Certificate, now: datetime) -> str | None:
    try:
        check_certificate("certificate", certificate, None, now)
    except BadSetting as error:
        return error.reason
    return None


def _digest(params: Mapping[str, str]) -> bytes:
    return hashlib.sha256(text_to_sign(params).encode()).hexdigest().encode()
