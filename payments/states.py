"""The five states of a payment as the outside sees them: the one table that code decides by and documents print."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from payments.port import IntentState


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the outward state depends on, of an intent or of a whole split group."""

    is_paid: bool = False
    is_suspicious: bool = False
    is_over: bool = False
    is_busy: bool = False


class Outward(msgspec.Struct, frozen=True, kw_only=True):
    """One state: its names, what it means, what makes it true, and what may come after it."""

    code: IntentState
    name_zh: str
    name_en: str
    meaning_zh: str
    meaning_en: str
    holds: Callable[[Facts], bool]
    may_become: tuple[IntentState, ...]


#: The first row whose fact holds is the state.
TABLE: tuple[Outward, ...] = (
    Outward(
        code="success",
        name_zh="成功",
        name_en="success",
        meaning_zh="款项已由机构全额冻结；终态，退款是另外的记录",
        meaning_en="the whole amount is held by the institution; final, refunds are records of their own",
        holds=lambda facts: facts.is_paid,
        may_become=(),
    ),
    Outward(
        code="suspicious",
        name_zh="可疑",
        name_en="suspicious",
        meaning_zh="24 小时内没有证明，或证明与账目矛盾；机器不再尝试，由人与账单决定",
        meaning_en="no proof within 24 h, or proof that contradicts the books; people and the bill decide",
        holds=lambda facts: facts.is_suspicious,
        may_become=("success", "failed", "pending", "processing"),
    ),
    Outward(
        code="failed",
        name_zh="失败",
        name_en="failed",
        meaning_zh="每次尝试都已证明失效，没有人付款；有效期内可重新选择渠道",
        meaning_en="every attempt is proved dead and nobody paid; within its time another channel may be chosen",
        holds=lambda facts: facts.is_over,
        may_become=("pending", "processing", "suspicious", "success"),
    ),
    Outward(
        code="processing",
        name_zh="处理中",
        name_en="processing",
        meaning_zh="正在创建或关闭，或结果未知，或拆分单只付了一部分",
        meaning_en="being created or closed, without an answer, or a split order paid in part",
        holds=lambda facts: facts.is_busy,
        may_become=("pending", "success", "failed", "suspicious"),
    ),
    Outward(
        code="pending",
        name_zh="待支付",
        name_en="to pay",
        meaning_zh="没有进行中的尝试，或凭证已发出、尚未付款",
        meaning_en="no attempt is alive, or a credential is out and not paid",
        holds=lambda _: True,
        may_become=("processing", "success", "failed", "suspicious"),
    ),
)


def outward_state(facts: Facts) -> IntentState:
    """The state that these facts make.

    >>> outward_state(Facts(is_paid=True, is_suspicious=True)), outward_state(Facts())
    ('success', 'pending')
    """
    return next(row.code for row in TABLE if row.holds(facts))


def may_follow(before: IntentState, after: IntentState) -> bool:
    """Whether a payment that was seen in one state may next be seen in the other."""
    return after == before or after in next(row.may_become for row in TABLE if row.code == before)


def as_markdown() -> str:
    """The table as documents show it."""
    lines = ["| state | 状态 | meaning | 含义 | may become |", "|---|---|---|---|---|"]
    lines += [
        f"| `{row.code}` | {row.name_zh} | {row.meaning_en} | {row.meaning_zh} | {', '.join(row.may_become) or '–'} |"
        for row in reversed(TABLE)
    ]
    return "\n".join(lines)
