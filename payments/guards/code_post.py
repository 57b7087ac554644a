"""One-time codes handed to whoever sends messages: posted to one address, signed with the internal key."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
import msgspec

from payments.guards.second_factor_act import Act
from payments.service.internal_signing import Keys, sign_request

POST_S = 5.0


class CodeNotSent(RuntimeError):
    """Nobody took the code over; another one may be asked for."""


class CodeToSend(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the post."""

    act: Act
    code: str

    def __repr__(self) -> str:
        return f"CodeToSend({self.act.kind})"


class CodePost:
    """Posts each code to ``url``, where the signature is checked as payments check theirs."""

    def __init__(self, url: str, keys: Keys, wall_s: Callable[[], float] = time.time) -> None:
        self._url = url
        self._keys = keys
        self._wall_s = wall_s

    async def __call__(self, act: Act, code: str) -> None:
        """CodeNotSent, without the code in it."""
        body = msgspec.json.encode(CodeToSend(act=act, code=code))
        headers = sign_request(self._keys, "POST", urlsplit(self._url).path or "/", body, self._wall_s())
        timeout = aiohttp.ClientTimeout(total=POST_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(self._url, data=body, headers=headers, allow_redirects=False) as reply,
            ):
                status = reply.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise CodeNotSent(type(error).__name__) from None
        if status >= 300:
            raise CodeNotSent(f"answered with {status}")
