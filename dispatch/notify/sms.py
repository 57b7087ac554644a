"""Sending an SMS: the form every sender has, and the one that only prints (for a demonstration)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Protocol

from ..model.errors import Unavailable

#: What a message says is the provider's template; we name templates by what they are for.
SIGN_IN_CODE = "sign_in_code"
MONEY_CODE = "money_code"


class SmsSender(Protocol):
    """Somebody who delivers short messages."""

    async def send(self, phone: str, template: str, params: Mapping[str, str]) -> None:
        """Hands one message over. Raises ``TooMany`` where the provider limits us, else ``Unavailable``; then it is not
        known whether the message arrived."""
        ...

    async def close(self) -> None:
        """Lets go of its connections."""
        ...


class PrintingSender:
    """Prints messages instead of sending them: for a demonstration only, as it shows the codes. They do not go through
    the log, which hides codes and phones by principle."""

    def __init__(self, write: Callable[[str], object] = sys.stderr.write) -> None:
        self._write = write

    async def send(self, phone: str, template: str, params: Mapping[str, str]) -> None:
        said = " ".join(f"{name}={value}" for name, value in params.items())
        self._write(f"SMS to {phone} (not sent, this is a demonstration): {template} {said}\n")

    async def close(self) -> None:
        return None


class NoSender:
    """No provider is set up: nobody can sign in by SMS, and everybody is told so."""

    async def send(self, phone: str, template: str, params: Mapping[str, str]) -> None:
        raise Unavailable("this server has no SMS provider; sign in by password")

    async def close(self) -> None:
        return None
