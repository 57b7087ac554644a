"""Keys and certificates for tests of providers: made once, in memory, of nobody's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from payments.channels.unionpay_signing import SigningKey


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """The key of somebody in the tests; the same name is the same key."""
    assert name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(name: str) -> str:
    return (
        rsa_key(name)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def public_pem(name: str) -> str:
    return (
        rsa_key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def certificate(
    name: str,
    issuer: str,
    common_name: str,
    *,
    begins: datetime | None = None,
    days: float = 3650,
    public_key: ec.EllipticCurvePublicKey | None = None,
    issuer_key: ec.EllipticCurvePrivateKey | None = None,
    issuer_name: Sequence[tuple[x509.ObjectIdentifier, str]] = (),
) -> x509.Certificate:
    """A certificate for the key of ``name`` (or another one), signed by the key of ``issuer`` (or another one)."""
    starts = begins or datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(x509.Name([x509.NameAttribute(*part) for part in issuer_name or [(NameOID.COMMON_NAME, issuer)]]))
        .public_key(public_key or rsa_key(name).public_key())
        .serial_number(69629715588 + len(name))
        .not_valid_before(starts)
        .not_valid_after(starts + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .sign(issuer_key or rsa_key(issuer), hashes.SHA256())
    )


def pem(of: x509.Certificate) -> str:
    return of.public_bytes(serialization.Encoding.PEM).decode()


def signing_key(name: str, issuer: str, common_name: str) -> SigningKey:
    return SigningKey(rsa_key(name), certificate(name, issuer, common_name))


def pfx(name: str, of: x509.Certificate, password: str, *, is_pair: bool = True) -> bytes:
    """A PKCS#12 file; with ``is_pair`` False the certificate is only put beside the key."""
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(1000)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.encode())
    )
    own = of if is_pair else None
    return pkcs12.serialize_key_and_certificates(
        name.encode(), rsa_key(name), own, None if is_pair else [of], encryption
    )
