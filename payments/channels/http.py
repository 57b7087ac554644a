"""HTTP to one provider: a bounded pool, budgets for connecting and for the whole call, a backup domain, values only."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from payments.channels.exchange import Exchange, ExchangeOutcome, Observe, unobserved
from payments.channels.patience import Patience

#: Real seconds until a connection stands: name, TCP and TLS together.
CONNECT_S = 0.3
#: Real seconds for creating a credential, and for anything else.
CREATE_S = 0.8
CALL_S = 5.0
#: Connections to one provider, and callers that may wait for one.
CONNECTIONS = 64
MOST_WAITING = 512
#: No answer to a call is larger; a bill says its own bound.
REPLY_BYTES = 1 << 20
#: After its first domain was not reached, a provider's second one is asked first for so long.
REST_S = 15.0
#: Less than what common servers keep an idle connection for, so that we seldom write into one that is closing.
KEEP_ALIVE_S = 10.0


#: Both budgets are kept here, so that they can be moved while nobody listens.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """The provider answered. Names of ``headers`` are in small letters; ``body`` is the raw bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    host: str


class HttpSilence(msgspec.Struct, frozen=True, kw_only=True):
    """No answer. ``was_sent``: the request may have reached the provider and may have had its effect.

    ``overload`` is ours: no connection became free in time, or this process was too busy to listen; nothing says that
    the provider is ill.
    """

    kind: Literal["connect", "timeout", "reset", "too_large", "overload"]
    was_sent: bool


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, exactly these bytes, whichever domain gets it. ``target`` is path and query, already encoded, or a
    whole URL (then there is no other domain). ``may_repeat``: a second arrival of the same bytes does no harm."""

    method: str
    target: str
    operation: str
    subject: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    may_repeat: bool = True


class _Trip(SimpleNamespace):
    """What one try went through, written by the tracing callbacks; ``connected`` is called by them."""

    was_sent: bool = False
    is_reused: bool = False
    connected: Callable[[], None] = staticmethod(lambda: None)
    lost_s: float = 0.0


class ProviderHttp:
    """The connections to one provider. ``base_url`` may carry a path of its own; both URLs lead to the same books."""

    def __init__(
        self,
        channel: str,
        base_url: str,
        backup_url: str | None = None,
        *,
        observe: Observe = unobserved,
        connect_s: float = CONNECT_S,
        connections: int = CONNECTIONS,
        most_waiting: int = MOST_WAITING,
        tls: ssl.SSLContext | None = None,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._channel = channel
        self._urls = tuple(url.rstrip("/") for url in (base_url, backup_url) if url)
        self._observe = observe
        self._connect_s = connect_s
        self._connections = connections
        self._most_waiting = most_waiting
        self._tls = tls
        self._wall_s = wall_s
        self._free = asyncio.Semaphore(connections)
        self._patience = Patience()
        self._waiting = 0
        self._first_rests_until = 0.0
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Be ready; a call before it does the same."""
        self._open()

    async def stop(self) -> None:
        """Close every connection; calls under way end as ``reset``."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=60, ssl=self._tls or True
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Content-Type",),
                auto_decompress=False,
                trace_configs=[_tracing()],
            )
        return self._session

    async def send(
        self, request: HttpRequest, *, total_s: float = CALL_S, most_bytes: int = REPLY_BYTES
    ) -> HttpReply | HttpSilence:
        """Send it and wait at most ``total_s`` for the whole answer; before that, at most as long for a connection."""
        if not await self._take_turn(total_s):
            self._tell(request, self._urls[0], None, time.monotonic(), "overload")
            return HttpSilence(kind="overload", was_sent=False)
        try:
            return await self._try_domains(request, time.monotonic() + total_s, most_bytes)
        finally:
            self._free.release()

    async def _take_turn(self, patience_s: float) -> bool:
        if self._free.locked() and self._waiting >= self._most_waiting:
            return False
        self._waiting += 1
        try:
            async with self._patience.budget(patience_s, patience_s):
                await self._free.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    async def _try_domains(self, request: HttpRequest, until: float, most_bytes: int) -> HttpReply | HttpSilence:
        urls = self._order_of_urls(request.target)
        silence = HttpSilence(kind="connect", was_sent=False)
        was_sent = has_repeated = False
        while urls and until - time.monotonic() > 0:
            url = urls.pop(0)
            trip = _Trip()
            answer = await self._try(request, url, until - time.monotonic(), most_bytes, trip)
            until += trip.lost_s
            if isinstance(answer, HttpReply):
                return answer
            silence, was_sent = answer, was_sent or answer.was_sent
            if answer.kind == "connect":
                if url.startswith(self._urls[0]):
                    self._first_rests_until = time.monotonic() + REST_S
            elif answer.kind == "reset" and trip.is_reused and request.may_repeat and not has_repeated:
                # An idle connection that the other side was just closing says nothing about the provider.
                has_repeated = True
                urls.insert(0, url)
            else:
                break
        return HttpSilence(kind=silence.kind, was_sent=was_sent)

    def _order_of_urls(self, target: str) -> list[str]:
        if not target.startswith("/"):
            return [target]
        urls = [url + target for url in self._urls]
        return urls[::-1] if time.monotonic() < self._first_rests_until else urls

    async def _try(
        self, request: HttpRequest, url: str, left_s: float, most_bytes: int, trip: _Trip
    ) -> HttpReply | HttpSilence:
        began = time.monotonic()
        outcome: ExchangeOutcome = "cancelled"
        reply: HttpReply | None = None
        budget = self._patience.budget(min(self._connect_s, left_s), left_s)
        trip.connected = lambda: budget.extend_to(left_s)
        try:
            async with budget:
                reply = await self._exchange(request, url, most_bytes, trip)
            outcome = "too_large" if reply is None else "replied"
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            is_late = isinstance(error, TimeoutError)
            outcome = "connect" if not trip.was_sent else "timeout" if is_late else "reset"
            if is_late and budget.is_forgiven_all:
                outcome = "overload"
        finally:
            trip.lost_s = budget.lost_s
            self._tell(request, url, reply, began, outcome)
        if reply is not None:
            return reply
        assert outcome != "replied", "a reply was returned"
        return HttpSilence(kind=outcome, was_sent=trip.was_sent)

    async def _exchange(self, request: HttpRequest, url: str, most_bytes: int, trip: _Trip) -> HttpReply | None:
        """The answer; None when it is larger than is read."""
        async with self._open().request(
            request.method,
            URL(url, encoded=True),
            data=request.body or None,
            headers={"Accept-Encoding": "identity", **request.headers},
            allow_redirects=False,
            timeout=_NO_TIMEOUT,
            trace_request_ctx=trip,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > most_bytes:
                    response.close()
                    return None
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpReply(status=response.status, headers=headers, body=bytes(body), host=urlsplit(url).netloc)

    def _tell(
        self, request: HttpRequest, url: str, reply: HttpReply | None, began: float, outcome: ExchangeOutcome
    ) -> None:
        parts = urlsplit(url)
        ms = (time.monotonic() - began) * 1000.0
        self._observe(
            Exchange(
                at_ms=int(self._wall_s() * 1000.0 - ms),
                channel=self._channel,
                operation=request.operation,
                subject=request.subject,
                method=request.method,
                host=parts.netloc,
                path=urlsplit(request.target).path,
                status=None if reply is None else reply.status,
                ms=round(ms, 1),
                outcome=outcome,
                request_id="" if reply is None else reply.headers.get("request-id", "")[:64],
            )
        )


def _tracing() -> aiohttp.TraceConfig:
    """Notes in the trip whether anything was written, and whether on a connection that had served before."""
    tracing = aiohttp.TraceConfig()

    async def sent(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.was_sent = True

    async def reused(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.is_reused = True
        context.trace_request_ctx.connected()

    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.connected()

    tracing.on_request_headers_sent.append(sent)
    tracing.on_connection_reuseconn.append(reused)
    tracing.on_connection_create_end.append(connected)
    return tracing
