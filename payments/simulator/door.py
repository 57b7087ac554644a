"""The providers' front door: every call is understood, goes wrong as the fault plan says, is done, and is answered."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping

import msgspec
from aiohttp import web

from payments.simulator.desk import Desk
from payments.simulator.faults import Fault, FaultName
from payments.simulator.notifier import Notifier
from payments.simulator.protocol import STRAIGHT, Answer, Asked, Call, ProviderProtocol, Twist

#: Exchanges that are kept for the page.
KEPT_EXCHANGES = 1000
#: No merchant's request is larger.
REQUEST_BYTES = 1 << 20


class Exchanged(msgspec.Struct, frozen=True, kw_only=True):
    """One call as the page shows it; no header and no body."""

    at_ms: int
    institution: str
    channel: str
    operation: str
    number: str
    method: str
    path: str
    #: 0: the connection was closed without an answer.
    status: int
    ms: float
    faults: tuple[str, ...]
    is_backup: bool


class _Dropped(Exception):
    """The connection is closed without an answer."""


class _Errand:
    """One call on its way through, with the faults that hit it."""

    def __init__(self, desk: Desk, asked: Asked) -> None:
        self._desk = desk
        self.asked = asked
        self.hit: list[str] = []

    def fires(self, name: FaultName) -> Fault | None:
        """Whether this goes wrong now."""
        fault = self._desk.faults.fires(name, self.asked.channel, self.asked.operation, self.asked.number)
        if fault is not None:
            self.hit.append(name)
        return fault

    def twist(self) -> Twist:
        """What the plan wants of the answer's signature."""
        skewed = self.fires("clock_skewed")
        return Twist(is_wrong=self.fires("bad_signature") is not None, skew_s=float(skewed.number) if skewed else 0.0)


class Door:
    """Everything that is no administration and no page."""

    def __init__(self, desk: Desk, protocols: Mapping[str, ProviderProtocol], notifier: Notifier) -> None:
        self._desk = desk
        self._notifier = notifier
        by_prefix = [(prefix, protocol) for protocol in protocols.values() for prefix in protocol.prefixes]
        self._by_prefix = sorted(by_prefix, key=lambda pair: -len(pair[0]))
        self.exchanges: deque[Exchanged] = deque(maxlen=KEPT_EXCHANGES)
        #: The second port; what comes in there came by the backup domain.
        self.backup_port = 0

    async def answer(self, request: web.Request) -> web.Response:
        """A provider's answer to a merchant's (or a payer's) request."""
        began = time.monotonic()
        protocol = next((p for prefix, p in self._by_prefix if request.path.startswith(prefix)), None)
        if protocol is None:
            return web.json_response({"error": f"no provider here has the path {request.path}"}, status=404)
        call = await self._call(request)
        asked = protocol.understand(call)
        if isinstance(asked, Answer):
            self._note(call, protocol, None, asked.status, began)
            return _response(protocol.seal(call, asked, STRAIGHT))
        errand = _Errand(self._desk, asked)
        try:
            answer = await self._do(errand, protocol)
            sealed = protocol.seal(call, answer, errand.twist())
        except _Dropped:
            self._note(call, protocol, errand, 0, began)
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        self._note(call, protocol, errand, sealed.status, began)
        return _response(sealed)

    async def _call(self, request: web.Request) -> Call:
        name = request.transport.get_extra_info("sockname") if request.transport is not None else None
        return Call(
            method=request.method,
            target=request.raw_path,
            path=request.path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
            base_url=f"http://{request.host}",
            is_backup=name is not None and name[1] == self.backup_port,
        )

    async def _do(self, errand: _Errand, protocol: ProviderProtocol) -> Answer:
        """What the provider says in the end; _Dropped when it says nothing."""
        if errand.fires("certificate_rotated") is not None:
            protocol.rotate()
        if (slow := errand.fires("delay")) is not None:
            await asyncio.sleep(slow.number / 1000)
        if errand.fires("drop_before") is not None:
            raise _Dropped
        if (refused := errand.fires("refuse")) is not None:
            return protocol.refusal(refused.word)
        if (broken := errand.fires("error")) is not None:
            return protocol.broken(broken.number)
        answer = errand.asked.act()
        if errand.fires("notice_before_reply") is not None:
            await self._tell_first(errand.asked, protocol)
        if (slow := errand.fires("delay_after")) is not None:
            await asyncio.sleep(slow.number / 1000)
        if errand.fires("drop_after") is not None:
            raise _Dropped
        if (broken := errand.fires("error_after")) is not None:
            return protocol.broken(broken.number)
        return answer

    async def _tell_first(self, asked: Asked, protocol: ProviderProtocol) -> None:
        for order in self._desk.books.orders_of_number(protocol.institution, asked.number):
            if asked.operation == "create":
                self._desk.pay(order, order.opened.terms.get("openid", "a payer in a hurry"))
            await self._notifier.send_now(order.key)

    def _note(self, call: Call, protocol: ProviderProtocol, errand: _Errand | None, status: int, began: float) -> None:
        asked = errand.asked if errand else None
        self.exchanges.append(
            Exchanged(
                at_ms=int(self._desk.clock.wall_s() * 1000),
                institution=protocol.institution,
                channel=asked.channel if asked else protocol.institution,
                operation=asked.operation if asked else "refused",
                number=asked.number if asked else "",
                method=call.method,
                path=call.path,
                status=status,
                ms=round((time.monotonic() - began) * 1000, 1),
                faults=tuple(errand.hit) if errand else (),
                is_backup=call.is_backup,
            )
        )


def _response(answer: Answer) -> web.Response:
    headers = dict(answer.headers)
    if answer.status != 204:
        headers.setdefault("Content-Type", answer.content_type)
    return web.Response(status=answer.status, body=answer.body or None, headers=headers)
