"""Alarms in words: every kind, with every parameter, in both languages."""

from __future__ import annotations

import re
from string import Formatter
from typing import get_args

import pytest

from dispatch.flow.alarm_words import WORDS, alarm_words
from payments.upkeep.alarms import AlarmKind

#: What payments tells with each kind.
WAITING: dict[str, str | int] = {"count": 3, "oldest": "ord_7", "hours": 30}
PARAMETERS: dict[str, dict[str, str | int]] = {
    "quiet": {"minutes": 15, "asked": 2, "paid_last_week": 4},
    "suspicious_payments": {**WAITING},
    "callbacks_missing": {"channel": "wechat", "ghosts": 5, "payments": 6, "advice": "notify_url"},
    "callbacks_refused": {"channel": "wechat", "refused": 7, "advice": "clock"},
    "breaker_open": {"channel": "wechat", "operation": "create", "minutes": 6},
    "reconciliation_differs": {"channel": "wechat", "items": 2},
    "bill_missing": {**WAITING, "channel": "wechat"},
    "certificate_expires": {"name": "wechat", "days": 14, "is_over": 0},
    "hold_expires": {**WAITING},
    "refund_overdue": {**WAITING},
}


@pytest.mark.parametrize("kind", get_args(AlarmKind))
def test_every_kind_is_said_with_its_figures_and_an_advice(kind: str) -> None:
    said = alarm_words(kind, PARAMETERS[kind], {"wechat": ("微信支付", "WeChat Pay")})
    assert "?" not in said.text_en and "{" not in "".join(said) and all(said)
    assert re.search("[一-鿿]", said.text_zh) and not re.search("[一-鿿]", said.text_en)
    named = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in WORDS[kind][:2]]
    assert named[0] == named[1] <= set(PARAMETERS[kind])
    if "channel" in PARAMETERS[kind]:
        assert "微信支付" in said.text_zh and "WeChat Pay" in said.text_en


def test_what_is_unknown_or_untold_is_still_shown() -> None:
    assert alarm_words("new_kind", {"n": 3}, {}).text_en == "Money alarm new_kind n=3"
    assert "?" in alarm_words("quiet", {}, {}).text_en
    assert alarm_words("callbacks_refused", {"channel": "gone", "refused": 6}, {}).text_en.startswith("gone: ")
    assert "expired" in alarm_words("certificate_expires", {"name": "a", "days": 0, "is_over": 1}, {}).text_en
