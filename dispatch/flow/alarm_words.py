"""An alarm of payments as people read it: what is wrong, and what to do about it, in Chinese and in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Words(NamedTuple):
    """Both texts may name the alarm's parameters."""

    text_zh: str
    text_en: str
    advice_zh: str
    advice_en: str


WORDS: Mapping[str, Words] = {
    "quiet": Words(
        "{minutes} 分钟没有一笔成功付款（期间 {asked} 单等待付款，上周同一时段成功 {paid_last_week} 笔）",
        "No payment has succeeded for {minutes} minutes (orders that waited for one: {asked}; payments in the same "
        "minutes last week: {paid_last_week})",
        "自己下一单试付；查看各支付渠道状态与公告",
        "Try to pay an order yourself; look at the channels' state and notices",
    ),
    "suspicious_payments": Words(
        "{count} 笔付款的结果存疑，最早的一笔已 {hours} 小时（{oldest}）",
        "Payments that cannot be proved either way: {count}, the oldest for {hours} h ({oldest})",
        "打开订单的资金追踪，在渠道商户平台核对该笔交易",
        "Open the order's money trace and look the payment up at the channel's merchant platform",
    ),
    "callbacks_missing": Words(
        "{channel}：最近一小时 {payments} 笔付款中有 {ghosts} 笔没有收到回调",
        "{channel}: {ghosts} of {payments} payments within an hour came without their callback",
        "检查回调地址 notify_url、防火墙和渠道的 IP 白名单；钱已靠查询入账，没有丢失",
        "Check the notify_url, the firewall and the allow-list of the channel's addresses; the money was booked by "
        "asking, none is lost",
    ),
    "callbacks_refused": Words(
        "{channel}：一小时内 {refused} 次回调的签名无法证明",
        "{channel}: callbacks within an hour that could not be proved to be the provider's: {refused}",
        "检查平台公钥或证书是否已更换、服务器时钟是否准确、请求来自何处",
        "Check whether the platform's key was rotated, the server's clock, and who sends them",
    ),
    "breaker_open": Words(
        "{channel} 的“{operation}”连续失败，已绕开 {minutes} 分钟",
        "{channel}: {operation} keeps failing and has been passed over for {minutes} minutes",
        "新订单已改走其他渠道；查看该渠道的公告，恢复后会自动启用",
        "New orders go by the other channels; look at the channel's notices. It comes back by itself",
    ),
    "provider_refuses": Words(
        "{channel}：15 分钟内 {refused} 次拒绝我方请求（{reason}）",
        "{channel}: our requests that it refused to serve within 15 minutes: {refused} ({reason})",
        "签名错误或 401：检查商户密钥、证书序列号、服务器时钟；权限错误：在商户平台查看产品权限；"
        "429：请求过于频繁，联系渠道提高限额",
        "A wrong signature or 401: check the merchant key, the certificate's serial number and the server's clock; a "
        "missing right: look at the merchant platform; 429: too often, ask the provider for a higher limit",
    ),
    "reconciliation_differs": Words(
        "{channel} 对账有 {items} 项差异等待人工处理",
        "{channel}: differences between the bill and the books that wait for a person: {items}",
        "在下方逐项领取，查清后写明原因并关闭",
        "Take the items below one by one, and close each with its reason",
    ),
    "bill_missing": Words(
        "{channel} 的账单未能取得，{count} 天尚未对账，最早的已晚 {hours} 小时（{oldest}）",
        "{channel}: days that are not reconciled because their bill is missing: {count}, the oldest {hours} h late "
        "({oldest})",
        "在商户平台确认账单已生成、账单接口的权限未变",
        "Make sure at the merchant platform that the bill was made and that fetching it is still permitted",
    ),
    "certificate_expires": Words(
        "证书或密钥 {name} 还有 {days} 天到期",
        "The certificate or key {name} expires; days left: {days}",
        "在商户平台申请新证书，替换文件后重启付款进程",
        "Get a new one at the merchant platform, replace the file and restart the payments",
    ),
    "hold_expires": Words(
        "{count} 笔冻结的款项即将超过机构的期限，最早的已冻结 {hours} 小时（{oldest}）",
        "Holds that the institution will soon let go of: {count}, the oldest has stood for {hours} h ({oldest})",
        "尽快完成或取消这些订单，让款项结算或退回",
        "Finish or cancel these orders soon, so that the money is settled or given back",
    ),
    "refund_overdue": Words(
        "{count} 笔退款逾期未到账，最早的已 {hours} 小时（{oldest}）",
        "Refunds that are overdue: {count}, the oldest for {hours} h ({oldest})",
        "打开订单的资金追踪看原因；商户账户余额不足时请充值，退款会自动继续",
        "Open the order's money trace for the reason; top up the merchant account if it is short. Refunds go on by "
        "themselves",
    ),
}  # fmt: skip
#: A certificate that is over is another sentence.
_EXPIRED = ("证书或密钥 {name} 已经过期", "The certificate or key {name} has expired")


def alarm_words(kind: str, parameters: Mapping[str, str | int], channel_names: Mapping[str, tuple[str, str]]) -> Words:
    """The alarm in words; a kind that is not known here is shown by its name. ``channel_names``: Chinese, English."""
    known = WORDS.get(kind)
    if known is None:
        said = " ".join(f"{name}={value}" for name, value in parameters.items())
        return Words(f"资金告警 {kind} {said}".strip(), f"Money alarm {kind} {said}".strip(), "", "")
    text_zh, text_en = _EXPIRED if parameters.get("is_over") else (known.text_zh, known.text_en)
    code = str(parameters.get("channel", ""))
    name_zh, name_en = channel_names.get(code, (code, code))
    return Words(
        text_zh.format_map(_Said(parameters, name_zh)),
        text_en.format_map(_Said(parameters, name_en)),
        known.advice_zh,
        known.advice_en,
    )


class _Said(dict[str, str | int]):
    """Parameters for a text; one that was not told leaves a question mark and no fault."""

    def __init__(self, parameters: Mapping[str, str | int], channel: str) -> None:
        super().__init__({**parameters, **({"channel": channel} if channel else {})})

    def __missing__(self, name: str) -> str:
        return "?"
