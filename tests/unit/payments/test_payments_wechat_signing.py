"""WeChat Pay's signatures and encryption: the official vectors, tampering, rotation, an independent SDK both ways."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from wechatpayv3 import utils as sdk

from payments.channels import signing_keys as keys
from payments.channels import wechat_signing as signing
from payments.channels.wechat_signing import PlatformKeys, Resource

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors/wechat_v3.json").read_text(encoding="utf-8"))
MERCHANT_PEM = VECTORS["merchant_test_key_pem"].replace("TESTING", "PRIVATE")
MERCHANT = keys.private_key("private_key", MERCHANT_PEM)
ANSWER = VECTORS["response_verify"][0]
CALLBACK = VECTORS["callback"][0]
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_every_request_signature_of_the_documents() -> None:
    for each in VECTORS["request_sign"]:
        message = signing.request_message(
            each["method"], each["url"], each["timestamp"], each["nonce"], each["body"].encode()
        )
        assert signing.sign(MERCHANT, message) == each["signature"]
        assert signing.is_signed(MERCHANT.public_key(), message, each["signature"])


def test_every_invoke_signature_of_the_documents() -> None:
    for each in VECTORS["invoke_sign"]:
        assert signing.sign(MERCHANT, signing.invoke_message(*each["lines"])) == each["signature"], each["kind"]


def platform() -> PlatformKeys:
    key = keys.public_key("public_key", VECTORS["wechatpay_test_public_key_pem"])
    return PlatformKeys({ANSWER["serial"]: key})


def answer_headers(**changes: str) -> dict[str, str]:
    headers = {
        "wechatpay-timestamp": ANSWER["timestamp"],
        "Wechatpay-Nonce": ANSWER["nonce"],
        "WECHATPAY-SERIAL": ANSWER["serial"],
        "Wechatpay-Signature": ANSWER["signature"],
    }
    return headers | changes


def test_an_answer_of_the_documents_is_proved_by_its_public_key() -> None:
    at = float(ANSWER["timestamp"])
    body = ANSWER["body"].encode()
    assert signing.why_not_proved(platform(), answer_headers(), body, at) is None
    assert signing.why_not_proved(platform(), answer_headers(), body, at + 300) is None
    assert signing.why_not_proved(platform(), answer_headers(), body, at + 301) == "not_fresh"
    assert signing.why_not_proved(platform(), answer_headers(), body, at - 301) == "not_fresh"
    assert signing.why_not_proved(platform(), answer_headers(), body + b" ", at) == "bad_signature"
    assert signing.why_not_proved(platform(), answer_headers(), body + b" ", at + 301) == "bad_signature"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Wechatpay-Signature": ""}, "not_signed"),
        ({"Wechatpay-Nonce": ""}, "not_signed"),
        ({"Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + ANSWER["signature"]}, "probe"),
        ({"Wechatpay-Signature": "not base64!"}, "bad_signature"),
        ({"Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"}, "wrong_algorithm"),
        ({"wechatpay-timestamp": "1e9"}, "bad_timestamp"),
        ({"wechatpay-timestamp": "١٧٢٢"}, "bad_timestamp"),
        ({"WECHATPAY-SERIAL": "PUB_KEY_ID_1"}, "unknown_key:PUB_KEY_ID_1"),
        ({"WECHATPAY-SERIAL": "5157F09E"}, "unknown_key:5157F09E"),
    ],
)
def test_what_is_not_proved_says_why(changes: dict[str, str], why: str) -> None:
    at = float(ANSWER["timestamp"])
    assert signing.why_not_proved(platform(), answer_headers(**changes), ANSWER["body"].encode(), at) == why


def test_a_whole_callback_is_proved_by_its_certificate_and_opened() -> None:
    known = PlatformKeys()
    certificate = keys.certificate("platform", CALLBACK["platform_cert_pem"])
    known.replace_certificates((certificate,))
    body = CALLBACK["body"].encode()
    at = float(CALLBACK["headers"]["Wechatpay-Timestamp"])
    assert signing.why_not_proved(known, CALLBACK["headers"], body, at) is None
    resource = json.loads(CALLBACK["body"])["resource"]
    # The published key has 16 bytes, hence AES-128; a configured key is held to 32.
    plain = signing.open_resource(CALLBACK["apiv3_key"].encode(), Resource(**resource))
    assert plain == CALLBACK["plaintext"].encode()
    assert signing.open_resource(b"x" * 32, Resource(**resource)) is None
    after = certificate.not_valid_after_utc.timestamp() + 1
    assert signing.why_not_proved(known, CALLBACK["headers"], body, after) == "unknown_key:D7CE59D1F522D701"


def test_every_aead_vector_and_the_way_back() -> None:
    for each in VECTORS["aead"]:
        key = each["key"].encode()
        resource = Resource(ciphertext=each["ciphertext"], nonce=each["nonce"], associated_data=each["aad"])
        assert signing.open_resource(key, resource) == each["plaintext"].encode(), each["from"]
        sealed = signing.seal_resource(
            key, each["plaintext"].encode(), nonce=each["nonce"], associated_data=each["aad"], original_type="x"
        )
        assert sealed.ciphertext == each["ciphertext"]
    assert signing.open_resource(b"k" * 32, Resource(ciphertext="no base64!", nonce="n" * 12)) is None


def a_certificate(
    key: rsa.RSAPrivateKey, start: datetime, days: int, serial: int = 0x5157F09EFDC096DE15EBE81A47057A72
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com sign")])
    return (
        x509.CertificateBuilder(name, name, key.public_key(), serial, start, start + timedelta(days=days))
    ).sign(key, SHA256())  # fmt: skip


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


@pytest.fixture(scope="module")
def other() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_certificates_are_rotated_and_the_youngest_one_encrypts(other: rsa.RSAPrivateKey) -> None:
    old, new = a_certificate(MERCHANT, NOW, 10), a_certificate(other, NOW + timedelta(days=5), 100, serial=0xAB)
    known = PlatformKeys()
    assert known.newest(NOW.timestamp()) is None
    known.replace_certificates((old, new))
    assert known.has("5157f09efdc096de15ebe81a47057a72") and known.has("AB") and not known.has("AC")
    at = (NOW + timedelta(days=1)).timestamp()
    assert known.find("AB", at) is None, "not valid yet"
    serial, key = known.newest(at) or ("", None)
    assert serial == keys.serial_of(old) and key is not None
    serial, key = known.newest((NOW + timedelta(days=20)).timestamp()) or ("", None)
    assert serial == "AB" and key is not None
    sealed = signing.encrypt_field(key, "张三")
    assert signing.decrypt_field(other, sealed) == "张三"
    assert signing.decrypt_field(MERCHANT, sealed) is None
    known.replace_certificates((new,))
    assert not known.has(keys.serial_of(old)) and known.certificates == (new,)
    named = PlatformKeys({"PUB_KEY_ID_1": other.public_key()})
    assert (named.newest(at) or ("",))[0] == "PUB_KEY_ID_1"


def test_the_authorization_header_and_back() -> None:
    each = VECTORS["request_sign"][1]
    header = signing.authorization(
        MERCHANT,
        mchid=VECTORS["mchid"],
        serial=VECTORS["serial_no"],
        method=each["method"],
        target=each["url"],
        body=each["body"].encode(),
        timestamp=each["timestamp"],
        nonce=each["nonce"],
    )
    assert header.startswith("WECHATPAY2-SHA256-RSA2048 mchid=")
    assert signing.read_authorization(header) == {
        "mchid": "1900007291",
        "nonce_str": each["nonce"],
        "timestamp": each["timestamp"],
        "serial_no": VECTORS["serial_no"],
        "signature": each["signature"],
    }
    assert signing.read_authorization("Bearer x") == {}


# -- an independent SDK -----------------------------------------------------------------------------------------------


def test_the_sdk_signs_what_we_prove_and_proves_what_we_sign(other: rsa.RSAPrivateKey) -> None:
    key_pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    theirs = sdk.load_private_key(key_pem)
    header = sdk.build_authorization("/v3/x?y=1", "POST", "19", "AB", theirs, data='{"名":"¥"}')
    parts = signing.read_authorization(header)
    message = signing.request_message(
        "POST", "/v3/x?y=1", parts["timestamp"], parts["nonce_str"], '{"名":"¥"}'.encode()
    )
    assert signing.is_signed(other.public_key(), message, parts["signature"])

    body = '{"code_url":"weixin://"}'
    headers = signing.answer_headers(other, "AB", body.encode(), timestamp="1722850421", nonce="n")
    assert sdk.rsa_verify("1722850421", "n", body, headers["Wechatpay-Signature"], other.public_key())
    assert not sdk.rsa_verify("1722850421", "m", body, headers["Wechatpay-Signature"], other.public_key())


def test_the_sdk_opens_what_we_seal(other: rsa.RSAPrivateKey) -> None:
    sealed = signing.seal_resource(
        b"k" * 32, "已付".encode(), nonce="a" * 12, associated_data="transaction", original_type="transaction"
    )
    assert sdk.aes_decrypt("a" * 12, sealed.ciphertext, "transaction", "k" * 32) == "已付"
    assert signing.decrypt_field(other, sdk.rsa_encrypt("张三", other.public_key())) == "张三"
    assert sdk.rsa_decrypt(signing.encrypt_field(other.public_key(), "张三"), other) == "张三"


# -- keys as they are configured ---------------------------------------------------------------------------------------


def test_keys_are_text_or_absolute_paths(tmp_path: Path) -> None:
    file = tmp_path / "apiclient_key.pem"
    file.write_text(MERCHANT_PEM)
    assert keys.private_key("private_key", str(file)).private_numbers() == MERCHANT.private_numbers()
    one_line = MERCHANT_PEM.replace("\n", "\\n")
    assert keys.private_key("private_key", one_line).private_numbers() == MERCHANT.private_numbers()


def refusal(read: Any, *given: Any) -> str:
    with pytest.raises(keys.BadSetting) as caught:
        read(*given)
    assert caught.value.field == "the_field" and str(caught.value).startswith("the_field: ")
    return str(caught.value.reason)


def test_a_bad_key_is_named_and_never_shown(tmp_path: Path, other: rsa.RSAPrivateKey) -> None:
    read = keys.private_key
    assert "absolute path" in refusal(read, "the_field", "certs/key.pem")
    assert "cannot be read" in refusal(read, "the_field", str(tmp_path / "none.pem"))
    assert refusal(read, "the_field", "  ") == "is empty"
    assert "unencrypted private key" in refusal(read, "the_field", "-----BEGIN PRIVATE KEY-----\nx\n")
    curve = ec.generate_private_key(ec.SECP256R1())
    text = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert refusal(read, "the_field", text) == "is not an RSA key"
    weak = rsa.generate_private_key(65537, 1024)
    text = weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert "1024 bits" in refusal(read, "the_field", text)

    public = curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert refusal(keys.public_key, "the_field", public) == "is not an RSA key"
    assert "neither" in refusal(keys.public_key, "the_field", "-----BEGIN PUBLIC KEY-----\nx\n")
    assert "certificate" in refusal(keys.public_key, "the_field", "-----BEGIN CERTIFICATE-----\nx\n")
    assert "absolute path" in refusal(keys.certificate, "the_field", "cert.pem")
    good = a_certificate(other, NOW, 10)
    assert keys.public_key("the_field", pem(good)) == other.public_key()


def test_a_certificate_is_in_its_time_and_of_its_key(other: rsa.RSAPrivateKey) -> None:
    good = a_certificate(other, NOW, 10)
    keys.check_certificate("the_field", good, other, NOW)
    keys.check_certificate("the_field", good, None, NOW)
    assert refusal(keys.check_certificate, "the_field", good, MERCHANT, NOW) == "does not belong to the private key"
    late = NOW + timedelta(days=10, seconds=1)
    assert refusal(keys.check_certificate, "the_field", good, other, late) == "expired on 2026-03-11"
    early = NOW - timedelta(seconds=1)
    assert refusal(keys.check_certificate, "the_field", good, other, early) == "is not valid before 2026-03-01"
    assert keys.days_left(good, NOW + timedelta(days=3)) == 7
    assert keys.days_left(good, late) == -1
