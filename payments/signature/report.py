"""The lines that ``verify-signature`` prints: sentences, and the place where two texts part."""

from __future__ import annotations

from typing import Any

from payments.channels.wechat_signing import FRESH_S
from payments.signature import mistakes
from payments.signature.words import LINES, LOOKS, MISTAKES, Language, say

#: Bytes shown from a difference on, and half as many before it.
_SHOWN = 16


class Report:
    """The lines to print."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.lines: list[str] = []

    def add(self, code: str, **values: Any) -> None:
        self.lines.append(say(LINES, code, self.language, **values))

    def mistake(self, code: str) -> str:
        return say(MISTAKES, code, self.language)

    def difference(self, signed: bytes, here: bytes) -> None:
        """Where two texts part, with what stands there."""
        at = first_difference(signed, here)
        line, column = here[:at].count(b"\n") + 1, at - (here.rfind(b"\n", 0, at) + 1) + 1
        self.add("first_difference", byte=at, line=line, column=column)
        self.add("was_signed", bytes=self._window(signed, at))
        self.add("should_be", bytes=self._window(here, at))

    def _window(self, text: bytes, at: int) -> str:
        start = max(0, at - _SHOWN // 2)
        part = text[start : at + _SHOWN]
        marked = f"{text[start:at].hex(' ')} [{text[at : at + 1].hex()}] {text[at + 1 : at + _SHOWN].hex(' ')}".strip()
        shown = part.decode("utf-8", "replace").replace("\n", "\\n").replace("\r", "\\r")
        end = "" if at < len(text) else say(LINES, "ends_here", self.language)
        return f"{marked}  |{shown}|{end}"

    def looks(self, text: bytes) -> None:
        for code in mistakes.suspicious(text):
            self.add("worth_a_look", what=say(LOOKS, code, self.language))

    def about_time(self, timestamp: str, now_s: float) -> None:
        if timestamp.isdecimal() and abs(now_s - int(timestamp)) > FRESH_S:
            self.add("stale", seconds=int(abs(now_s - int(timestamp))))


def first_difference(one: bytes, other: bytes) -> int:
    """Index of the first byte in which they differ; where the shorter ends when it is the beginning of the other.

    >>> first_difference(b"total=1.00", b"total=1.0")
    9
    """
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
