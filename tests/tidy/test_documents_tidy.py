"""The documents: links lead somewhere; both languages of the README tell the same, in the words of the pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


def test_the_chinese_readme_shows_the_chinese_pages() -> None:
    shown = re.findall(r"docs/images/([\w.-]+)\.png", CHINESE)
    assert [name for name in shown if (ROOT / f"docs/images/{name}.zh-CN.png").exists()] == []


def test_both_readmes_tell_the_same_commands() -> None:
    assert _commands((ROOT / "README.md").read_text(encoding="utf-8")) == _commands(CHINESE)


def test_a_runner_is_called_as_on_the_pages() -> None:
    page = (ROOT / "dispatch/web/static/js/strings/zh-CN/runner.js").read_text(encoding="utf-8")
    told = CHINESE + "".join((ROOT / "dispatch" / name).read_text("utf-8") for name in ("demo.py", "administration.py"))
    assert "骑手" in page and "骑手" in told and "跑腿员" not in told


def _commands(text: str) -> list[str]:
    lines = [line for block in re.findall(r"```\n(.*?)```", text, re.S) for line in block.splitlines()]
    # What a campus or a person is called differs.
    return [re.sub(r'"[^"]*"', '""', line.split("  #")[0].rstrip()) for line in lines]
