"""What happened to a payment, row by row: kinds, codes in both languages, and the buffer for calls to providers.

Rows are only ever added, each in the transaction that made it true, and never hold a secret: no credential, no body, no
header, no account.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from payments.channels.exchange import Exchange

#: attempt: one came into being or moved · decision: what payments made of it · request, reply: a step of the driver and
#: its answer · exchange: one HTTP request on one host · instruction: money told to move · callback: a provider called.
RowKind = Literal["attempt", "decision", "request", "reply", "exchange", "instruction", "callback"]

#: Kinds that repeat as long as somebody asks: these are what a bound is for.
REPEATING: frozenset[RowKind] = frozenset({"request", "reply", "exchange", "callback"})
#: Rows of repeating kinds that one attempt or instruction may have; one more says that others were left out.
MOST_REPEATING = 200
#: Rows of one answer of the port.
MOST_SHOWN = 1000
LEFT_OUT = "left_out"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. ``subject`` is the attempt's or the instruction's number, or "" for the intent itself;
    ``code`` says what; ``facts`` are its figures and reasons."""

    at: datetime
    intent_id: str
    subject: str
    kind: RowKind
    code: str
    channel: str = ""
    facts: dict[str, Any] = {}


#: kind → (中文, English), and code → (中文, English). A code without words is shown as it is.
KINDS: dict[RowKind, tuple[str, str]] = {
    "attempt": ("尝试", "attempt"),
    "decision": ("决定", "decision"),
    "request": ("请求", "request"),
    "reply": ("答复", "reply"),
    "exchange": ("网络交换", "exchange"),
    "instruction": ("资金指令", "instruction"),
    "callback": ("回调", "callback"),
}
CODES: dict[str, tuple[str, str]] = {
    "creating": ("已登记，正在创建", "recorded, being created"),
    "issued": ("凭证已发出", "credential issued"),
    "closing": ("正在关闭", "being closed"),
    "unknown": ("结果未知", "outcome unknown"),
    "abandoned": ("未交付即放弃", "dropped before delivery"),
    "declined": ("渠道拒绝", "declined by the channel"),
    "refused": ("渠道判定不可支付", "refused by a rule of the channel"),
    "closed": ("已证明关闭", "proved closed"),
    "paid": ("已付款", "paid"),
    "paid_duplicate": ("重复付款", "paid a second time"),
    "refunded": ("重复款已退回", "second payment given back"),
    "create": ("创建凭证", "create a credential"),
    "debit": ("直接扣款", "debit directly"),
    "query": ("查询", "ask how it stands"),
    "close": ("请求关闭", "ask to close"),
    "split": ("分账", "split"),
    "release": ("退还冻结款", "give the hold back"),
    "refund": ("退款", "refund"),
    "refund_duplicate": ("退回重复款", "give the second payment back"),
    "paid_notice": ("付款通知", "notice of payment"),
    "money_notice": ("资金通知", "notice about money"),
    "other_notice": ("其他通知", "another notice"),
    "repeated_notice": ("重复的通知", "notice sent again"),
    "alarm": ("需要人工查看", "a person must look"),
    "IntentReady": ("可以付款", "ready to be paid"),
    "IntentFailed": ("付款失败", "payment failed"),
    "Paid": ("款项已冻结", "money is held"),
    "Settled": ("已结算", "settled"),
    "Released": ("已退还", "given back"),
    "Refunded": ("已退款", "refunded"),
    "PayoutFailed": ("分账失败，将重试", "a payout failed, tried again"),
    "ReleaseFailed": ("退还失败，将重试", "giving back failed, tried again"),
    "Suspicious": ("可疑", "suspicious"),
    "part_paid": ("一部分已付", "one part is paid"),
    "part_failed": ("一部分无法支付", "one part cannot be paid"),
    "part_back": ("一部分已退回", "one part is back"),
    "group_timer": ("拆分单逾期，退回已付部分", "a part was not paid in time: the paid ones go back"),
    LEFT_OUT: ("后续重复记录已省略", "later repetitions are left out"),
}


def words(kind: RowKind, code: str) -> tuple[str, str]:
    """The row's title in Chinese and in English."""
    kind_zh, kind_en = KINDS[kind]
    code_zh, code_en = CODES.get(code, (code, code))
    return f"{kind_zh}：{code_zh}", f"{kind_en}: {code_en}"


class ExchangeBuffer:
    """Takes what channels tell of their calls without ever waiting; somebody else writes it down in batches. Each is
    stamped by the clock of all other rows as it is heard of; how long it took stays in real milliseconds."""

    #: When the writer cannot keep up, the oldest go: the driver's own rows of the same calls are kept in any case.
    MOST = 4096

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._waiting: deque[Exchange] = deque(maxlen=self.MOST)
        self.left_out = 0

    def observe(self, exchange: Exchange) -> None:
        """What a channel is given to tell of each call."""
        self.left_out += len(self._waiting) == self.MOST
        at_ms = int(self._now().timestamp() * 1000.0)
        self._waiting.append(msgspec.structs.replace(exchange, at_ms=at_ms))

    def take(self, limit: int = 256) -> list[Exchange]:
        """The oldest that nobody has taken yet."""
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def __len__(self) -> int:
        return len(self._waiting)


def row_of_exchange(exchange: Exchange, intent_id: str) -> Row:
    """One call as a row; an attempt's or an instruction's number is its subject."""
    return Row(
        at=datetime.fromtimestamp(exchange.at_ms / 1000.0, UTC),
        intent_id=intent_id,
        subject=exchange.subject,
        kind="exchange",
        code=exchange.operation,
        channel=exchange.channel,
        facts={
            "method": exchange.method,
            "host": exchange.host,
            "path": exchange.path,
            "status": exchange.status,
            "ms": exchange.ms,
            "outcome": exchange.outcome,
            "request_id": exchange.request_id,
        },
    )
