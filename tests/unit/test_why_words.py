"""Every reason and every term of the cost has words in both languages of the pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dispatch.assign.cost import TERMS
from dispatch.assign.presets import PRESETS
from dispatch.assign.state import Exclusion, Waiting

STRINGS = Path(__file__).resolve().parents[2] / "dispatch/web/static/js/strings"
LANGUAGES = ("en", "zh-CN")
ENTRY = re.compile(r'^  "([\w.-]+)": ("(?:[^"\\]|\\.)*"),$', re.MULTILINE)


def _texts(language: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted((STRINGS / language).glob("*.js")):
        found |= {key: json.loads(text) for key, text in ENTRY.findall(path.read_text())}
    return found


def _needed() -> list[str]:
    rules = ("dearer", "cheaper_now", "chosen", "not_recorded", "not_planned", "not_there", "not_in_tick")
    return [
        *(f"excluded.{one}" for one in Exclusion),
        *(f"waiting.{one}" for one in Waiting),
        *(f"why.term.{name}" for name in TERMS),
        *(f"why.hint.{name}" for name in TERMS),
        *(f"why.{column}" for column in ("runner", "cost", "way", "done_at")),
        *(f"plan.preset.{name}" for name in PRESETS),
        *(f"why_not.{rule}" for rule in rules),
        *(f"why.mode.{mode}" for mode in ("optimizer", "greedy", "grab", "forced", "preview")),
        *(f"dispatch.state.{state}" for state in ("waiting", "planned", "offered", "escalated", "failed")),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_words_for_everything_that_is_decided(language: str) -> None:
    texts = _texts(language)
    assert [key for key in _needed() if not texts.get(key, "").strip()] == []


def test_every_state_of_an_order_is_written_in_the_same_form() -> None:
    english = _texts("en")
    roots = ("status", "dispatch.state")
    pills = {key: text for key, text in english.items() if key.rpartition(".")[0] in roots}
    pills |= {key: english[key] for key in ("task.waiting", "task.offered")}
    assert len(pills) > 10 and [key for key, text in pills.items() if not text[0].isupper()] == []


def test_no_words_are_left_for_what_there_is_not() -> None:
    """A rule that went takes its words with it."""
    known = {"excluded": set(Exclusion), "waiting": set(Waiting), "why.term": set(TERMS), "why.hint": set(TERMS)}
    for language in LANGUAGES:
        for key in _texts(language):
            root, _, name = key.rpartition(".")
            assert root not in known or name in known[root], f"{language}: {key}"


def test_both_languages_fill_in_the_same_names() -> None:
    english, chinese = (_texts(language) for language in LANGUAGES)
    for key in _needed():
        assert set(re.findall(r"\{(\w+)\}", english[key])) == set(re.findall(r"\{(\w+)\}", chinese[key])), key


def test_the_page_shows_the_terms_in_the_order_of_the_cost() -> None:
    page = (STRINGS.parent / "console/why.js").read_text()
    listed = page[page.index("TERMS = [") : page.index("];", page.index("TERMS = ["))]
    assert re.findall(r'"(\w+)"', listed) == list(TERMS)
