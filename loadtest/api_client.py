"""Somebody's HTTP: signs in by password, keeps the tokens fresh, and turns every end of a request into an answer."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from .actors.protocol import Answer, Call
from .figures import Figures
from .people import Account
from .server_clock import ServerClock, first_answer

REQUEST_S = 30.0
MOST_CONNECTIONS = 5000
SIGN_IN_TRIES = 6
LONGEST_WAIT_S = 120.0


class SignInRefused(Exception):
    """The server does not know this account or password, or will not have it."""


def open_session(most: int = MOST_CONNECTIONS, pinned: Path | None = None) -> aiohttp.ClientSession:
    """One session for all simulated people; they bring their own tokens, so it keeps no cookies. Sockets count among
    the ``most`` connections. ``pinned``: the server's certificate, PEM; that one is believed under whatever name the
    server is called by, and no other."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=most, ssl=True if pinned is None else _fingerprint(pinned)),
        timeout=aiohttp.ClientTimeout(total=REQUEST_S, connect=REQUEST_S),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _fingerprint(certificate: Path) -> aiohttp.Fingerprint:
    """Of the first certificate of a chain, which is the server's own."""
    first, end, _ = certificate.read_text().partition("-----END CERTIFICATE-----")
    if not end:
        raise ValueError(f"{certificate}: no certificate, PEM")
    pem = first[first.index("-----BEGIN CERTIFICATE-----") :] + end
    return aiohttp.Fingerprint(hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest())


async def server_clock(session: aiohttp.ClientSession, url: str, campus_id: str, asks: int = 5) -> ServerClock:
    """The server's time and rate."""
    clock: ServerClock | None = None
    for _ in range(asks):
        asked_s = time.perf_counter()
        async with session.get(f"{url}/api/v1/campuses/{campus_id}") as response:
            response.raise_for_status()
            campus = await response.json()
        answered_s = time.perf_counter()
        if clock is None:
            clock = first_answer(asked_s, answered_s, campus["now_ms"], campus["time_scale"])
        else:
            clock.hear(asked_s, answered_s, campus["now_ms"])
    assert clock is not None
    return clock


async def campus_places(session: aiohttp.ClientSession, url: str, campus_id: str) -> list[dict[str, Any]]:
    """Some places of the campus; empty when it has none with a name."""
    async with session.get(f"{url}/api/v1/campuses/{campus_id}/places?limit=100") as response:
        response.raise_for_status()
        places: list[dict[str, Any]] = await response.json()
        return places


class ApiClient:
    """The HTTP of one simulated person."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, campus_id: str, who: Account, password: str, figures: Figures
    ) -> None:
        self._password = password
        self._session = session
        self._url = f"{url}/api/v1"
        self._campus_id = campus_id
        self._who = who
        self._figures = figures
        self._access = ""
        self._refresh = ""
        self._fresh_until_s = 0.0
        self._renewing = asyncio.Lock()
        self.account_id = ""

    async def sign_in(self) -> str:
        """Gives the account's id. Waits where the server says that there were too many; raises SignInRefused."""
        body = {"phone": self._who.phone, "campus_id": self._campus_id, "password": self._password}
        for attempt in range(SIGN_IN_TRIES):
            status, answer, wait_s = await self._request("POST", "/auth/sign-in", msgspec.json.encode(body), {})
            if status == 200:
                self._keep(answer)
                self.account_id = answer["account"]["id"]
                return self.account_id
            if status not in (0, 429, 503):
                raise SignInRefused(f"{self._who.role}: {status} {_code(answer)}")
            await asyncio.sleep(min(LONGEST_WAIT_S, wait_s or 2.0**attempt))
        raise SignInRefused(f"{self._who.role}: the server did not let anybody in")

    async def call(self, call: Call) -> Answer:
        """Carry a call out; status 0 when no answer came."""
        await self._stay_fresh()
        headers = {"Idempotency-Key": call.key} if call.key else {}
        payload: bytes | None = None
        if call.image is not None:
            payload, headers["Content-Type"] = call.image, "image/png"
        elif call.body is not None or call.method != "GET":
            payload, headers["Content-Type"] = msgspec.json.encode(call.body or {}), "application/json"
        began_s = time.perf_counter()
        status, body, _ = await self._request(call.method, call.path, payload, headers)
        if status == 401:
            await self._renew(self._access)
            status, body, _ = await self._request(call.method, call.path, payload, headers)
        answer = Answer(call.name, status, body, call.subject)
        self._figures.called(call.name, status, time.perf_counter() - began_s, answer.code, call.expected)
        return answer

    async def socket_token(self) -> str:
        """A token for the hub's first frame, or nothing when the server gives none now."""
        answer = await self.call(Call("socket_token", "POST", "/auth/socket-token", {}))
        return str(answer.body["token"]) if answer.is_ok else ""

    async def _stay_fresh(self) -> None:
        if time.monotonic() >= self._fresh_until_s:
            await self._renew(self._access)

    async def _renew(self, spent: str) -> None:
        """A new access token; those who wait for the same one share it."""
        async with self._renewing:
            if self._access != spent:
                return
            body = msgspec.json.encode({"refresh_token": self._refresh})
            status, answer, _ = await self._request("POST", "/auth/refresh", body, {})
            if status == 200:
                self._keep(answer)
            elif status in (401, 403):
                await self.sign_in()
            else:
                self._fresh_until_s = time.monotonic() + 5.0

    def _keep(self, session: dict[str, Any]) -> None:
        self._access = session["access_token"]
        self._refresh = session["refresh_token"]
        self._fresh_until_s = time.monotonic() + 0.8 * float(session["expires_in_s"])

    async def _request(
        self, method: str, path: str, payload: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Any, float]:
        """Status, body, and the seconds that the server asks to wait."""
        sent = dict(headers)
        if payload is not None:
            sent.setdefault("Content-Type", "application/json")
        if self._access and not path.startswith("/auth/sign-in"):
            sent["Authorization"] = f"Bearer {self._access}"
        try:
            async with self._session.request(method, self._url + path, data=payload, headers=sent) as response:
                raw = await response.read()
                wait_s = float(response.headers.get("Retry-After", 0) or 0)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            return 0, {"error": {"code": type(fault).__name__}}, 0.0
        try:
            return status, msgspec.json.decode(raw) if raw else None, wait_s
        except msgspec.DecodeError:
            return status, None, wait_s


def _code(answer: Any) -> str:
    return Answer("", 0, answer).code
