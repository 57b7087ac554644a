"""A merchant's account at the simulated UnionPay: numbers, keys and certificates of both sides, and how each proves
itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from payments.channels import unionpay_signing as signing
from payments.channels.unionpay_signing import SigningKey
from payments.simulator.keys import CERTIFICATE_LIFE
from payments.simulator.protocol import BadOption, Room, Twist

INSTITUTION = "unionpay"
#: Where bills come from; the real one has a host of its own for it.
FILES = "/unionpay/files"
#: The password of the merchant's key file, as in UnionPay's own test environment.
PASSWORD = "000000"  # noqa: S105 - nobody's secret
#: UnionPay's certificates name it as the third part of their common name.
_SIGNER = f"041@8310000000083040@{signing.LIVE_SIGNER}@00016493"


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be set with ``--option unionpay.NAME=VALUE``."""

    #: What a query says of what is under way: of an order that its payer has opened, of a refund.
    open_code: Literal["03", "04", "05"] = "05"
    #: Whether today's bill may be had, too.
    bills_at_once: bool = False
    #: Where the merchant's key file is written; without it, into a directory that goes with the simulator.
    key_dir: str = ""


def read_options(given: Mapping[str, str]) -> Options:
    """Options from text; BadOption."""
    try:
        options = msgspec.convert(dict(given), Options, strict=False)
    except msgspec.ValidationError as problem:
        raise BadOption(f"unionpay: {problem}; there are: {', '.join(Options.__struct_fields__)}") from problem
    if options.key_dir and not (Path(options.key_dir).is_absolute() and Path(options.key_dir).is_dir()):
        raise BadOption("unionpay.key_dir: the absolute path of a directory that is there")
    return options


class Account:
    """Both sides' keys. An issuer of its own signs UnionPay's certificates, which travel with each message."""

    def __init__(self, room: Room) -> None:
        self.options = read_options(room.options)
        self._keys = room.keys
        self.mer_id = room.keys.number("unionpay/mer_id", "777290", 9)
        self._merchant = room.keys.pair("unionpay/merchant", f"merchant {self.mer_id}")
        self._merchant_key = self._merchant.private_key.public_key()
        self._merchant_cert_id = str(self._merchant.certificate.serial_number)
        self._issuer = room.keys.pair("unionpay/issuer", "simulated issuer")
        self._signer = self._signing_key()
        self._directory: TemporaryDirectory[str] | None = None

    def _signing_key(self) -> SigningKey:
        """The key that signs now, with a certificate of the issuer's: made anew at each start, as it always comes along
        with what it signs."""
        number = self._keys.count("unionpay/certificate")
        key = self._keys.pair(f"unionpay/certificate/{number}", "unionpay").private_key
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _SIGNER)]))
            .issuer_name(self._issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(int(self._keys.number(f"unionpay/serial/{number}", "69", 15)))
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + CERTIFICATE_LIFE)
            .sign(self._issuer.private_key, hashes.SHA256())
        )
        return SigningKey(key, certificate)

    def rotate(self) -> str:
        """Another certificate signs from now on; its serial number."""
        self._keys.raise_count("unionpay/certificate")
        self._signer = self._signing_key()
        return self._signer.cert_id

    def why_not(self, params: Mapping[str, str]) -> str | None:
        """The code with which a merchant's request is refused; None when it is proved."""
        if params.get("merId") != self.mer_id:
            return "31"
        if params.get("version") != signing.VERSION or params.get("certId") != self._merchant_cert_id:
            return "11"
        return None if signing.is_signed(params, self._merchant_key) else "11"

    def signed(self, params: Mapping[str, str], twist: Twist) -> dict[str, str]:
        """What UnionPay says, with its certificate. A probe is signed wrongly: UnionPay has none of its own."""
        signed = signing.signed_by_provider(params, self._signer)
        if not (twist.is_wrong or twist.is_probe):
            return signed
        # The signature is good, and of other words.
        other = signing.signed_by_provider({**params, "respMsg": "other"}, self._signer)
        return {**signed, "signature": other["signature"]}

    def settings(self, base_url: str) -> dict[str, str]:
        """What a merchant puts into its settings."""
        return {
            "environment": "simulator",
            "base_url": base_url,
            "file_url": base_url + FILES,
            "algorithm": f"{signing.VERSION}/{signing.SIGN_METHOD}",
            # Any product will do; this is the one that a browser can pay.
            "product": "page",
            "mer_id": self.mer_id,
            "sign_pfx": str(self._key_file()),
            "sign_pfx_password": PASSWORD,
            "issuers": self._issuer.certificate_pem,
        }

    def _key_file(self) -> Path:
        if self._directory is None and not self.options.key_dir:
            self._directory = TemporaryDirectory(prefix="simulator-unionpay-")
        folder = self.options.key_dir or (self._directory.name if self._directory else "")
        path = Path(folder) / f"{self.mer_id}.pfx"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(
                pkcs12.serialize_key_and_certificates(
                    b"merchant",
                    self._merchant.private_key,
                    self._merchant.certificate,
                    None,
                    serialization.BestAvailableEncryption(PASSWORD.encode()),
                )
            )
        return path
