"""The payments port over HTTP: the second body, which asks a payments process and believes only its signed answers."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec

from payments.key_files import read_keys
from payments.port import PaymentsPort
from payments.service.internal_signing import SIGNATURE, Keys, is_answer, is_private, sign_request
from payments.service.port_table import METHODS, Method, Refusal, raised

log = logging.getLogger(__name__)

#: Real seconds for one call, and for reaching the process.
CALL_S = 25.0
CONNECT_S = 1.0
#: Real seconds between two looks at what is answered without a call (the channels).
REFRESH_S = 2.0
CONNECTIONS = 64
ANSWER_BYTES = 32 << 20
#: Pauses before the next try.
PAUSES_S = (0.05, 0.2, 0.8)

#: A second arrival of these does no harm: commands and events have ids, the others only look. A method that is not
#: here is repeated only when it certainly never arrived.
REPEATABLE = frozenset(
    {
        "submit", "events", "acknowledge", "view", "switch_channel", "callback", "balances", "statement", "totals",
        "channels", "timeline", "book", "assess_risk", "risk_cases", "entrust", "entrusted", "bind_page", "unbind",
        "forget", "reconciliations",
        "reconcile", "differences", "open_items", "take_item", "close_item", "differences_csv", "open_items_csv",
        "reconciliations_csv", "alarms", "ghosts", "confirm_code", "reconciliation", "work_item", "callback_tallies",
        "withdrawals", "refunds", "account_events",
    }
)  # fmt: skip


class PaymentsUnreachable(ConnectionError):
    """No answer, or none that is proved. It is no refusal: what was asked may have been done."""


class _NotDone(Exception):
    """The call certainly had no effect, so it may be made again."""


class _Unknown(Exception):
    """No answer came back."""


class RemotePayments:
    """Every method of the port, as a call of the process at ``url``; use it as a ``PaymentsPort``."""

    def __init__(
        self,
        url: str,
        keys: Keys,
        *,
        tls: ssl.SSLContext | None = None,
        wall_s: Callable[[], float] = time.time,
        call_s: float = CALL_S,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._url = url.rstrip("/")
        self._keys = keys
        self._tls = tls
        self._wall_s = wall_s
        self._call_s = call_s
        self._refresh_s = refresh_s
        self._session: aiohttp.ClientSession | None = None
        self._heard: dict[str, Any] = {}
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ready to call. The process need not be there yet; until it is, no channel is known."""
        self._open()
        await self._refresh_quietly()
        self._refreshing = asyncio.create_task(self._refresh_for_ever(), name="payments-refresh")

    async def stop(self) -> None:
        """Close every connection."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
            self._refreshing = None
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def refresh(self) -> None:
        """Hear now what is answered without a call."""
        for method in METHODS.values():
            if not method.is_async:
                self._heard[method.name] = await self.call(method)

    async def _refresh_quietly(self) -> None:
        try:
            await self.refresh()
        except PaymentsUnreachable as fault:
            log.warning("the payments process is not reached: %s", fault)

    async def _refresh_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            await self._refresh_quietly()

    def heard(self, name: str) -> Any:
        """What was heard last; an empty list before anything was."""
        return list(self._heard.get(name, ()))

    # -- one call ---------------------------------------------------------------------------------------------------

    async def call(self, method: Method, *args: Any, **kwargs: Any) -> Any:
        """What the method gives, or raises where it refuses. PaymentsUnreachable."""
        body = method.encode_call(*args, **kwargs)
        fault: Exception | None = None
        for pause_s in (0.0, *PAUSES_S):
            await asyncio.sleep(pause_s)
            try:
                status, answer = await self._exchange(method.path, body)
            except _NotDone as error:
                fault = error
            except _Unknown as error:
                fault = error
                if method.name not in REPEATABLE:
                    break
            else:
                return _understand(method, status, answer)
        raise PaymentsUnreachable(f"{method.name}: {fault}") from None

    async def _exchange(self, path: str, body: bytes) -> tuple[int, bytes]:
        headers = sign_request(self._keys, "POST", path, body, self._wall_s())
        try:
            async with self._open().post(self._url + path, data=body, headers=headers) as reply:
                answer = await _read(reply)
                status, signature = reply.status, reply.headers.get(SIGNATURE, "")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _NotDone(type(error).__name__) from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _Unknown(type(error).__name__) from None
        if is_answer(self._keys, headers, signature, status, answer):
            if status == 503:
                raise _NotDone("busy")
            return status, answer
        # Turned away at the door, or not by the one who was asked.
        if status in (401, 413):
            raise PaymentsUnreachable(f"turned away with {status}: check key and clock")
        raise _Unknown(f"an answer with {status} that is not proved")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._tls or True),
                timeout=aiohttp.ClientTimeout(total=self._call_s, sock_connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in reply.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > ANSWER_BYTES:
            reply.close()
            raise _Unknown("an answer that is too large")
    return bytes(body)


def _understand(method: Method, status: int, answer: bytes) -> Any:
    try:
        if status == 200:
            return method.decode_answer(answer)
        refusal = msgspec.json.decode(answer, type=Refusal)
    except msgspec.DecodeError as error:
        # Another version over there; it must not look like a mistake of whoever called.
        raise PaymentsUnreachable(f"{method.name}: an answer that is not understood, {error}") from None
    if status in (409, 422):
        raise raised(refusal)
    raise PaymentsUnreachable(f"{method.name}: {status}, {refusal.text}")


def _asking(method: Method) -> Callable[..., Awaitable[Any]]:
    async def ask(self: RemotePayments, *args: Any, **kwargs: Any) -> Any:
        return await self.call(method, *args, **kwargs)

    ask.__name__ = method.name
    return ask


def _remembering(method: Method) -> Callable[..., Any]:
    def remember(self: RemotePayments) -> Any:
        return self.heard(method.name)

    remember.__name__ = method.name
    return remember


for _method in METHODS.values():
    setattr(RemotePayments, _method.name, (_asking if _method.is_async else _remembering)(_method))


def open_remote(url: str, keys_file: Path, ca_file: Path | None = None) -> RemotePayments:
    """The body for a host. Keys are lines ``id hex``, the first signs; ``ca_file`` proves the process over TLS where
    its certificate is of one's own making. ValueError, OSError."""
    tls = None
    if not is_private(url):
        raise ValueError("https is needed, except on this machine")
    if url.startswith("https:"):
        tls = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    return RemotePayments(url, Keys(read_keys(keys_file)), tls=tls)


def as_port(remote: RemotePayments) -> PaymentsPort:
    """The same object, as what it is: its methods are made from the port's own."""
    return cast(PaymentsPort, remote)
