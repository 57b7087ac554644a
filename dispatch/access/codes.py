"""One-time codes: six digits for an SMS, a long one for a link."""

from __future__ import annotations

import secrets
from datetime import timedelta

#: How long each is good, in real time.
SMS_CODE_TTL = timedelta(minutes=5)
LINK_CODE_TTL = timedelta(minutes=30)


def new_sms_code() -> str:
    """Six digits."""
    return f"{secrets.randbelow(1_000_000):06d}"


def new_link_code() -> str:
    """A code that nobody guesses, to stand in a URL's fragment."""
    return secrets.token_urlsafe(24)
