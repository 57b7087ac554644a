"""A small institution for demonstrations and tests, with its own database and books, that misbehaves when told to.

It knows nothing of the merchant's rows: it takes orders under the merchant's numbers, lets a payer pay a token, freezes
the money, splits it, gives it back, and calls the merchant with signed notices until it is heard.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Literal, TypeVar

import msgspec

from payments.channels import sandbox_signing as signing
from payments.channels.sandbox_books import FAULTS, SLOW_S, Books, Fault, OrderNotTaken, Row
from payments.channels.sandbox_tables import MIGRATIONS
from payments.money import Fen
from payments.outcomes import (
    BillAnswer,
    CloseAnswer,
    InstitutionBook,
    MoneyAnswer,
    OrderToCreate,
    QueryAnswer,
    Receiver,
    SplitAnswer,
)
from payments.port import CallbackReply
from payments.store.database import Database, Sql, migrate
from payments.store.instant import from_us

T = TypeVar("T")

SCHEMA = "sandbox_bank"

#: Calls the merchant: (channel, headers, body) → its reply; a status of 2xx means heard.
Notify = Callable[[str, Mapping[str, str], bytes], Awaitable[CallbackReply]]


class ReplyLost(Exception):
    """The bank did its work, and the answer never arrived."""


class PayPage(msgspec.Struct, frozen=True, kw_only=True):
    """What a payer sees before paying."""

    order_ref: str
    description: str
    amount_fen: Fen
    state: Literal["open", "paid", "closed"]
    channel: str
    expires_at: datetime


PayResult = Literal["paid", "already_paid", "insufficient", "closed", "unknown_token"]


class ScriptView(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that waits to happen."""

    order_ref: str
    channel: str
    fault: str
    remaining: int
    value: str


