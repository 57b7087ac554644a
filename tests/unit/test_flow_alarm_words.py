"""Alarms in words: every kind, with every parameter, in both languages."""

from __future__ import annotations

import re
from string import Formatter
from typing import get_args

import pytest

from dispatch.flow.alarm_words import WORDS, alarm_words
from payments.upkeep.alarms import AlarmKind
from tests.money_alarms import PARAMETERS


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
