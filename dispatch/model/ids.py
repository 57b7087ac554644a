"""Ids: a prefix that names the thing plus a ULID, so that ids sort by creation time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

#: Prefix of every kind of thing that has an id.
ACCOUNT, CAMPUS, ORDER, TASK, STOP, OFFER = "acc", "cmp", "ord", "tsk", "stp", "ofr"
EVENT, COMMAND, INTENT, JOB, DECISION, SESSION = "evt", "cmd", "int", "job", "dec", "ses"
PHOTO, QUOTE, AUDIT, PLACE, LINK, ALERT = "pho", "quo", "aud", "plc", "lnk", "alr"
GEOFENCE, STAY, TICK, PREVIEW = "fen", "sty", "tic", "pre"
CREDIT, APPEAL, COUPON, WITHDRAWAL = "crd", "apl", "cou", "wdr"

#: Hands out new ids: ``new_id("ord") -> "ord_01J…"``.
NewId = Callable[[str], str]


def ulid(now: datetime, luck: bytes) -> str:
    """The 26-character ULID of ``now`` (millisecond precision) and 10 bytes of ``luck``."""
    assert len(luck) == 10, "a ULID takes 80 bits of randomness"
    value = (int(now.timestamp() * 1000) << 80) | int.from_bytes(luck, "big")
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def make_id(prefix: str, now: datetime, luck: bytes) -> str:
    """``prefix_ULID``; the prefix is one of this module's constants."""
    return f"{prefix}_{ulid(now, luck)}"


def is_id(prefix: str, text: str) -> bool:
    """Whether ``text`` has the form of an id of that prefix."""
    head, _, tail = text.partition("_")
    return head == prefix and len(tail) == 26 and all(c in _CROCKFORD for c in tail)


def derived_id(prefix: str, source_id: str) -> str:
    """The one id of kind ``prefix`` that belongs to ``source_id``: asking twice names the same thing."""
    return f"{prefix}_{source_id.partition('_')[2]}"


def made_at_ms(text: str) -> int | None:
    """When an id was made, in Unix milliseconds; None for what is no id."""
    tail = text.partition("_")[2]
    if len(tail) != 26 or any(c not in _CROCKFORD for c in tail):
        return None
    value = 0
    for letter in tail[:10]:
        value = value * 32 + _CROCKFORD.index(letter)
    return value


def hashed_id(prefix: str, *parts: str) -> str:
    """The one id of kind ``prefix`` that these texts stand for together; it tells nothing of when it was made."""
    value = int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:16], "big")
    return f"{prefix}_" + "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))
