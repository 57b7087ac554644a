"""Payments put together from their settings: channels, vault, risk, alarms; for a process of their own or another's."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from payments.books.booking import NewId
from payments.channel_settings import ChannelSetting
from payments.channels.base import Channel
from payments.channels.sandbox import SandboxChannel, shape
from payments.channels.sandbox_bank import SandboxBank
from payments.embedded import EmbeddedPayments
from payments.guards.guarded import Guards, salt_key_of
from payments.guards.risk import RuleBook
from payments.guards.risk_desk import DemoFace, Verifier
from payments.guards.second_factor import SendCode
from payments.guards.second_factor_act import NO_CODES
from payments.guards.vault import Vault
from payments.settings import Settings
from payments.timeline import ExchangeBuffer
from payments.ulid import new_id as ulid
from payments.upkeep.alarms import Certificate
from payments.upkeep.service_hours import always
from payments.upkeep.upkeep import UpkeepConfig

#: What an account may have entrusted for being paid.
ACCOUNT_KINDS = ("openid", "payout_openid", "mchid", "name", "alipay_user_id")

_CHANNELS: Mapping[str, tuple[str, str]] = {
    "wechat": ("payments.channels.wechat", "WechatChannel"),
    "edupay": ("payments.channels.edupay", "EduPayChannel"),
    "alipay": ("payments.channels.alipay", "AlipayChannel"),
    "unionpay": ("payments.channels.unionpay", "UnionpayChannel"),
    "campus_card": ("payments.channels.campus_card", "CampusCardChannel"),
}


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


class AssembledPayments(EmbeddedPayments):
    """The embedded body with whatever channels its settings name; the sandbox bank comes with its channels."""

    bank: SandboxBank | None = None

    async def migrate(self) -> int:
        if self.bank is not None:
            await self.bank.migrate()
        return await super().migrate()

    async def stop(self) -> None:
        await super().stop()
        if self.bank is not None:
            self.bank.close()

    async def first_written(self, number: str) -> datetime | None:
        """When an attempt or an instruction was first written down."""
        attempt = await self._store.read(lambda uow: uow.attempts.get(number))
        if attempt is not None:
            return attempt.created_at
        instruction = await self._store.read(lambda uow: uow.instructions.get(number))
        return None if instruction is None else instruction.created_at

    async def find_account(self, account_ref: str) -> Mapping[str, str]:
        """Where a receiver is paid, as entrusted to the vault; an openid of its own for that comes first."""
        known = dict(await self.reveal(account_ref, ACCOUNT_KINDS))
        if "payout_openid" in known:
            known["openid"] = known.pop("payout_openid")
        return known


def vault_of(settings: Settings) -> Vault:
    """The vault with all keys of its files. ValueError."""
    keys = settings.keys("vault_keys")
    lookup_key = next(iter(settings.keys("lookup_key").values()))
    return Vault(keys, list(keys)[-1], lookup_key)


def guards_of(
    settings: Settings,
    send_code: SendCode | None = None,
    face: Verifier | None = None,
    *,
    rules: RuleBook | None = None,
    pace: float = 1.0,
) -> Guards:
    """The guards. Without a face service of yours there is the demonstration, where no real money moves. ``rules``:
    those of a host whose settings name none; ``pace``: see Guards."""
    if face is None and not settings.is_live:
        face = DemoFace(settings.environment)
    lookup_key = next(iter(settings.keys("lookup_key").values()))
    return Guards(
        vault=vault_of(settings),
        salt_key=salt_key_of(lookup_key),
        rules=rules if rules is not None and settings.risk_rules_file is None else settings.rules(),
        pace=pace,
        # Without a way to send codes nobody could do anything that needs one; live refuses it all the same.
        thresholds=settings.thresholds if settings.is_live or send_code is not None else NO_CODES,
        face=face,
        send_code=send_code,
    )


def assemble(
    settings: Settings,
    now: Callable[[], datetime] = utc_now,
    new_id: NewId = ulid,
    real_s: Callable[[float], float] = float,
    *,
    send_code: SendCode | None = None,
    face: Verifier | None = None,
    rules: RuleBook | None = None,
) -> AssembledPayments:
    """Everything joined, nothing started; ``rules`` as in guards_of. BadSetting, ValueError."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    exchanges = ExchangeBuffer(now)
    body: list[AssembledPayments] = []

    async def find_account(account_ref: str) -> Mapping[str, str]:
        return await body[0].find_account(account_ref)

    async def first_written(number: str) -> datetime | None:
        return await body[0].first_written(number)

    bank = _bank_of(settings, now)
    channels = [_channel(each, bank, settings, exchanges, find_account, first_written) for each in settings.channels]
    payments = AssembledPayments(
        settings.effective_database_url,
        now,
        new_id,
        channels,
        real_s,
        exchanges=exchanges,
        terms=settings.terms,
        upkeep=UpkeepConfig(
            hours=always(settings.hours()),
            certificates=tuple(certificates_of(settings.channels)),
            webhook=settings.webhook(),
        ),
    )
    body.append(payments)
    if bank is not None:
        payments.bank = bank
        bank.notify = payments.callback
    payments.guard(guards_of(settings, send_code, face, rules=rules, pace=1.0 / real_s(1.0)))
    return payments


def _bank_of(settings: Settings, now: Callable[[], datetime]) -> SandboxBank | None:
    if all(each.kind != "sandbox" for each in settings.channels):
        return None
    return SandboxBank(settings.effective_bank_url, now, next(iter(settings.keys("sandbox_key").values())))


def _channel(
    setting: ChannelSetting,
    bank: SandboxBank | None,
    settings: Settings,
    exchanges: ExchangeBuffer,
    find_account: Callable[[str], Awaitable[Mapping[str, str]]],
    first_written: Callable[[str], Awaitable[datetime | None]],
) -> Channel:
    if setting.kind == "sandbox":
        assert bank is not None, "it was made for them"
        secret = next(iter(settings.keys("sandbox_key").values()))
        if setting.code == "sandbox":
            return SandboxChannel(bank, secret, shape("sandbox"))
        return SandboxChannel(
            bank, secret, shape(setting.code, name_zh="演示支付（备用）", name_en="Demo payment (backup)")
        )
    module, name = _CHANNELS[setting.kind]
    channel: Any = getattr(importlib.import_module(module), name)
    if setting.kind == "unionpay":
        made = channel(setting.config, first_written, observe=exchanges.observe)
    elif setting.kind == "campus_card":
        made = channel(setting.config, observe=exchanges.observe)
    else:
        made = channel(setting.config, observe=exchanges.observe, find_account=find_account)
    return made  # type: ignore[no-any-return]


def certificates_of(channels: Sequence[ChannelSetting], now: datetime | None = None) -> list[Certificate]:
    """The certificates that channels sign with, and when they end. BadSetting, when one has."""
    at = now or utc_now()
    found = []
    for each in channels:
        if each.kind in ("wechat", "edupay"):
            from payments.channels.wechat_config import read_keys

            left = read_keys(each.config if each.kind == "wechat" else each.config.merchant, at).days_left
            if left is not None:
                found.append(Certificate(name=each.code, expires_at=at + timedelta(days=left)))
        elif each.kind == "alipay":
            earliest = each.config.keys(at).ends_at
            if earliest is not None:
                found.append(Certificate(name=each.code, expires_at=earliest))
        elif each.kind == "unionpay":
            ends_at = each.config.signing_key(at).certificate.not_valid_after_utc
            found.append(Certificate(name=each.code, expires_at=ends_at))
    return found
