"""The administration: books for an outside checker, faults, time, people and ports, live, as plain JSON on loopback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from aiohttp import web

from payments.simulator import views
from payments.simulator.events import OrderKey
from payments.simulator.faults import MEANINGS, OPERATIONS, BadFault, Fault, Rule, read
from payments.simulator.order_book import OrderBook
from payments.simulator.people import Habits

if TYPE_CHECKING:
    from payments.simulator.house import House

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.Response]]

#: The most that one answer lists, and what it lists unasked.
MOST = 10_000
USUAL = 200

_LOCAL = ("localhost", "127.0.0.1", "[::1]")


class _FaultText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault as one writes it on the command line."""

    text: str


class _Payment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payer: str = ""


class _ClockWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rate: float | None = None
    calendar_rate: float | None = None
    now_ms: int | None = None


class _PortWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    port: str
    is_open: bool


def guard_page(request: web.Request) -> None:
    """Only this machine's own names: another site that points its name here gets nothing."""
    if request.host.rpartition(":")[0] not in _LOCAL:
        raise problem(403, "ask for it as 127.0.0.1 or localhost")


def problem(status: int, text: str) -> web.HTTPException:
    """An error with a sentence in it."""
    kinds: dict[int, type[web.HTTPException]] = {
        400: web.HTTPBadRequest,
        403: web.HTTPForbidden,
        404: web.HTTPNotFound,
        409: web.HTTPConflict,
    }
    return kinds[status](text=msgspec.json.encode({"error": text}).decode(), content_type="application/json")


async def read_body(request: web.Request, shape: type[T]) -> T:
    """The body as this type; a form that another site sends is refused."""
    guard_page(request)
    if request.content_type != "application/json":
        raise problem(400, "send Content-Type: application/json")
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=shape)
    except msgspec.DecodeError as error:
        raise problem(400, str(error)) from error


def reply(words: Any) -> web.Response:
    """JSON."""
    return web.Response(body=msgspec.json.encode(words), content_type="application/json")


