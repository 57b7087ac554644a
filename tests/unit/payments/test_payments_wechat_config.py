"""A WeChat Pay configuration is refused by the name of the field, before the first call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payments.channels.edupay import EduPayChannel, EduPayConfig
from payments.channels.signing_keys import BadSetting
from payments.channels.wechat import WechatChannel
from payments.channels.wechat_config import WechatConfig, read_keys
from payments.money import Fen
from tests import wechat_counter as wx

SERIAL_NUMBER = int(wx.SERIAL, 16)
NOW = datetime.now(UTC)


def live(**changes: Any) -> WechatConfig:
    settings = {
        "environment": "live",
        "base_url": "https://api.mch.weixin.qq.com",
        "backup_url": "https://api2.wechatpay.cn",
        "notify_url": "https://pay.example.edu.cn/wechat",
    }
    return wx.config_for("", **{**settings, **changes})


def test_a_good_configuration_is_read() -> None:
    certificate = wx.certificate_pem(wx.certificate_of(wx.MERCHANT_KEY, SERIAL_NUMBER, days=100))
    keys = read_keys(live(certificate=certificate))
    assert keys.days_left in (98, 99) and keys.platform.has(wx.PUBLIC_KEY_ID)
    keys = read_keys(live(public_key_id="", public_key=""))
    assert keys.days_left is None and not keys.platform.has(wx.PUBLIC_KEY_ID)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"mchid": "12"}, "mchid"),
        ({"appid": "1900000000"}, "appid"),
        ({"serial_no": "not hex"}, "serial_no"),
        ({"code": "WeChat Pay"}, "code"),
        ({"sub_mchid": "wx1"}, "sub_mchid"),
        ({"api_v3_key": "short"}, "api_v3_key"),
        ({"algorithm": ""}, "algorithm"),
        ({"algorithm": "MD5"}, "algorithm"),
        ({"split_cap_percent": 0}, "split_cap_percent"),
        ({"runner_payout": "transfer"}, "transfer_scene_id"),
        ({"runner_payout": "transfer", "transfer_scene_id": "1005", "sub_mchid": "1900000109"}, "runner_payout"),
        ({"limit_fen": Fen(0)}, "limit_fen"),
        ({"app_secret": "short"}, "app_secret"),
        ({"app_secret": "s" * 32, "oauth_api_url": "http://127.0.0.1:8901"}, "oauth_api_url"),
        ({"app_secret": "s" * 32, "oauth_page_url": "https://open.weixin.qq.com.example.com"}, "oauth_page_url"),
        ({"accounts": {"platform": "wx"}}, "accounts"),
        ({"accounts": {}, "account_names": {"nobody": "公司"}}, "account_names"),
        ({"account_names": {"platform": "公司"}}, "account_names"),
        ({"private_key": "apiclient_key.pem"}, "private_key"),
        ({"environment": "sandbox"}, "environment"),
        ({"environment": "simulator"}, "base_url"),
        ({"base_url": "http://127.0.0.1:8901"}, "base_url"),
        ({"base_url": "http://api.mch.weixin.qq.com"}, "base_url"),
        ({"base_url": "https://api.mch.weixin.qq.com.example.com"}, "base_url"),
        ({"base_url": "api.mch.weixin.qq.com"}, "base_url"),
        ({"backup_url": "https://example.com"}, "backup_url"),
        ({"notify_url": "/callbacks"}, "notify_url"),
        ({"notify_url": "https://example.com/?a=1"}, "notify_url"),
        ({"notify_url": "http://example.com/"}, "notify_url"),
        ({"notify_url": "https://192.168.1.7/wechat"}, "notify_url"),
        ({"public_key_id": ""}, "public_key"),
        ({"public_key_id": "5157F09E"}, "public_key_id"),
        ({"public_key": wx.public_pem(wx.MERCHANT_KEY)}, "public_key"),
        ({"certificate": wx.certificate_pem(wx.certificate_of(wx.PLATFORM_KEY, SERIAL_NUMBER))}, "certificate"),
        ({"certificate": wx.certificate_pem(wx.certificate_of(wx.MERCHANT_KEY, 0xAB))}, "serial_no"),
    ],
)
def test_a_bad_setting_is_named_and_never_shown(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadSetting) as refused:
        live(**changes)
    assert refused.value.field == field
    assert wx.API_V3_KEY not in str(refused.value) and "PRIVATE KEY" not in str(refused.value)


def test_an_expired_certificate_is_refused_at_start() -> None:
    old = wx.certificate_of(wx.MERCHANT_KEY, SERIAL_NUMBER, start=NOW - timedelta(days=10), days=5)
    with pytest.raises(BadSetting, match="certificate: expired on"):
        live(certificate=wx.certificate_pem(old))


def test_a_simulated_merchant_needs_no_backup_domain_and_no_tls() -> None:
    read_keys(wx.config_for("http://127.0.0.1:8901"))


def test_nothing_secret_is_printed_by_accident() -> None:
    config = live()
    assert repr(config) == f"WechatConfig(wechat, {wx.MCHID})" and repr(read_keys(config)) == "WechatKeys(…)"
    debits = EduPayConfig(merchant=config, school_id="1", scene_type="CANTEEN", device_ip="192.0.2.7")
    assert "KEY" not in repr(debits) and wx.API_V3_KEY not in repr(debits)


def test_a_merchants_own_account_needs_no_name() -> None:
    assert live(accounts={"campus:a": wx.MCHID}, account_names={}).accounts == {"campus:a": wx.MCHID}


def test_real_money_moves_in_the_live_environment_alone() -> None:
    assert not WechatChannel(live()).shape.is_demo
    assert WechatChannel(wx.config_for("http://127.0.0.1:1")).shape.is_demo
    debits = EduPayConfig(merchant=live(), school_id="1", scene_type="CANTEEN", device_ip="192.0.2.7")
    assert not EduPayChannel(debits).shape.is_demo


def test_the_legal_shape_is_named() -> None:
    assert live().legal_shape.startswith("A: ") and "30 %" in live().legal_shape
    assert live(runner_payout="personal", split_cap_percent=90).legal_shape.startswith("B: ")
    assert live(runner_payout="transfer", transfer_scene_id="1005").legal_shape.startswith("C: ")
