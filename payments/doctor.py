"""``python -m payments doctor``: the checklist before real money, in English and Chinese, with every secret masked."""

from __future__ import annotations

import argparse
import asyncio
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from payments.assembly import certificates_of, guards_of, vault_of
from payments.channel_settings import ChannelSetting, variable_of
from payments.channels.signing_keys import EXPIRES_SOON_DAYS
from payments.settings import Settings, SettingsError, add_env_file, read_settings, variables
from payments.store.migrations import MIGRATIONS
from payments.store.unit_of_work import SCHEMA, Store
from payments.terms_settings import in_words

Level = Literal["ok", "warn", "fail"]
_SIGNS: dict[Level, str] = {"ok": "✓", "warn": "!", "fail": "✗"}
#: Fields of a configuration that may be shown, masked; everything else is not.
_IDS = ("mchid", "sub_mchid", "app_id", "appid", "seller_id", "mer_id", "merchant", "school_id")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found, in both languages."""

    check: str
    level: Level
    en: str
    zh: str


def masked(text: str) -> str:
    """Enough of an id to know it again.

    >>> masked("1900000109"), masked("wx12"), masked("")
    ('190*****09', '****', '')
    """
    return "*" * len(text) if len(text) < 8 else f"{text[:3]}{'*' * (len(text) - 5)}{text[-2:]}"


def main(arguments: Sequence[str]) -> int:
    """The exit code: 1 when something must be mended first."""
    parser = argparse.ArgumentParser(prog="python -m payments doctor")
    add_env_file(parser)
    parser.add_argument("--language", choices=("en", "zh", "both"), default="both", help="of the checklist")
    parser.add_argument("--variables", action="store_true", help="print every variable instead, to be filled in")
    told = parser.parse_args(arguments)
    if told.variables:
        print(variables(), end="")
        return 0
    findings = asyncio.run(examine(told.env_file))
    for finding in findings:
        texts = [getattr(finding, each) for each in ("zh", "en") if told.language in (each, "both")]
        if finding.en in finding.zh:
            # What has one language alone is not said twice.
            texts = texts[:1]
        print(f"{_SIGNS[finding.level]} {finding.check:<14} {' · '.join(texts)}")
    return 1 if any(finding.level == "fail" for finding in findings) else 0


async def examine(env_file: Path | None) -> list[Finding]:
    """Every check; one that breaks is a finding and keeps no other from running."""
    try:
        settings = read_settings(env_file=env_file)
    except SettingsError as error:
        return [Finding(check="settings", level="fail", en=fault, zh=f"设置有误：{fault}") for fault in error.faults]
    findings = [
        Finding(
            check="settings",
            level="ok",
            en=f"environment {settings.environment}, debugging {'on' if settings.log_level == 'debug' else 'off'}",
            zh=f"环境 {settings.environment}，调试{'开' if settings.log_level == 'debug' else '关'}",
        )
    ]
    for check, look in _CHECKS.items():
        try:
            findings += look(settings)
        except Exception as error:
            findings.append(_failed(check, error))
    try:
        findings += await _database(settings)
    except Exception as error:
        findings.append(_failed("database", error))
    return findings


def _failed(check: str, error: Exception) -> Finding:
    # A database's error may carry its address; its first words are enough to know what to look at.
    reason = str(error) if isinstance(error, ValueError) else type(error).__name__
    return Finding(check=check, level="fail", en=f"cannot be checked: {reason}", zh=f"无法检查：{reason}")


def _channels(settings: Settings) -> Iterator[Finding]:
    for each in settings.channels:
        if each.config is None:
            yield Finding(
                check=each.code, level="ok", en="demonstration, no real money moves", zh="演示渠道，没有真实资金"
            )
            continue
        ids = ", ".join(f"{name} {masked(text)}" for name, text in _shown(each))
        algorithm = _field(each, "algorithm")
        gateway = _field(each, "gateway_url") or _field(each, "base_url")
        limit_fen = _field(each, "limit_fen")
        limit = "–" if limit_fen is None else f"{limit_fen / 100:.2f}"
        yield Finding(
            check=each.code,
            level="ok",
            en=f"{settings.environment}, {ids}, {algorithm}, {gateway}, limit {limit} yuan",
            zh=f"{settings.environment}，{ids}，算法 {algorithm}，网关 {gateway}，单笔限额 {limit} 元",
        )
        if _field(each, "parts_paid_by") == "nobody":
            variable = variable_of(each.code, "parts_paid_by")
            yield Finding(
                check=each.code,
                level="warn",
                en=f"is not offered: nobody pays the parts of an order; {variable} names who does by your contract",
                zh=f"不会提供给用户：没有约定由谁支付各方分成，请按合同设置 {variable}",
            )
        elif shape := _legal_shape(each):
            yield Finding(check=each.code, level="ok", en=f"runners' pay {shape}", zh=f"骑手收款方式 {shape}")


def _payout(settings: Settings) -> Iterator[Finding]:
    en, zh = in_words(settings.terms)
    yield Finding(check="payout", level="ok", en=en, zh=zh)


def _legal_shape(each: ChannelSetting) -> str:
    if legal_shape := _field(each, "legal_shape"):
        return str(legal_shape)
    paid_by = _field(each, "parts_paid_by")
    return "" if paid_by is None else f"by {paid_by}"


def _field(each: ChannelSetting, name: str) -> Any:
    merchant = getattr(each.config, "merchant", None)
    own = getattr(each.config, name, None)
    return getattr(merchant, name, None) if own is None and isinstance(merchant, msgspec.Struct) else own


def _shown(each: ChannelSetting) -> list[tuple[str, str]]:
    found = [(name, _field(each, name)) for name in _IDS]
    return [(name, text) for name, text in found if isinstance(text, str) and text]


def _certificates(settings: Settings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    for each in certificates_of(settings.channels, now):
        days = (each.expires_at - now).days
        yield Finding(
            check="certificate",
            level="warn" if days < EXPIRES_SOON_DAYS else "ok",
            en=f"{each.name}: {days} days left",
            zh=f"{each.name} 证书还有 {days} 天到期",
        )


def _secrets(settings: Settings) -> Iterator[Finding]:
    for name in ("internal_keys", "vault_keys", "lookup_key"):
        keys = settings.keys(name)
        is_spare = len(keys) > 1
        yield Finding(
            check=name,
            level="warn" if is_spare and name != "lookup_key" else "ok",
            en=f"{len(keys)} key(s), mode 0600" + (": rotation is under way" if is_spare else ""),
            zh=f"{len(keys)} 个密钥，权限 0600" + ("：轮换进行中" if is_spare else ""),
        )
    if not settings.database_url.startswith("postgresql"):
        path = settings.data_dir
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding(
                check="data folder",
                level="fail",
                en=f"is open to other users: chmod 700 {path}",
                zh=f"其他用户可以读取：chmod 700 {path}",
            )


def _guards(settings: Settings) -> Iterator[Finding]:
    guards = guards_of(settings)
    rules = guards.rules
    yield Finding(
        check="risk",
        level="ok",
        en=f"{len(rules.default)} rules, {len(rules.of_campus)} campus(es) with their own",
        zh=f"{len(rules.default)} 条规则，{len(rules.of_campus)} 个校区有自己的规则",
    )
    if guards.face is None:
        yield Finding(
            check="risk",
            level="warn",
            en="no face service: whom risk asks for a face waits for a review",
            zh="没有人脸核验服务：被要求验证的支付只能等人工审核",
        )
    if not settings.code_url:
        yield Finding(
            check="codes",
            level="warn",
            en="PAYMENTS_CODE_URL is not set: in a process of its own nobody is sent one-time codes",
            zh="未设置 PAYMENTS_CODE_URL：独立进程无法发送验证码",
        )
    if settings.webhook() is None:
        yield Finding(
            check="alarms",
            level="warn",
            en="no webhook: alarms reach the console alone",
            zh="没有 webhook：告警只在控制台",
        )


async def _database(settings: Settings) -> list[Finding]:
    url = settings.effective_database_url
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        return [Finding(check="database", level="ok", en="is made at the first start", zh="首次启动时创建")]
    store = Store(url)
    try:
        version = await store.database.read(_version)
        counts = await store.read(lambda uow: uow.vault.count_by_key()) if version == len(MIGRATIONS) else {}
    finally:
        store.close()
    findings = [
        Finding(
            check="database",
            level="ok" if version == len(MIGRATIONS) else "warn",
            en=f"schema {SCHEMA}, version {version} of {len(MIGRATIONS)}",
            zh=f"模式 {SCHEMA}，版本 {version}/{len(MIGRATIONS)}",
        )
    ]
    current = vault_of(settings).current
    if old := {key_id: count for key_id, count in counts.items() if key_id != current}:
        findings.append(
            Finding(
                check="vault",
                level="warn",
                en=f"{sum(old.values())} secrets need an older key: python -m payments vault rotate",
                zh=f"{sum(old.values())} 条数据仍使用旧密钥：python -m payments vault rotate",
            )
        )
    return findings


def _version(connection: Any) -> int:
    rows = connection.exec_driver_sql("SELECT MAX(version) FROM schema_version").all()
    return int(rows[0][0] or 0)


def _user(settings: Settings) -> Iterator[Finding]:
    if os.geteuid() == 0:
        yield Finding(
            check="user",
            level="warn",
            en="runs as root: give payments a user of their own",
            zh="以 root 运行：请为支付建立单独的系统用户",
        )


_CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "channels": _channels,
    "payout": _payout,
    "certificates": _certificates,
    "secrets": _secrets,
    "guards": _guards,
    "user": _user,
}