class Administration:
    """The handlers of /admin."""

    def __init__(self, house: House) -> None:
        self._house = house

    def add_to(self, app: web.Application) -> None:
        """Put the paths into the application."""
        add = app.router.add_route
        order = "/admin/orders/{institution}/{merchant}/{number}"
        add("GET", "/admin/books", self.books)
        add("GET", "/admin/newest", self.newest)
        add("GET", order, self.order)
        add("POST", f"{order}/pay", self.pay)
        add("GET", "/admin/transfers", self.transfers)
        add("POST", "/admin/transfers/{institution}/{merchant}/{number}/agree", self.agree)
        add("GET", "/admin/notices", self.notices)
        add("POST", "/admin/notices/{notice_id}/resend", self.resend)
        add("GET", "/admin/exchanges", self.exchanges)
        add("GET", "/admin/faults", self.faults)
        add("POST", "/admin/faults", self.add_fault)
        add("DELETE", "/admin/faults", self.remove_faults)
        add("DELETE", "/admin/faults/{id}", self.remove_faults)
        add("GET", "/admin/settings", self.settings)
        add("POST", "/admin/rotate/{channel}", self.rotate)
        add("GET", "/admin/clock", self.clock)
        add("POST", "/admin/clock", self.set_clock)
        add("GET", "/admin/people", self.people)
        add("POST", "/admin/people", self.set_people)
        add("GET", "/admin/ports", self.ports)
        add("POST", "/admin/ports", self.set_port)

    # -- books --------------------------------------------------------------------------------------------------------

    async def books(self, request: web.Request) -> web.Response:
        """Every order, the first opened first, ``limit`` at a time; ``after`` is the ``next`` of the last answer."""
        guard_page(request)
        after, limit = _whole(request, "after", 0, 1 << 60), _whole(request, "limit", 1000, MOST)
        channel = request.query.get("channel", "")
        orders = islice(self._house.books.orders.values(), after, after + limit)
        listed = list(orders)
        is_more = after + limit < len(self._house.books.orders)
        return reply(
            {
                "orders": [self._line(o) for o in listed if channel in ("", o.opened.channel)],
                "total": len(self._house.books.orders),
                "next": after + limit if is_more else None,
                "now_ms": views.ms(self._house.clock.now()),
            }
        )

    async def newest(self, request: web.Request) -> web.Response:
        """The newest orders, with what their payers hold."""
        guard_page(request)
        newest = islice(reversed(self._house.books.orders.values()), _whole(request, "limit", USUAL, MOST))
        return reply({"orders": [{**self._line(order), "token": order.opened.token} for order in newest]})

    def _line(self, order: OrderBook) -> dict[str, Any]:
        return views.order_line(order, self._house.clock)

    def _order(self, request: web.Request) -> OrderBook:
        order = self._house.books.order(_key(request))
        if order is None:
            raise problem(404, "there is no such order")
        return order

    async def order(self, request: web.Request) -> web.Response:
        """One order with all that became of it, and its callbacks."""
        guard_page(request)
        order = self._order(request)
        notices = [views.notice_line(n) for n in self._house.books.notices_of(order.key)]
        return reply({**views.order_whole(order, self._house.clock), "notices": notices})

    async def pay(self, request: web.Request) -> web.Response:
        """Its payer pays it."""
        wish = await read_body(request, _Payment)
        order = self._order(request)
        payer = wish.payer or order.opened.terms.get("openid") or f"payer-of-{order.key.number}"
        return reply({"result": self._house.desk.pay(order, payer)})

    async def transfers(self, request: web.Request) -> web.Response:
        """The newest transfers."""
        guard_page(request)
        newest = reversed(self._house.books.transfers.values())
        return reply(
            {"transfers": [views.transfer_line(t) for t in islice(newest, _whole(request, "limit", USUAL, MOST))]}
        )

    async def agree(self, request: web.Request) -> web.Response:
        """The receiver of a transfer says yes."""
        await read_body(request, _Payment)
        transfer = self._house.books.transfers.get(_key(request))
        if transfer is None:
            raise problem(404, "there is no such transfer")
        return reply({"is_agreed": self._house.desk.agree(transfer)})

    # -- callbacks ----------------------------------------------------------------------------------------------------

    async def notices(self, request: web.Request) -> web.Response:
        """The newest callbacks."""
        guard_page(request)
        newest = reversed(self._house.books.notices.values())
        return reply({"notices": [views.notice_line(n) for n in islice(newest, _whole(request, "limit", USUAL, MOST))]})

    async def resend(self, request: web.Request) -> web.Response:
        """One of them once more."""
        await read_body(request, _Payment)
        notice_id = request.match_info["notice_id"]
        if not await self._house.notifier.resend(notice_id):
            raise problem(404, "there is no such callback, or it is under way, or was sent too often")
        return reply(views.notice_line(self._house.books.notices[notice_id]))

    async def exchanges(self, request: web.Request) -> web.Response:
        """The newest calls."""
        guard_page(request)
        newest = islice(reversed(self._house.door.exchanges), _whole(request, "limit", USUAL, MOST))
        return reply({"exchanges": list(newest)})

    # -- faults -------------------------------------------------------------------------------------------------------

    async def faults(self, request: web.Request) -> web.Response:
        """Those that stand, and what there are."""
        guard_page(request)
        words = {"faults": MEANINGS, "operations": OPERATIONS, "channels": list(self._house.plan.channels)}
        return reply({"rules": self._house.faults.rules(), **words})

    async def add_fault(self, request: web.Request) -> web.Response:
        """One more: as an object, or ``{"text": "delay op=create p=0.1 ms=1500"}``."""
        wish = await read_body(request, dict[str, Any])
        try:
            fault = read(msgspec.convert(wish, _FaultText).text) if "text" in wish else msgspec.convert(wish, Fault)
            rule: Rule = self._house.faults.add(fault)
        except (BadFault, msgspec.ValidationError) as error:
            raise problem(400, str(error)) from error
        return reply(rule)

    async def remove_faults(self, request: web.Request) -> web.Response:
        """One by its id, or all."""
        guard_page(request)
        wished = request.match_info.get("id")
        if wished is not None and not wished.isdecimal():
            raise problem(400, "the id of a fault is a number")
        removed = self._house.faults.remove(int(wished) if wished else None)
        if wished and not removed:
            raise problem(404, "there is no such fault")
        return reply({"removed": removed})

    # -- keys, time, people, ports ------------------------------------------------------------------------------------

    async def settings(self, request: web.Request) -> web.Response:
        """What a merchant configures, by channel."""
        guard_page(request)
        return reply(self._house.settings())

    async def rotate(self, request: web.Request) -> web.Response:
        """A new platform certificate."""
        await read_body(request, _Payment)
        protocol = self._house.by_channel.get(request.match_info["channel"])
        if protocol is None:
            raise problem(404, "there is no such channel")
        return reply({"serial": protocol.rotate()})

    async def clock(self, request: web.Request) -> web.Response:
        """What time it is here, and how fast it runs."""
        guard_page(request)
        return reply(self._clock_words())

    def _clock_words(self) -> dict[str, Any]:
        terms = self._house.clock.terms
        now_ms = views.ms(self._house.clock.now())
        return {"now_ms": now_ms, "rate": terms.rate, "calendar_rate": terms.calendar_rate}

    async def set_clock(self, request: web.Request) -> web.Response:
        """Another time, or another speed."""
        wish = await read_body(request, _ClockWish)
        terms = self._house.clock.terms
        rate = terms.rate if wish.rate is None else wish.rate
        calendar_rate = terms.calendar_rate if wish.calendar_rate is None else wish.calendar_rate
        if not 0 < rate <= 1_000_000 or not 0 < calendar_rate <= 1_000_000:
            raise problem(400, "a rate is above 0 and at most 1000000")
        if wish.now_ms is not None and not 0 <= wish.now_ms <= 10_000_000_000_000:
            raise problem(400, "now_ms: milliseconds since 1970")
        self._house.set_clock(rate=rate, calendar_rate=calendar_rate, now_ms=wish.now_ms)
        return reply(self._clock_words())

    async def people(self, request: web.Request) -> web.Response:
        """How the simulated people are."""
        guard_page(request)
        return reply(self._house.people.habits)

    async def set_people(self, request: web.Request) -> web.Response:
        """How they are from now on."""
        habits = await read_body(request, Habits)
        wrong = habits.problem()
        if wrong is not None:
            raise problem(400, wrong)
        self._house.people.habits = habits
        return reply(habits)

    async def ports(self, request: web.Request) -> web.Response:
        """Which of the two domains can be reached."""
        guard_page(request)
        return reply({"open": self._house.open_ports})

    async def set_port(self, request: web.Request) -> web.Response:
        """Let a domain be unreachable, or reachable again."""
        wish = await read_body(request, _PortWish)
        if wish.port not in ("main", "backup"):
            raise problem(400, "port: main or backup")
        if wish.is_open:
            await self._house.open_port(wish.port)
        elif not await self._house.shut_port(wish.port):
            raise problem(409, "one of the two has to stay open")
        return reply({"open": self._house.open_ports})


def _key(request: web.Request) -> OrderKey:
    found = request.match_info
    return OrderKey(found["institution"], found["merchant"], found["number"])


def _whole(request: web.Request, name: str, usual: int, most: int) -> int:
    text = request.query.get(name, str(usual))
    if not text.isdecimal() or int(text) > most:
        raise problem(400, f"{name}: a whole number up to {most}")
    return int(text)
