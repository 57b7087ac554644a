"""Ids of payments' own things: a prefix and a ULID, which sorts by time and cannot be guessed."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(kind: str) -> str:
    """``kind_`` and 26 letters: 48 bits of milliseconds, 80 of chance."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{kind}_{''.join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))}"
