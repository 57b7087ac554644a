"""What a merchant configures for WeChat Pay, checked as a whole before the first call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from payments.channels import signing_keys as keys
from payments.channels.environment import Environment, check_gateway, check_own_url
from payments.channels.rsa_signing import check_nobody_else_reads
from payments.channels.signing_keys import BadSetting
from payments.channels.wechat_signing import ALGORITHM, PUBLIC_KEY_PREFIX, PlatformKeys
from payments.money import Fen
from payments.port import Party

TradeType = Literal["jsapi", "native", "h5", "app"]
#: team: the runner's part stays with the merchant, which is the runners' own team · personal: it is split to the
#: runner's openid · transfer: it stays with the merchant and is transferred when the runner withdraws.
RunnerPayout = Literal["team", "personal", "transfer"]

#: WeChat Pay's first and second domain, under both of its names.
LIVE_HOSTS = ("api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "api.wechatpay.cn", "api2.wechatpay.cn")
#: Where WeChat itself (not WeChat Pay) says whom a page belongs to.
OAUTH_HOSTS = ("open.weixin.qq.com", "api.weixin.qq.com", "api2.weixin.qq.com", "sh.api.weixin.qq.com")
#: How long a credential of this kind lives at most.
LIFE_S: Mapping[TradeType, float] = {"jsapi": 7200.0, "native": 7200.0, "h5": 300.0, "app": 7200.0}
#: What must be known of the payer.
NEEDS: Mapping[TradeType, tuple[str, ...]] = {"jsapi": ("openid",), "native": (), "h5": ("client_ip",), "app": ()}


class SceneReport(msgspec.Struct, frozen=True):
    """One line of what a transfer's scene asks to be declared: 岗位类型, 报酬说明 …"""

    info_type: str
    info_content: str


class WechatConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One merchant account and one way to pay with it. With ``sub_mchid`` the merchant is a service provider."""

    environment: Environment
    mchid: str
    appid: str
    #: Serial number of the merchant's certificate, and its key: PEM or an absolute path.
    serial_no: str
    private_key: str
    api_v3_key: str
    notify_url: str
    #: Declared, not guessed; there is only this one.
    algorithm: str
    trade_type: TradeType = "jsapi"
    code: str = "wechat"
    name_zh: str = "微信支付"
    name_en: str = "WeChat Pay"
    base_url: str = "https://api.mch.weixin.qq.com"
    backup_url: str = "https://api2.mch.weixin.qq.com"
    #: The secret of the official account whose id ``appid`` is, for asking WeChat whom a page inside it belongs to;
    #: without it an openid has to come from elsewhere.
    app_secret: str = ""
    oauth_page_url: str = "https://open.weixin.qq.com"
    oauth_api_url: str = "https://api.weixin.qq.com"
    #: Checked against the key, the serial number and the calendar when it is given.
    certificate: str = ""
    #: Public-key mode; without it the platform's certificates are fetched.
    public_key_id: str = ""
    public_key: str = ""
    sub_mchid: str = ""
    sub_appid: str = ""
    runner_payout: RunnerPayout = "team"
    #: The merchant number of each receiver of a split: ``platform``, and each campus's account.
    accounts: Mapping[str, str] = {}
    #: The full registered name of each of them: WeChat Pay checks it when a receiver is added.
    account_names: Mapping[str, str] = {}
    #: The share that may be split off in all, as agreed with WeChat Pay.
    split_cap_percent: int = 30
    transfer_scene_id: str = ""
    transfer_reports: tuple[SceneReport, ...] = ()
    h5_app_name: str = ""
    h5_app_url: str = ""
    #: The most that one order may cost (the providers document no limit for a campus).
    limit_fen: Fen | None = None

    def __post_init__(self) -> None:
        """BadSetting names the first field that cannot work."""
        _check_plain(self)
        _check_environment(self)
        read_keys(self)

    def __repr__(self) -> str:
        # What is printed by accident has no secret in it.
        return f"WechatConfig({self.code}, {self.mchid})"

    @property
    def merchant(self) -> str:
        """Whose orders they are: the sub-merchant's, where there is one."""
        return self.sub_mchid or self.mchid

    @property
    def billed_parts(self) -> tuple[Party, ...]:
        """Whose parts are split off for certain; what a vault knows of the others may be the merchant itself."""
        has_runner = self.runner_payout == "personal"
        has_platform = self.accounts.get("platform", self.merchant) != self.merchant
        return (*(("runner",) if has_runner else ()), *(("platform",) if has_platform else ()))

    @property
    def legal_shape(self) -> str:
        """Who pays the runner, and on what condition; for people."""
        match self.runner_payout:
            case "team":
                return f"A: the runners' team is the merchant; at most {self.split_cap_percent} % is split off"
            case "personal":
                return (
                    f"B: runners are paid by split; needs a share of {self.split_cap_percent} % granted on application"
                )
            case "transfer":
                return "C: the merchant transfers to runners; needs the product 商家转账 and its scene"


class WechatKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a configuration, read and checked."""

    private: RSAPrivateKey
    api_v3: bytes
    platform: PlatformKeys
    #: Until the merchant's own certificate ends; None when none was given.
    days_left: int | None

    def __repr__(self) -> str:
        return "WechatKeys(…)"


def read_keys(config: WechatConfig, now: datetime | None = None) -> WechatKeys:
    """BadSetting names the first one that cannot work."""
    at = now or datetime.now(UTC)
    check_nobody_else_reads("private_key", config.private_key)
    private = keys.private_key("private_key", config.private_key)
    days_left = None
    if config.certificate:
        certificate = keys.certificate("certificate", config.certificate)
        keys.check_certificate("certificate", certificate, private, at)
        if keys.serial_of(certificate) != config.serial_no.upper():
            raise BadSetting("serial_no", "is not the serial number of the certificate")
        days_left = keys.days_left(certificate, at)
    if bool(config.public_key_id) != bool(config.public_key):
        raise BadSetting("public_key", "and public_key_id belong together: both, or none for certificates")
    public = {}
    if config.public_key_id:
        if not config.public_key_id.startswith(PUBLIC_KEY_PREFIX):
            raise BadSetting("public_key_id", f"begins with {PUBLIC_KEY_PREFIX}")
        key = keys.public_key("public_key", config.public_key)
        if key == private.public_key():
            raise BadSetting("public_key", "is the merchant's own; WeChat Pay's is needed")
        public[config.public_key_id] = key
    return WechatKeys(
        private=private, api_v3=config.api_v3_key.encode(), platform=PlatformKeys(public), days_left=days_left
    )


def _check_plain(config: WechatConfig) -> None:
    patterns = {"mchid": r"[0-9]{8,10}", "serial_no": r"[0-9A-Fa-f]{8,40}", "code": r"[a-z][a-z0-9_]{1,31}"}
    for field, pattern in patterns.items():
        if not re.fullmatch(pattern, getattr(config, field)):
            raise BadSetting(field, f"does not look like one ({pattern})")
    if not re.fullmatch(r"wx[0-9a-zA-Z]{6,30}", config.appid):
        raise BadSetting("appid", "begins with wx")
    if config.sub_mchid and not re.fullmatch(patterns["mchid"], config.sub_mchid):
        raise BadSetting("sub_mchid", "is a merchant number")
    if len(config.api_v3_key.encode()) != 32:
        raise BadSetting("api_v3_key", "has 32 characters")
    if config.algorithm != ALGORITHM:
        raise BadSetting("algorithm", f"must be declared as {ALGORITHM}")
    if not 1 <= config.split_cap_percent <= 100:
        raise BadSetting("split_cap_percent", "is between 1 and 100")
    if config.runner_payout == "transfer" and not config.transfer_scene_id:
        raise BadSetting("transfer_scene_id", "is needed to transfer to runners")
    if config.runner_payout == "transfer" and config.sub_mchid:
        raise BadSetting(
            "runner_payout", "what is split stays with the sub-merchant, and a transfer is not out of that"
        )
    for ref, mchid in config.accounts.items():
        if not re.fullmatch(patterns["mchid"], mchid):
            raise BadSetting("accounts", f"{ref}: is not a merchant number")
        if mchid != config.merchant and not config.account_names.get(ref):
            raise BadSetting("account_names", f"{ref}: a merchant is a receiver under its full registered name alone")
    if not config.account_names.keys() <= config.accounts.keys():
        raise BadSetting("account_names", "names an account that accounts does not have")
    if config.app_secret and not re.fullmatch(r"[0-9A-Za-z]{16,64}", config.app_secret):
        raise BadSetting("app_secret", "is 32 letters and digits, as the official account's page shows it once")
    if config.limit_fen is not None and config.limit_fen < 1:
        raise BadSetting("limit_fen", "is at least one fen")


def _check_environment(config: WechatConfig) -> None:
    """A live merchant never meets a simulator, a simulated one never the real provider."""
    if config.environment == "sandbox":
        raise BadSetting("environment", "WeChat Pay v3 has no sandbox: use the simulator, or live")
    for field in ("base_url", "backup_url"):
        if field == "base_url" or config.backup_url:
            check_gateway(field, getattr(config, field), config.environment, live=LIVE_HOSTS)
    check_own_url("notify_url", config.notify_url, config.environment)
    if config.app_secret:
        for field in ("oauth_page_url", "oauth_api_url"):
            check_gateway(field, getattr(config, field), config.environment, live=OAUTH_HOSTS)


def order_fields(config: WechatConfig) -> dict[str, Any]:
    """How an order, a refund or a query names its merchant, as fields of the request."""
    if not config.sub_mchid:
        return {"mchid": config.mchid}
    return {"sp_mchid": config.mchid, "sub_mchid": config.sub_mchid}
