"""docs/PROTOCOL.md names everything that a client can meet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from dispatch.hub.codes import CloseCode
from dispatch.hub.connection import OFF_DUTY
from dispatch.hub.frames import ClientFrame, ServerFrame
from dispatch.model.event import EventKind
from geo.filters import Reason

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.md").read_text()
NAMED = set(re.findall(r"`([a-z_0-9]+)`", TEXT))


def tags(*unions: object) -> Iterable[str]:
    for union in unions:
        for info in msgspec.inspect.type_info(union).types:  # type: ignore[attr-defined]
            yield info.tag


@pytest.mark.parametrize(
    "words",
    [[*map(str, EventKind)], [*map(str, Reason), OFF_DUTY], [*tags(ClientFrame, ServerFrame)]],
    ids=["events", "refusals of fixes", "frames"],
)
def test_every_word_of_the_protocol_is_explained(words: list[str]) -> None:
    assert words and set(words) <= NAMED, sorted(set(words) - NAMED)


def test_every_close_code_is_explained() -> None:
    for code in CloseCode:
        assert str(int(code)) in TEXT, code.name
        if code >= 4000:
            assert f"| {int(code)} | `{code.reason}` |" in TEXT
