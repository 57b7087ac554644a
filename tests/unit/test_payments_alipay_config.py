"""What an Alipay account may not be set up with, and the calendar and amounts of Chinese providers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from payments.channels.alipay_config import AlipayConfig
from payments.channels.china import beijing_day, beijing_moment, beijing_text, fen_of_yuan
from payments.channels.environment import check_gateway, check_own_url
from payments.channels.signing_keys import BadSetting
from tests.payments_keys import private_pem, public_pem

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
