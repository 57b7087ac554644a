"""Keys, certificates, secrets and account numbers: made on the first start and kept with the journal."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from payments.simulator.journal import Journal

KEY_BITS = 2048
#: As long as the providers' own are valid.
CERTIFICATE_LIFE = timedelta(days=5 * 365)

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A private key and its certificate, as PEM."""

    private_pem: str
    certificate_pem: str

    @property
    def private_key(self) -> rsa.RSAPrivateKey:
        return _read_key(self.private_pem)

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_pem.encode())

    @property
    def serial(self) -> str:
        """The certificate's serial number, as WeChat Pay prints it."""
        return f"{self.certificate.serial_number:X}"

    @property
    def public_pem(self) -> str:
        """The public key alone."""
        public = self.private_key.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


@lru_cache(maxsize=64)
def _read_key(pem: str) -> rsa.RSAPrivateKey:
    """Reading one checks it, which takes as long as some fifty signatures."""
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


class KeyRing:
    """Everything is asked for by name, and made when it is asked for the first time."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def pair(self, name: str, common_name: str) -> Pair:
        """A key pair with a certificate of its own making."""
        kept = self._journal.kept(f"pair/{name}")
        if kept is not None:
            return msgspec.json.decode(kept, type=Pair)
        pair = make_pair(common_name)
        self._journal.keep(f"pair/{name}", msgspec.json.encode(pair))
        return pair

    def secret(self, name: str, length: int) -> str:
        """Letters and digits."""
        return self._text(name, "".join(secrets.choice(_LETTERS) for _ in range(length)))

    def number(self, name: str, prefix: str, digits: int) -> str:
        """A number that begins like this."""
        return self._text(name, prefix + "".join(secrets.choice("0123456789") for _ in range(digits)))

    def count(self, name: str) -> int:
        """A small number that only grows; 0 at first."""
        return int(self._journal.kept(f"count/{name}") or b"0")

    def raise_count(self, name: str) -> int:
        """One more."""
        raised = self.count(name) + 1
        self._journal.keep(f"count/{name}", str(raised).encode())
        return raised

    def _text(self, name: str, fresh: str) -> str:
        kept = self._journal.kept(f"text/{name}")
        if kept is not None:
            return kept.decode()
        self._journal.keep(f"text/{name}", fresh.encode())
        return fresh


def make_pair(common_name: str, bits: int = KEY_BITS) -> Pair:
    """A fresh RSA key and a certificate that it signed itself; never trusted by anybody who was not given it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Payment simulator (nobody's real account)"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(b"\x5a" + secrets.token_bytes(19)))
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + CERTIFICATE_LIFE)
        .sign(key, hashes.SHA256())
    )
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
    return Pair(private_pem=private_pem.decode(), certificate_pem=certificate_pem.decode())
