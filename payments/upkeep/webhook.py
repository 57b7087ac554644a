"""Alarms to a web address of the operator's: signed, tried again on a ladder, never sent on to another host.

The receiver recomputes HMAC-SHA256 over ``<t>.<raw body>`` with the shared secret and compares it with ``v1`` of the
header ``Payments-Signature: t=<Unix seconds>,v1=<hex>``; it refuses a time that is far from its own, and knows a
message that comes again by ``Payments-Delivery``.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import aiohttp
import msgspec

from payments.store.alarm_rows import Delivery
from payments.store.unit_of_work import Store, UnitOfWork

log = logging.getLogger(__name__)

SIGNATURE = "Payments-Signature"
DELIVERY = "Payments-Delivery"
#: Seconds that the clocks of both sides may differ by.
TOLERANCE_S = 300.0
#: Real seconds for one delivery.
TIMEOUT_S = 5.0
#: Seconds until the next try; after the last one the message is given up.
RETRY_S = (10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0)
#: Real seconds for which a process keeps the messages that it took: all of them may run into their time limit.
BATCH = 10
LEASE_S = BATCH * TIMEOUT_S + 10.0
SHORTEST_SECRET = 16

_HEADER = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})", re.ASCII)


class WebhookConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where alarms go. ValueError, naming the field: not https (plain http only to this machine), a name or password
    in the address, a secret that is too short."""

    url: str
    secret: str

    def __post_init__(self) -> None:
        check_url(self.url)
        if len(self.secret) < SHORTEST_SECRET:
            raise ValueError(f"secret: at least {SHORTEST_SECRET} characters")

    def __repr__(self) -> str:
        return f"WebhookConfig(url={self.url!r})"


def check_url(url: str) -> None:
    """Raise ValueError for an address that no alarm may be sent to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"url: {error}") from None
    host = parts.hostname or ""
    if not host or port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("url: not an address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url: no name and no password in it; they would end up in logs")
    if parts.fragment:
        raise ValueError("url: nothing after a #")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise ValueError("url: https, or http to this machine")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def signature(secret: str, body: bytes, at_s: int) -> str:
    """The header's value for these very bytes."""
    digest = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def why_not_genuine(secret: str, header: str, body: bytes, now_s: float) -> str | None:
    """For a receiver: None when the message is ours and fresh, else what is wrong with it."""
    match = _HEADER.fullmatch(header)
    if match is None:
        return "not signed"
    at_s = int(match[1])
    if not hmac.compare_digest(signature(secret, body, at_s), header):
        return "wrong signature"
    return None if abs(now_s - at_s) <= TOLERANCE_S else "too old"


class Webhook:
    """Delivers what waits in the queue. Several processes may; a message may come twice, never not at all unless it is
    given up or dropped."""

    def __init__(
        self,
        store: Store,
        config: WebhookConfig,
        now: Callable[[], datetime],
        real_s: Callable[[float], float] = float,
        *,
        timeout_s: float = TIMEOUT_S,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._config = config
        self._now = now
        self._lease = timedelta(seconds=LEASE_S / max(real_s(1.0), 1e-9))
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=timeout_s)
        self._wall_s = wall_s
        self._session: aiohttp.ClientSession | None = None

    async def stop(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def work(self) -> int:
        """Deliver what is due, the oldest first; how many were heard or given up."""
        now = self._now()
        if not await self._store.read(lambda uow: uow.webhook.is_any_due(now)):
            return 0
        due = await self._store.run(lambda uow: uow.webhook.lease_due(now, now + self._lease, BATCH))
        done = 0
        for delivery in due:
            done += await self._deliver(delivery)
        return done

    async def _deliver(self, delivery: Delivery) -> bool:
        problem = await self._send(delivery)
        is_last = delivery.tries >= len(RETRY_S)

        def conclude(uow: UnitOfWork) -> None:
            if problem is None or is_last:
                uow.webhook.remove([delivery.id])
            else:
                uow.webhook.later(delivery.id, self._now() + timedelta(seconds=RETRY_S[delivery.tries]))

        await self._store.run(conclude)
        if problem is not None:
            log.warning("the webhook did not take %s: %s%s", delivery.id, problem, "; given up" if is_last else "")
        return problem is None or is_last

    async def _send(self, delivery: Delivery) -> str | None:
        """None when it was heard, else why not."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, connector=aiohttp.TCPConnector(limit=2))
        body = delivery.body.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "campus-dispatch-payments",
            DELIVERY: delivery.id,
            SIGNATURE: signature(self._config.secret, body, int(self._wall_s())),
        }
        try:
            # A redirect is an answer like any other that is not 2xx: the signed message goes nowhere else.
            async with self._session.post(
                self._config.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return None if 200 <= response.status < 300 else f"status {response.status}"
        except TimeoutError:
            return "timeout"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return type(error).__name__
