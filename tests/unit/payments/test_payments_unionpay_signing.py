"""UnionPay's signatures: the official vectors, certificates that travel with a message, and PKCS#12 files."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from payments.channels import rsa_signing
from payments.channels import unionpay_signing as signing
from tests.payments_keys import certificate, pem, pfx, rsa_key, signing_key

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "unionpay_5_1_0.json").read_text(encoding="utf-8")
)
NOW = datetime.now(UTC)
SIGNER = f"041@8310000000083040@{signing.LIVE_SIGNER}@00016493"


def official_key() -> Any:
    return rsa_signing.private_key("key", VECTORS["test_key_pem"].replace("TESTING KEY", "PRIVATE KEY"))


def official(version: str) -> dict[str, str]:
    params = {**VECTORS["params"], "version": version, "certId": VECTORS["certId"], "signMethod": "01"}
    return {**params, "signature": VECTORS["expected_signMethod01"][version]}


@pytest.mark.parametrize("version", ["5.0.0", "5.1.0"])
def test_official_signatures_are_proved(version: str) -> None:
    assert signing.is_signed(official(version), official_key().public_key())


def test_the_official_signature_is_the_one_we_make() -> None:
    params = official("5.1.0")
    digest = hashlib.sha256(signing.text_to_sign(params).encode()).hexdigest().encode()
    assert rsa_signing.sign_sha256(official_key(), digest) == params["signature"]


@pytest.mark.parametrize("version", ["5.0.0", "5.1.0"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("merId", "1"), ("version", "5.2.0"), ("signMethod", "02"), ("certId", "1"), ("signature", ""), ("new", "x")],
)
def test_a_changed_message_is_not_proved(version: str, name: str, value: str) -> None:
    assert not signing.is_signed({**official(version), name: value}, official_key().public_key())


def test_a_request_names_its_certificate_and_is_proved_by_plain_cryptography() -> None:
    merchant = signing_key("merchant", "cfca", "merchant")
    request = signing.signed({"txnAmt": "1", "empty": "", "orderId": "A0000001"}, merchant)
    assert request["version"] == "5.1.0"
    assert request["certId"] == str(merchant.certificate.serial_number)
    text = "&".join(f"{k}={v}" for k, v in sorted(request.items()) if v and k != "signature")
    digest = hashlib.sha256(text.encode()).hexdigest().encode()
    signature = base64.b64decode(request["signature"])
    rsa_key("merchant").public_key().verify(signature, digest, padding.PKCS1v15(), hashes.SHA256())


# -- trust --------------------------------------------------------------------------------------------------------


def trust() -> signing.Trust:
    return signing.Trust([certificate("cfca", "cfca", "cfca")])


def reply(common_name: str = SIGNER, issuer: str = "cfca") -> dict[str, str]:
    provider = signing_key("unionpay", issuer, common_name)
    return signing.signed_by_provider({"respCode": "00", "orderId": "A0000001"}, provider)


def test_a_reply_of_unionpay_is_proved_again_and_again() -> None:
    ours = trust()
    message = reply()
    assert ours.why_not_proved(message, NOW) is None
    assert ours.why_not_proved(message, NOW) is None
    assert ours.why_not_proved({**message, "respCode": "01"}, NOW) == "signature: wrong"


def test_whoever_else_has_a_certificate_is_not_believed() -> None:
    ours = trust()
    assert "no issuer" in (ours.why_not_proved(reply(issuer="stranger"), NOW) or "")
    assert "it is for 'A Shop'" in (ours.why_not_proved(reply("A Shop"), NOW) or "")
    assert "is not a certificate" in (ours.why_not_proved({**reply(), "signPubKeyCert": "x"}, NOW) or "")
    assert ours.why_not_proved({**reply(), "version": "5.0.0"}, NOW) == "version: only 5.1.0"
    with pytest.raises(ValueError, match="issuer"):
        signing.Trust([])


def test_a_certificate_for_another_kind_of_key_is_not_believed(tmp_path: Path) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    odd = certificate("unionpay", "cfca", SIGNER, public_key=curve)
    message = {**reply(), "signPubKeyCert": pem(odd)}
    assert "is not for an RSA key" in (trust().why_not_proved(message, NOW) or "")
    # What a stranger sends is never taken for the path of a file.
    path = tmp_path / "unionpay.pem"
    path.write_text(reply()["signPubKeyCert"])
    assert "is not a certificate" in (trust().why_not_proved({**reply(), "signPubKeyCert": str(path)}, NOW) or "")


def test_an_expired_certificate_is_not_believed() -> None:
    ours = trust()
    message = reply()
    late = NOW + timedelta(days=3660)
    assert "no issuer" in (ours.why_not_proved(message, late) or "")
    assert ours.why_not_proved(message, NOW) is None
    assert "expired" in (ours.why_not_proved(message, late) or "")
    assert "not valid before" in (ours.why_not_proved(message, NOW - timedelta(days=9)) or "")


def test_certificates_of_many_strangers_do_not_pile_up() -> None:
    ours = signing.Trust([certificate("cfca", "cfca", "cfca")])
    for day in range(40):
        old = certificate("unionpay", "cfca", SIGNER, begins=NOW - timedelta(days=2 + day))
        message = signing.signed_by_provider({"respCode": "00"}, signing.SigningKey(rsa_key("unionpay"), old))
        assert ours.why_not_proved(message, NOW) is None
    assert len(ours._known) <= 32


# -- PKCS#12 ------------------------------------------------------------------------------------------------------


def file_of(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "acp_sign.pfx"
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


def test_a_pkcs12_file_gives_key_certificate_and_number(tmp_path: Path) -> None:
    made = certificate("merchant", "cfca", "merchant")
    loaded = signing.load_signing_key("sign_pfx", file_of(tmp_path, pfx("merchant", made, "000000")), "000000", NOW)
    assert loaded.cert_id == str(made.serial_number)
    assert pem(loaded.certificate) == pem(made)


def test_wrong_pkcs12_files_are_refused_by_name(tmp_path: Path) -> None:
    made = certificate("merchant", "cfca", "merchant")
    good = file_of(tmp_path, pfx("merchant", made, "000000"))
    for value, password, now, why in [
        (good, "111111", NOW, "or the password is wrong"),
        ("acp_sign.pfx", "000000", NOW, "absolute path"),
        (good, "000000", NOW + timedelta(days=4000), "expired on"),
        (good, "000000", NOW - timedelta(days=9), "not valid before"),
    ]:
        with pytest.raises(ValueError, match=rf"^sign_pfx: .*{why}"):
            signing.load_signing_key("sign_pfx", value, password, now)


def test_a_pkcs12_file_without_an_rsa_key_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

    curve = ec.generate_private_key(ec.SECP256R1())
    raw = pkcs12.serialize_key_and_certificates(b"x", curve, None, None, NoEncryption())
    with pytest.raises(ValueError, match="^sign_pfx: needs one RSA key and its certificate"):
        signing.load_signing_key("sign_pfx", file_of(tmp_path, raw), "", NOW)


def test_a_key_must_belong_to_its_certificate(tmp_path: Path) -> None:
    raw = pfx("merchant", certificate("stranger", "cfca", "merchant"), "000000", is_pair=False)
    with pytest.raises(ValueError, match="^sign_pfx: "):
        signing.load_signing_key("sign_pfx", file_of(tmp_path, raw), "000000", NOW)
    with pytest.raises(ValueError, match="^sign_pfx: the file cannot be read"):
        signing.load_signing_key("sign_pfx", str(tmp_path / "none.pfx"), "", NOW)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, pfx("merchant", certificate("merchant", "cfca", "merchant"), "000000"))
    Path(path).chmod(0o640)
    with pytest.raises(ValueError, match="^sign_pfx: others may read"):
        signing.load_signing_key("sign_pfx", path, "000000", NOW)
