"""Finding a place by what people type: Chinese or English, whole or in part, digits in either script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from .campus_parts import Place

# One character for another, so that "三号楼" and "3号楼" meet.
_DIGITS = str.maketrans("零〇一二两三四五六七八九", "001223456789")
_TENS = re.compile("([1-9]?)十([0-9]?)")
_GAPS = re.compile(r"[\s\-_,.;:/'\"()\[\]·、，。；：（）]+")
_LONGEST_QUERY = 100


def _norm(text: str) -> str:
    """Full-width, case, marks of spacing and the script of digits make no difference."""
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_DIGITS)
    plain = _TENS.sub(lambda ten: (ten[1] or "1") + (ten[2] or "0"), plain)
    return _GAPS.sub(" ", plain).strip()


def _is_subsequence(part: str, whole: str) -> bool:
    letters = iter(whole)
    return all(letter in letters for letter in part)


def _rank(query: str, tokens: list[str], name: str) -> int | None:
    """Lower fits better; None: does not fit."""
    if name == query:
        return 0
    if name.startswith(query):
        return 1
    if f" {query}" in name:
        return 2
    if query in name or query.replace(" ", "") in name.replace(" ", ""):
        return 3
    if len(tokens) > 1 and all(token in name for token in tokens):
        return 4
    # "图馆" for 图书馆, "2食" for 第二食堂: a short form keeps the order of its characters. Not in Latin script,
    # where single letters mean nothing.
    if len(query) >= 2 and not query.isascii() and _is_subsequence(query.replace(" ", ""), name):
        return 5
    return None


class PlaceSearch:
    """The names of some places, made ready once."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._rows = [
            (place, [name for name in map(_norm, (place.name, place.name_en, *place.aliases)) if name])
            for place in places
        ]

    def find(self, text: str, limit: int) -> list[Place]:
        """At most ``limit`` places, best first; nothing for nothing."""
        query = _norm(text[:_LONGEST_QUERY])
        if not query or limit < 1:
            return []
        tokens = query.split(" ")
        ranked: list[tuple[bool, int, int, str, str, Place]] = []
        for place, names in self._rows:
            ranks = [(rank, len(name)) for name in names if (rank := _rank(query, tokens, name)) is not None]
            if ranks:
                rank, length = min(ranks)
                # A street's houses would bury the library.
                ranked.append((place.kind == "address", rank, length, place.name, place.id, place))
        return [row[-1] for row in sorted(ranked, key=lambda row: row[:5])[:limit]]