class SandboxBank:
    """One institution; any number of channels and of processes may share its database."""

    def __init__(
        self,
        database_url: str,
        now: Callable[[], datetime],
        secret: bytes,
        notify: Notify | None = None,
        *,
        wall_s: Callable[[], float] = time.time,
        new_token: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        self._database = Database(database_url, SCHEMA)
        self._now = now
        self._secret = secret
        self._wall_s = wall_s
        self._new_token = new_token
        #: Where the notices go; the merchant that is built later sets it.
        self.notify = notify

    async def migrate(self) -> int:
        """Bring the bank's schema up to date."""
        return await self._database.run(partial(migrate, migrations=MIGRATIONS, schema=SCHEMA))

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    async def _run(self, fn: Callable[[Books], T]) -> T:
        return await self._database.run(lambda c: fn(Books(Sql(c), self._now(), self._new_token)))

    async def _read(self, fn: Callable[[Books], T]) -> T:
        return await self._database.read(lambda c: fn(Books(Sql(c), self._now(), self._new_token)))

    # -- the operator of the sandbox --------------------------------------------------------------------------------

    async def script(self, order_ref: str, fault: Fault, count: int = 1, value: str = "", channel: str = "*") -> None:
        """Let a fault happen ``count`` times to an order (or to any: "*"), on one channel or on any."""
        if fault not in FAULTS or not 1 <= count <= 1000:
            raise ValueError(f"no such fault: {fault!r} × {count}")
        await self._run(lambda books: books.add_script(order_ref, channel, fault, count, value))

    async def scripts(self) -> list[ScriptView]:
        """The faults still to happen."""
        query = "SELECT order_ref, channel, fault, remaining, value FROM scripts WHERE remaining > 0 ORDER BY id"
        rows = await self._database.read(lambda c: Sql(c).rows(query))
        return msgspec.convert(rows, list[ScriptView])

    async def clear_scripts(self) -> None:
        """No more faults."""
        await self._database.run(lambda c: Sql(c).do("UPDATE scripts SET remaining = 0"))

    # -- the payer --------------------------------------------------------------------------------------------------

    async def page(self, token: str) -> PayPage | None:
        """What the holder of this token may pay; None for an unknown one."""

        def look(books: Books) -> PayPage | None:
            order = self._open_token(books, token)
            if order is None:
                return None
            return PayPage(
                order_ref=order["order_ref"],
                description=order["description"],
                amount_fen=order["amount_fen"],
                state=books.state(order),
                channel=order["channel"],
                expires_at=from_us(order["expires_at"]),
            )

        return await self._run(look)

    async def pay(self, token: str, outcome: Literal["ok", "insufficient"] = "ok") -> PayResult:
        """The payer presses pay. When the merchant can be told now, it has been when this returns."""

        def act(books: Books) -> PayResult:
            order = self._open_token(books, token)
            if order is None:
                return "unknown_token"
            state = books.state(order)
            if state == "closed" and books.take("pays_closed", order["order_ref"], order["channel"]) is not None:
                state = "open"
            if state != "open":
                return "already_paid" if state == "paid" else "closed"
            is_short = outcome == "insufficient"
            if is_short or books.take("insufficient", order["order_ref"], order["channel"]) is not None:
                return "insufficient"
            books.take_money(order)
            return "paid"

        result = await self._run(act)
        if result == "paid":
            await self.work()
        return result

    def _open_token(self, books: Books, token: str) -> Row | None:
        order = books.order_of_token(token)
        if order is not None:
            return order
        sealed = signing.unseal(self._secret, token)
        return None if sealed is None else books.create(sealed.channel, sealed.order, token)

    # -- the merchant -----------------------------------------------------------------------------------------------

    async def create(self, channel: str, order: OrderToCreate) -> str:
        """Take an order; the token that its payer pays with. OrderNotTaken, ReplyLost."""

        def act(books: Books) -> tuple[str, float, bool] | OrderNotTaken | ReplyLost:
            obstacle = _obstacle(books, channel, order)
            return obstacle or (books.create(channel, order)["token"], *_hesitation(books, channel, order))

        token, slow_s, is_lost = _taken(await self._run(act))
        await _hesitate(slow_s, is_lost=is_lost)
        return token

    async def debit(self, channel: str, order: OrderToCreate) -> QueryAnswer:
        """Take the money at once; "closed" when the payer has not got it. OrderNotTaken, ReplyLost."""

        def act(books: Books) -> tuple[QueryAnswer, float, bool] | OrderNotTaken | ReplyLost:
            obstacle = _obstacle(books, channel, order)
            if obstacle is not None:
                return obstacle
            row = books.create(channel, order)
            if row["state"] == "open":
                if books.take("insufficient", order.order_ref, channel) is None:
                    books.take_money(row)
                else:
                    books.close(row)
            return books.standing(order.attempt_id), *_hesitation(books, channel, order)

        standing, slow_s, is_lost = _taken(await self._run(act))
        await _hesitate(slow_s, is_lost=is_lost)
        return standing

    def seal(self, channel: str, order: OrderToCreate) -> str:
        """A token made without asking the bank: its order comes into being when the payer opens it."""
        return signing.seal(self._secret, channel, order)

    async def query(self, out_no: str) -> QueryAnswer:
        """How the order stands. ReplyLost."""

        def act(books: Books) -> tuple[QueryAnswer, bool]:
            order = books.order(out_no)
            is_lost = order is not None and books.take("query_lost", order["order_ref"], order["channel"]) is not None
            return books.standing(out_no), is_lost

        answer, is_lost = await self._run(act)
        await _hesitate(0.0, is_lost=is_lost)
        return answer

    async def cancel(self, out_no: str) -> CloseAnswer:
        """Close an open order. An unknown number is answered politely, too."""

        def act(books: Books) -> CloseAnswer:
            order = books.order(out_no)
            if order is None:
                return "asked"
            if books.state(order) == "paid":
                return "paid"
            if books.take("close_ignored", order["order_ref"], order["channel"]) is None:
                books.close(order)
            return "asked"

        return await self._run(act)

    async def split(self, out_no: str, number: str, receivers: Sequence[Receiver]) -> SplitAnswer:
        """Pay receivers out of the frozen money; the same number again reports. ReplyLost."""

        def act(books: Books) -> tuple[SplitAnswer, bool]:
            order = books.order(out_no)
            if order is None:
                return SplitAnswer(reason="no_such_order"), False
            outcomes = books.split(order, number, receivers)
            is_lost = books.take("split_lost", order["order_ref"], order["channel"]) is not None
            answer = SplitAnswer(reason=outcomes) if isinstance(outcomes, str) else SplitAnswer(receivers=outcomes)
            return answer, is_lost

        answer, is_lost = await self._run(act)
        await _hesitate(0.0, is_lost=is_lost)
        return answer

    async def give_back(self, out_no: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Frozen money to the payer; the same number again changes nothing. ReplyLost."""

        def act(books: Books) -> tuple[MoneyAnswer, bool]:
            order = books.order(out_no)
            if order is None:
                return MoneyAnswer(standing="failed", reason="no_such_order"), False
            answer = books.give_back(order, number, amount_fen)
            return answer, books.take("release_lost", order["order_ref"], order["channel"]) is not None

        answer, is_lost = await self._run(act)
        await _hesitate(0.0, is_lost=is_lost)
        return answer

    async def refund(self, out_no: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Split money to the payer, at the merchant's expense; the same number again changes nothing."""

        def act(books: Books) -> MoneyAnswer:
            order = books.order(out_no)
            if order is None:
                return MoneyAnswer(standing="failed", reason="no_such_order")
            return books.refund(order, number, amount_fen)

        return await self._run(act)

    async def take_back(self, out_no: str, number: str, split_number: str, receiver: Receiver) -> MoneyAnswer:
        """A receiver's part, frozen again; the same number again changes nothing. ReplyLost."""

        def act(books: Books) -> tuple[MoneyAnswer, bool]:
            order = books.order(out_no)
            if order is None:
                return MoneyAnswer(standing="failed", reason="no_such_order"), False
            answer = books.take_back(order, number, split_number, receiver)
            return answer, books.take("take_back_lost", order["order_ref"], order["channel"]) is not None

        answer, is_lost = await self._run(act)
        await _hesitate(0.0, is_lost=is_lost)
        return answer

    async def transfer(self, channel: str, number: str, account_ref: str, amount_fen: Fen) -> MoneyAnswer:
        """The merchant's own money to a person; faults are found by the account. ReplyLost."""

        def act(books: Books) -> tuple[MoneyAnswer, bool]:
            answer = books.transfer(channel, number, account_ref, amount_fen)
            return answer, books.take("transfer_lost", account_ref, channel) is not None

        answer, is_lost = await self._run(act)
        await _hesitate(0.0, is_lost=is_lost)
        return answer

    async def transfers(self, channel: str) -> dict[str, Fen]:
        """What a channel's merchant transferred, by number."""
        return await self._read(lambda books: books.transfers(channel))

    async def books(self, channel: str) -> list[InstitutionBook]:
        """Every order of a channel that money came in by."""
        return await self._read(lambda books: books.of_channel(channel))

    async def bill(self, channel: str, day: date) -> BillAnswer:
        """A channel's bill of one day, from ten o'clock of the next one on."""
        return await self._run(lambda books: books.bill(channel, day))

    # -- notices ----------------------------------------------------------------------------------------------------

    async def work(self) -> int:
        """Send the notices that are due; how many."""
        if self.notify is None:
            return 0
        sent = 0
        for notice in await self._read(lambda books: books.due_notices()):
            # The next sending is booked before this one: a crash then sends once more rather than never.
            if await self._run(partial(Books.book_next_sending, notice=notice)):
                sent += 1
                await self._send(self.notify, notice)
        return sent

    async def _send(self, notify: Notify, notice: Row) -> None:
        body = notice["body"].encode()
        is_heard = False
        for _ in range(notice["copies"]):
            headers = signing.headers(self._secret, body, self._wall_s(), self._new_token())
            try:
                async with asyncio.timeout(5.0):
                    reply = await notify(notice["channel"], headers, body)
            except (OSError, TimeoutError):
                continue
            is_heard = is_heard or 200 <= reply.status < 300
        if is_heard:
            await self._run(partial(Books.heard, notice=notice))


def _obstacle(books: Books, channel: str, order: OrderToCreate) -> OrderNotTaken | ReplyLost | None:
    refusal = books.refusal(channel, order)
    if refusal is None and books.take("request_lost", order.order_ref, channel) is not None:
        return ReplyLost()
    return refusal


def _hesitation(books: Books, channel: str, order: OrderToCreate) -> tuple[float, bool]:
    slow = books.take("slow", order.order_ref, channel)
    return 0.0 if slow is None else float(slow or SLOW_S), books.take("unknown", order.order_ref, channel) is not None


def _taken(result: T | OrderNotTaken | ReplyLost) -> T:
    if isinstance(result, OrderNotTaken | ReplyLost):
        raise result
    return result


async def _hesitate(slow_s: float, *, is_lost: bool) -> None:
    """After the commit: the bank's side is done, whatever becomes of the reply."""
    if slow_s:
        await asyncio.sleep(slow_s)
    if is_lost:
        raise ReplyLost
