"""What an Alipay account may not be set up with, and the calendar and amounts of Chinese providers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from alipay import DCAliPay
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from payments.assembly import certificates_of
from payments.channel_settings import ChannelSetting
from payments.channels.alipay_config import AlipayConfig
from payments.channels.china import beijing_day, beijing_moment, beijing_text, fen_of_yuan
from payments.channels.environment import check_gateway, check_own_url
from payments.channels.signing_keys import BadSetting
from tests.payments_keys import certificate, pem, private_pem, public_pem, rsa_key

LIVE: dict[str, Any] = {
    "environment": "live",
    "product": "page",
    "app_id": "2021000000000001",
    "seller_id": "2088123412341234",
    "app_private_key": "",
    "alipay_public_key": "",
    "notify_url": "https://pay.example.edu.cn/callbacks/alipay",
    "algorithm": "RSA2",
}


def config(**changes: Any) -> AlipayConfig:
    keys = {"app_private_key": private_pem("merchant"), "alipay_public_key": public_pem("alipay")}
    return AlipayConfig(**{**LIVE, **keys, **changes})


def test_a_live_account_meets_the_live_gateway() -> None:
    made = config(return_url="https://pay.example.edu.cn/back", limit_fen=100_000)
    assert made.gateway_url == "https://openapi.alipay.com"
    assert made.names == ("支付宝网页", "Alipay on the web")
    assert "PRIVATE" not in repr(made)
    sandbox = config(environment="sandbox", app_id="9021000000000001")
    assert sandbox.gateway_url == "https://openapi-sandbox.dl.alipaydev.com"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": "Alipay"}, "code: "),
        ({"algorithm": "RSA"}, "algorithm: must be declared as RSA2"),
        ({"app_id": "wx123"}, "app_id: must be digits"),
        ({"app_id": "9021000000000001"}, "app_id: .* of the sandbox"),
        ({"seller_id": "1900000109"}, "seller_id: "),
        ({"environment": "simulator"}, "base_url: is needed"),
        ({"base_url": "https://openapi-sandbox.dl.alipaydev.com"}, "base_url: .* not a gateway of the live"),
        ({"base_url": "http://openapi.alipay.com"}, "base_url: must begin with https"),
        ({"environment": "sandbox", "base_url": "https://openapi.alipay.com"}, "base_url: .* of the sandbox"),
        ({"environment": "simulator", "base_url": "https://openapi.alipay.com"}, "base_url: .* of the simulator"),
        ({"notify_url": "http://pay.example.edu.cn/x"}, "notify_url: must begin with https"),
        ({"notify_url": "https://127.0.0.1/x"}, "notify_url: .* from outside"),
        ({"notify_url": "https://localhost/x"}, "notify_url: .* from outside"),
        ({"notify_url": "https://pay/x"}, "notify_url: .* from outside"),
        ({"notify_url": "https://pay.example.edu.cn/x?a=1"}, "notify_url: .* query"),
        ({"notify_url": "pay.example.edu.cn"}, "notify_url: must be a whole address"),
        ({"notify_url": "https://[x/"}, "notify_url: must be a whole address"),
        ({"return_url": "https://u:p@pay.example.edu.cn/"}, "return_url: must be a whole address"),
        ({"life_s": 30}, "life_s: "),
        ({"expiry_margin_s": 5}, "expiry_margin_s: "),
        ({"limit_fen": 0}, "limit_fen: "),
        ({"accounts": {"campus_1": "13800000000"}}, "accounts: campus_1"),
        ({"app_private_key": "key.pem"}, "app_private_key: .* absolute path"),
        ({"alipay_public_key": "x"}, "alipay_public_key: "),
    ],
)
def test_what_cannot_work_is_refused_by_name(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadSetting, match=f"^{why}"):
        config(**changes)


def test_ones_own_public_key_is_not_alipays() -> None:
    with pytest.raises(BadSetting, match=r"^alipay_public_key: is your application's own"):
        config(alipay_public_key=public_pem("merchant"))


def certificates() -> dict[str, str]:
    return {
        "alipay_public_key": "",
        "app_certificate": pem(certificate("merchant", "ant", "merchant")),
        "alipay_certificate": pem(certificate("alipay", "ant", "alipay")),
        "alipay_root_certificate": pem(certificate("ant", "ant", "ant")) + pem(certificate("cfca", "cfca", "cfca")),
    }


def test_certificates_instead_of_a_public_key() -> None:
    now = datetime.now(UTC)
    made = config(**certificates())
    keys = made.keys(now)
    assert keys.alipay == rsa_key("alipay").public_key()
    assert keys.ends_at is not None and keys.ends_at > now
    (watched,) = certificates_of([ChannelSetting(code="alipay", kind="alipay", config=made)], now)
    assert (watched.name, watched.expires_at) == ("alipay", keys.ends_at)
    assert config().keys(now).serials == {}


def test_the_numbers_of_certificates_are_the_sdks() -> None:
    """Its text form names four parts of the issuer; ours have them all, as Alipay's do."""
    files = certificates()
    issued = full_certificate("merchant", "ant")
    files |= {"app_certificate": issued, "alipay_root_certificate": f"{full_certificate('ant', 'ant')}\n{curve()}"}
    sdk = DCAliPay(
        appid="1",
        app_private_key_string=private_pem("merchant"),
        app_public_key_cert_string=issued,
        alipay_public_key_cert_string=files["alipay_certificate"],
        alipay_root_cert_string=files["alipay_root_certificate"],
    )
    assert config(**files).keys(datetime.now(UTC)).serials == {
        "app_cert_sn": sdk.app_cert_sn,
        "alipay_root_cert_sn": sdk.alipay_root_cert_sn,
    }


