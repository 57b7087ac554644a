"""The simulator's two pages: what happened here, for whoever rehearses; and a till where a student pays."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Literal

import msgspec
from aiohttp import web

from payments.simulator.admin import guard_page, problem, read_body, reply
from payments.simulator.order_book import OrderBook

if TYPE_CHECKING:
    from payments.simulator.house import House

_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _PayWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    #: ``wrong_password`` changes nothing, like the real one's refusal; nor does ``later``.
    how: Literal["pay", "wrong_password", "later"]


class Pages:
    """Static files, and what the till needs to know of one order."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._files = {f.name: f.read_bytes() for f in files("payments.simulator").joinpath("static").iterdir()}

    def add_to(self, app: web.Application) -> None:
        """Put the paths into the application."""
        add = app.router.add_route
        add("GET", "/", self.overview)
        add("GET", "/static/{name}", self.static)
        add("GET", "/pay/{token}", self.till)
        add("GET", "/pay/{token}/order", self.order)
        add("POST", "/pay/{token}", self.pay)

    def _file(self, name: str) -> web.Response:
        kind = _KINDS.get(name[name.rfind(".") :])
        if name not in self._files or kind is None:
            raise problem(404, "there is no such file")
        return web.Response(body=self._files[name], content_type=kind, charset="utf-8", headers=_HEADERS)

    async def overview(self, request: web.Request) -> web.Response:
        """The page of whoever rehearses."""
        guard_page(request)
        return self._file("overview.html")

    async def static(self, request: web.Request) -> web.Response:
        """Its parts."""
        return self._file(request.match_info["name"])

    async def till(self, request: web.Request) -> web.Response:
        """Where a student pays."""
        guard_page(request)
        return self._file("till.html")

    def _order(self, request: web.Request) -> OrderBook:
        # What a merchant was given may carry the provider's own wrapping around the token.
        token = request.match_info["token"].removeprefix("wx")
        order = self._house.books.order_of_token(token)
        if order is None:
            raise problem(404, "nobody here knows this code")
        return order

    async def order(self, request: web.Request) -> web.Response:
        """What the till shows."""
        guard_page(request)
        order = self._order(request)
        return reply(
            {
                "channel": order.opened.channel,
                "number": order.key.number,
                "description": order.opened.description,
                "amount_fen": order.opened.amount_fen,
                "standing": order.standing(self._house.clock.now()),
            }
        )

    async def pay(self, request: web.Request) -> web.Response:
        """The student decides."""
        wish = await read_body(request, _PayWish)
        order = self._order(request)
        if wish.how != "pay":
            return reply({"result": wish.how})
        payer = order.opened.terms.get("openid") or f"payer-of-{order.key.number}"
        return reply({"result": self._house.desk.pay(order, payer)})
