"""A card centre that keeps the campus-card contract: debits taken at once, reversed ahead, refunded and billed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

import msgspec

from payments.channels import campus_card_words as words
from payments.channels.china import BEIJING
from payments.simulator import bills, events
from payments.simulator.campus_card_account import INSTITUTION, PREFIX, Account
from payments.simulator.desk import Refusal
from payments.simulator.events import AnyEvent, NoticeQueued, OrderKey
from payments.simulator.order_book import NoticeBook, OrderBook
from payments.simulator.protocol import Answer, Asked, Call, Letter, Room, Twist

MINUTE, HOUR = 60, 3600
LADDER_S = (4 * MINUTE, 10 * MINUTE, 10 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 15 * HOUR)
PATIENCE_S = 5.0

#: The terms of a debit that was never taken: why, and whether it was reversed.
_REASON, _REVERSED = "reason", "reversed"
_NUMBER = re.compile(r"[0-9A-Za-z]{8,32}")
_REFUND_NUMBER = re.compile(r"[0-9A-Za-z_\-]{8,32}")
_STATUS = {"mismatch": 409, "not_found": 404, "no_bill": 404}
_REFUSALS = {"different": "mismatch", "not_paid": "not_paid", "too_much": "too_much", "too_old": "too_old"}

T = TypeVar("T")
Handler = Callable[[Call, str], Asked]


class _Fault(Exception):
    """A no, with its code."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.fault = words.Fault(code=code, message=message)


