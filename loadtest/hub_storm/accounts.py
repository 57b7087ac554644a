"""The server as all simulated people of a storm know it, and one signed-in account of it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from ..actors.protocol import Answer, Call
from ..api_client import ApiClient
from ..figures import Figures
from ..people import Account, PlanFile
from ..server_clock import ServerClock

#: A token is fetched anew when so much of its life is over.
FRESH_SHARE = 0.6


class House:
    """One server: where it is, what time it says it is, and who may come."""

    def __init__(self, session: aiohttp.ClientSession, url: str, plan: PlanFile, clock: ServerClock) -> None:
        self.session, self.url, self.plan, self.clock = session, url, plan, clock
        parts = urlsplit(url)
        self.host, self.port, self.address = parts.hostname or "127.0.0.1", parts.port or 80, parts.netloc
        self.campus_id = plan.campus_id
        self.figures = Figures(time.perf_counter)
        self.figures.begin()
        self._ids: dict[str, str] = {}

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def same(self, text: str) -> str:
        """One object for an id that a hundred watchers are told."""
        return self._ids.setdefault(text, text)


class Member:
    """Somebody signed in: HTTP, and tokens for as many sockets as they like."""

    def __init__(self, house: House, who: Account) -> None:
        self.house, self.who = house, who
        self.api = ApiClient(house.session, house.url, house.campus_id, who, house.plan.password, house.figures)
        self._token = ""
        self._token_until_s = 0.0

    @property
    def id(self) -> str:
        return self.api.account_id

    async def sign_in(self) -> None:
        await self.api.sign_in()

    async def call(
        self,
        name: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> Answer:
        """Every status is part of the game: processes die under these calls."""
        return await self.api.call(Call(name, method, path, body, key=key, expected=range_of_all))

    async def socket_token(self) -> str:
        """One that is still good, or nothing while the server gives none."""
        if time.monotonic() >= self._token_until_s:
            answer = await self.call("socket_token", "POST", "/auth/socket-token", {})
            if not answer.is_ok:
                return ""
            self._token = str(answer.body["token"])
            self._token_until_s = time.monotonic() + FRESH_SHARE * float(answer.body["expires_in_s"])
        return self._token

    def forget_token(self) -> None:
        self._token_until_s = 0.0


range_of_all = tuple(range(600))