def full_certificate(name: str, issuer: str) -> str:
    """A certificate whose names have four parts, in the order of Alipay's."""
    parts = [(NameOID.COUNTRY_NAME, "CN"), (NameOID.ORGANIZATION_NAME, "Ant Financial"),
             (NameOID.ORGANIZATIONAL_UNIT_NAME, "Certification Authority"), (NameOID.COMMON_NAME, issuer)]  # fmt: skip
    return pem(certificate(name, issuer, name, issuer_name=parts))


def curve() -> str:
    """A root for elliptic curves, as Alipay's bundle has one."""
    return pem(certificate("ant", "curve", "curve", issuer_key=ec.generate_private_key(ec.SECP256R1())))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"app_certificate": ""}, "app_certificate: .* belong together"),
        ({"alipay_public_key": "x"}, "alipay_public_key: is not used with certificates"),
        ({"app_certificate": "app.crt"}, "app_certificate: .* absolute path"),
        ({"alipay_root_certificate": "root.crt"}, "alipay_root_certificate: .* absolute path"),
        ({"alipay_root_certificate": "-----BEGIN CERTIFICATE-----"}, "alipay_root_certificate: is not PEM"),
    ],
)
def test_wrong_certificates_are_refused_by_name(changes: dict[str, str], why: str) -> None:
    with pytest.raises(BadSetting, match=f"^{why}"):
        config(**{**certificates(), **changes})


def test_certificates_belong_together_and_are_in_their_time() -> None:
    files = certificates()
    for field, wrong, why in [
        ("app_certificate", certificate("stranger", "ant", "merchant"), "does not belong"),
        ("app_certificate", certificate("merchant", "ant", "merchant", days=0.5), "expired on"),
        ("alipay_certificate", certificate("alipay", "ant", "alipay", days=0.5), "expired on"),
        (
            "alipay_certificate",
            certificate("x", "ant", "x", public_key=ec.generate_private_key(ec.SECP256R1()).public_key()),
            "not for an RSA key",
        ),
    ]:
        with pytest.raises(BadSetting, match=f"^{field}: .*{why}"):
            config(**{**files, field: pem(wrong)})
    with pytest.raises(BadSetting, match="^alipay_root_certificate: has no certificate"):
        config(**{**files, "alipay_root_certificate": curve()})


def test_addresses_of_the_simulator_may_be_anywhere_else() -> None:
    check_gateway("base_url", "http://127.0.0.1:8/", "simulator", live={"a.cn"})
    check_own_url("notify_url", "http://127.0.0.1:8/x", "simulator")
    check_own_url("notify_url", "https://8.8.8.8/x", "live")
    check_own_url("notify_url", "https://[2400:3200::1]/x", "live")


@pytest.mark.parametrize(
    ("text", "fen"),
    [("0.01", 1), ("12", 1200), ("+12.5", 1250), (" -3.07 ", -307), ("", None), ("1.234", None), (".5", None),
     ("１.00", None), ("1e2", None), ("99999999999", None)],
)  # fmt: skip
def test_amounts_in_yuan(text: str, fen: int | None) -> None:
    assert fen_of_yuan(text) == fen


def test_beijings_calendar() -> None:
    late = datetime(2026, 1, 31, 16, 30, tzinfo=UTC)
    assert beijing_day(late) == date(2026, 2, 1)
    assert beijing_text(late) == "2026-02-01 00:30:00"
    assert beijing_moment("2026-02-01 00:30:00") == late
    assert beijing_moment("") is None