class CampusCardProtocol:
    """One merchant's account at a card centre."""

    institution = INSTITUTION
    prefixes = (f"{PREFIX}/",)
    ladder_s = LADDER_S
    patience_s = PATIENCE_S

    def __init__(self, room: Room) -> None:
        self._desk = room.desk
        self._account = Account(room)
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/debits", self._debit),
            ("GET", "/debits/([^/]+)", self._query),
            ("POST", "/debits/([^/]+)/reverse", self._reverse),
            ("POST", "/debits/([^/]+)/refunds", self._refund),
            ("GET", "/bills/([^/]+)", self._bill),
        ]
        self._routes = [(method, re.compile(PREFIX + path), handler) for method, path, handler in table]

    def settings(self, base_url: str, backup_url: str) -> Mapping[str, str]:
        return self._account.settings(base_url, backup_url)

    def understand(self, call: Call) -> Asked | Answer:
        why = self._account.why_not(call)
        if why is not None:
            return _fault(words.Fault(code=why), 401)
        try:
            for method, path, handler in self._routes:
                found = path.fullmatch(call.path)
                if found is not None and method == call.method:
                    return self._guarded(handler(call, "".join(found.groups())))
        except _Fault as no:
            return _fault(no.fault)
        return _fault(words.Fault(code="invalid", message=f"no such path: {call.method} {call.path}"), 404)

    def _guarded(self, asked: Asked) -> Asked:
        def act() -> Answer:
            try:
                return asked.act()
            except _Fault as no:
                return _fault(no.fault)

        return msgspec.structs.replace(asked, act=act)

    def _asked(self, operation: str, act: Callable[[], Answer], number: str = "") -> Asked:
        return Asked(channel=INSTITUTION, operation=operation, act=act, number=number)

    def _key(self, number: str) -> OrderKey:
        return OrderKey(INSTITUTION, self._account.merchant, number)

    def _order(self, number: str) -> OrderBook | None:
        return self._desk.books.order(self._key(number))

    # -- debits -------------------------------------------------------------------------------------------------------

    def _debit(self, call: Call, _: str) -> Asked:
        wanted = _parsed(call.body, words.DebitWanted)
        if not _NUMBER.fullmatch(wanted.number) or wanted.amount_fen <= 0:
            raise _Fault("invalid", "number: 8 to 32 letters and digits; amount_fen: at least 1")
        return self._asked("debit", lambda: self._take(wanted), wanted.number)

    def _take(self, wanted: words.DebitWanted) -> Answer:
        known = self._order(wanted.number)
        if known is not None and (known.charges or known.is_closed):
            is_same = (known.opened.amount_fen, known.opened.terms.get("contract_id")) == (
                wanted.amount_fen,
                wanted.card_token,
            )
            if not is_same and _REVERSED not in known.opened.terms:
                raise _Fault("mismatch")
            return _said(self._words(known))
        payer = self._payer_of(wanted.card_token)
        why = "too_late" if self._desk.clock.wall_s() > wanted.good_until else "unknown_card" if payer is None else ""
        order = self._opened(wanted, payer or "", why)
        if why or self._desk.pay(order, payer or "", "debit") != "paid":
            self._desk.books.book(events.Closed(key=order.key))
        return _said(self._words(order))

    def _payer_of(self, card_token: str) -> str | None:
        card = self._desk.books.contracts.get((INSTITUTION, card_token))
        if card is None and self._account.options.any_card and card_token:
            made = self._desk.make_contract(
                INSTITUTION, card_token, f"holder-of-{card_token}", self._account.options.card_fen
            )
            card = None if isinstance(made, Refusal) else made
        return None if card is None or card.is_ended else card.made.payer

    def _opened(self, wanted: words.DebitWanted, payer: str, why: str) -> OrderBook:
        terms = {"contract_id": wanted.card_token, "openid": payer, _REASON: why}
        order = self._desk.open(
            events.Opened(
                key=self._key(wanted.number),
                channel=INSTITUTION,
                kind="DEBIT",
                amount_fen=wanted.amount_fen,
                description=wanted.description[:128],
                token=self._desk.new_token(),
                notify_url=wanted.notify_url,
                terms={name: value for name, value in terms.items() if value},
            )
        )
        if isinstance(order, Refusal):
            raise _Fault("refused", "the simulator's books are full: start it with a new state file")
        return order

    def _words(self, order: OrderBook) -> words.Debit:
        number, paid = order.key.number, order.charges[0] if order.charges else None
        if paid is not None:
            return words.Debit(
                number=number, state="paid", amount_fen=paid.amount_fen, transaction_id=paid.transaction_id
            )
        if _REVERSED in order.opened.terms:
            return words.Debit(number=number, state="reversed")
        if not order.is_closed:
            return words.Debit(number=number, state="processing", amount_fen=order.opened.amount_fen)
        reason = order.opened.terms.get(_REASON, "insufficient")
        return words.Debit(number=number, state="declined", amount_fen=order.opened.amount_fen, reason=reason)

    def _query(self, _: Call, number: str) -> Asked:
        def act() -> Answer:
            order = self._order(number)
            if order is None or self._desk.is_hidden(order, "query"):
                raise _Fault("not_found")
            return _said(self._words(order))

        return self._asked("query", act, number)

    def _reverse(self, _: Call, number: str) -> Asked:
        if not _NUMBER.fullmatch(number):
            raise _Fault("invalid", "number: 8 to 32 letters and digits")
        return self._asked("close", lambda: self._reversed(number), number)

    def _reversed(self, number: str) -> Answer:
        """What was never heard of is reversed as well: the debit may still be on its way."""
        order = self._order(number)
        if order is not None:
            if not order.charges and not order.is_closed:
                self._desk.books.book(events.Closed(key=order.key))
            return _said(self._words(order))
        if self._desk.faults.fires("no_effect", INSTITUTION, "close", number) is not None:
            return _said(words.Debit(number=number, state="reversed"))
        opened = events.Opened(
            key=self._key(number),
            channel=INSTITUTION,
            kind="DEBIT",
            amount_fen=0,
            description="",
            token=self._desk.new_token(),
            terms={_REVERSED: "1"},
        )
        self._desk.books.book(opened, events.Closed(key=opened.key))
        return _said(self._words(self._desk.books.orders[opened.key]))

    # -- refunds ------------------------------------------------------------------------------------------------------

    def _refund(self, call: Call, number: str) -> Asked:
        wanted = _parsed(call.body, words.RefundWanted)
        if not _REFUND_NUMBER.fullmatch(wanted.number):
            raise _Fault("invalid", "number: 8 to 32 letters, digits, - or _")
        return self._asked("refund", lambda: self._give_back(number, wanted), number)

    def _give_back(self, number: str, wanted: words.RefundWanted) -> Answer:
        order = self._order(number)
        if order is None:
            raise _Fault("not_found")
        refund = self._desk.refund(
            order, wanted.number, wanted.amount_fen, notify_url=order.opened.notify_url, takes_s=0.0
        )
        if isinstance(refund, Refusal):
            raise _Fault(_REFUSALS.get(refund.code, "refused"))
        self._desk.work()
        states: dict[str, words.RefundState] = {"done": "done", "pending": "processing"}
        state = states.get(refund.standing, "failed")
        reason = {"closed": "closed", "abnormal": "card_cancelled"}.get(refund.standing, "")
        return _said(
            words.Refund(number=wanted.number, state=state, amount_fen=refund.opened.amount_fen, reason=reason)
        )

    # -- bills --------------------------------------------------------------------------------------------------------

    def _bill(self, _: Call, text: str) -> Asked:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise _Fault("invalid", "a day as in 2026-10-03") from None
        return self._asked("bill", lambda: self._day_bill(day))

    def _day_bill(self, day: date) -> Answer:
        today = self._desk.clock.now().astimezone(BEIJING).date()
        if day >= today and not (day == today and self._account.options.bills_at_once):
            raise _Fault("no_bill")
        since = datetime.combine(day, datetime.min.time(), BEIJING)
        trades = bills.trades(self._desk.books, INSTITUTION, {self._account.merchant}, since, since + timedelta(days=1))
        lines = tuple(_entry(trade) for trade in trades)
        sums = {kind: sum(line.amount_fen for line in lines if line.kind == kind) for kind in ("paid", "refunded")}
        return _said(words.DayBill(day=day, lines=lines, paid_fen=sums["paid"], refunded_fen=sums["refunded"]))

    # -- answers ------------------------------------------------------------------------------------------------------

    def refusal(self, code: str) -> Answer:
        return _fault(words.Fault(code=code.lower(), message="the fault plan of the simulator says so"))

    def broken(self, status: int) -> Answer:
        return Answer(status=status, body=b'{"code":"broken"}', is_signed=False)

    def seal(self, call: Call, answer: Answer, twist: Twist) -> Answer:
        if not answer.is_signed:
            return answer
        proof = self._account.reply_headers(call, answer.status, answer.body, twist)
        return msgspec.structs.replace(answer, headers={**answer.headers, **proof})

    def rotate(self) -> str:
        """There are no certificates."""
        return ""

    # -- telling the merchant -----------------------------------------------------------------------------------------

    def notices(self, event: AnyEvent) -> Sequence[NoticeQueued]:
        match event:
            case events.Charged():
                order = self._desk.books.orders[event.key]
                return self._queued("debit_paid", order, event.key.number, event.amount_fen, event.transaction_id)
            case events.RefundEnded():
                order = self._desk.books.orders[event.key]
                kind = "refund_done" if event.standing == "done" else "refund_failed"
                return self._queued(kind, order, event.number, order.refunds[event.number].opened.amount_fen)
            case _:
                return []

    def _queued(
        self, kind: str, order: OrderBook, number: str, amount_fen: int, transaction_id: str = ""
    ) -> list[NoticeQueued]:
        if not order.opened.notify_url:
            return []
        late = self._desk.faults.fires("notice_late", INSTITUTION, "notify", order.key.number)
        wait_s = self._desk.clock.hastened_s(late.number) if late else 0.0
        notice_id = f"CN{self._desk.new_number('', 24)}"
        told = words.Notice(
            id=notice_id, event=kind, number=number, amount_fen=amount_fen, transaction_id=transaction_id
        )
        return [
            NoticeQueued(
                notice_id=notice_id,
                institution=INSTITUTION,
                channel=INSTITUTION,
                key=order.key,
                kind=kind,
                url=order.opened.notify_url,
                text=msgspec.json.encode(told).decode(),
                due_at_s=self._desk.clock.wall_s() + wait_s,
            )
        ]

    def letter(self, notice: NoticeBook, twist: Twist) -> Letter:
        body = notice.queued.text.encode()
        return Letter(
            headers={"Content-Type": "application/json", **self._account.notice_headers(body, twist)}, body=body
        )

    def is_heard(self, status: int, body: bytes) -> bool:
        return status == 200


def _parsed(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as problem:
        raise _Fault("invalid", str(problem)) from None


def _said(what: words.Debit | words.Refund | words.DayBill) -> Answer:
    return Answer(body=msgspec.json.encode(what))


def _fault(fault: words.Fault, status: int | None = None) -> Answer:
    return Answer(status=status or _STATUS.get(fault.code, 400), body=msgspec.json.encode(fault))


def _entry(trade: bills.Trade) -> words.BillEntry:
    paid, refund = trade.order.charges[0], trade.refund
    return words.BillEntry(
        kind="refunded" if refund else "paid",
        debit_number=trade.order.key.number,
        number=refund.opened.number if refund else trade.order.key.number,
        amount_fen=refund.opened.amount_fen if refund else paid.amount_fen,
        transaction_id="" if refund else paid.transaction_id,
        at_ms=round(trade.at.timestamp() * 1000),
    )
