"""Payments as its own process, seen from its door: the port over HTTP, for those who hold the key and nobody else."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable

import msgspec
from aiohttp import web

from payments.port import PaymentsError, PaymentsPort
from payments.service.internal_signing import KEY, LOOPBACK, NONCE, Gate, Keys, sign_answer
from payments.service.port_table import METHODS, PREFIX, Method, Refusal, refusal_of

log = logging.getLogger(__name__)

#: No request is larger; a provider's callback is far below.
REQUEST_BYTES = 2 << 20
#: Real seconds for one call. What is cut off may have had its effect, as with any time-out.
HANDLE_S = 20.0
#: Calls at once, and calls that may wait for their turn.
AT_ONCE = 64
MOST_WAITING = 1024
STOP_S = 5.0


class PaymentsServer:
    """The door of one body of the port. Without TLS it opens on the loopback alone."""

    def __init__(
        self,
        payments: PaymentsPort,
        keys: Keys,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        wall_s: Callable[[], float] = time.time,
        handle_s: float = HANDLE_S,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        if tls is None and host not in LOOPBACK:
            raise ValueError(f"host {host}: without TLS only the loopback is listened on")
        self._payments = payments
        self._keys = keys
        self._host, self.port = host, port
        self._tls = tls
        self._handle_s = handle_s
        self._gate = Gate(keys, wall_s)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._most_waiting = most_waiting
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; ``port`` is the real one then."""
        app = web.Application(client_max_size=REQUEST_BYTES)
        app.router.add_get("/health", self._health)
        app.router.add_post(PREFIX + "{method}", self._call)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=STOP_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port, ssl_context=self._tls)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Take no more calls, and let those under way end."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @staticmethod
    async def _health(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _call(self, request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413, text="too large\n")
        fault = self._gate.fault_of(request.headers, request.method, request.raw_path, body)
        if fault is not None:
            # One word for all of them: who cannot sign learns nothing of keys and clocks.
            # The raw path has no line ends that could be taken for another line of the log.
            log.warning("a call of %s was turned away: %s", request.raw_path[:200], fault)
            return web.Response(status=503 if fault == "busy" else 401, text="not proved\n")
        status, answer = await self._take(request.match_info["method"], body)
        headers = sign_answer(self._keys, request.headers[KEY], request.headers[NONCE], status, answer)
        return web.Response(status=status, body=answer, headers=headers, content_type="application/json")

    async def _take(self, name: str, body: bytes) -> tuple[int, bytes]:
        method = METHODS.get(name)
        if method is None:
            return _refused(404, f"no method {name!r}")
        if self._turns.locked() and self._waiting >= self._most_waiting:
            return _refused(503, "busy")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            async with asyncio.timeout(self._handle_s):
                return 200, msgspec.json.encode(await self._do(method, body))
        except PaymentsError as refusal:
            return 409, msgspec.json.encode(refusal_of(refusal))
        except ValueError as error:
            return 422, msgspec.json.encode(refusal_of(error))
        except TimeoutError:
            log.warning("a call of %s took longer than %g s", name, self._handle_s)
            return _refused(504, "too long")
        except Exception:
            log.exception("a call of %s failed", name)
            return _refused(500, "a fault of the payments process; its log says which")
        finally:
            self._turns.release()

    async def _do(self, method: Method, body: bytes) -> object:
        arguments = method.decode_call(body)
        called = getattr(self._payments, method.name)(**arguments)
        return await called if method.is_async else called


def _refused(status: int, text: str) -> tuple[int, bytes]:
    return status, msgspec.json.encode(Refusal(code=None, text=text))
