"""A university's card as a way to pay: a direct debit under a small contract that the card centre serves.

The call itself takes the money. A time-out, a broken line and an answer that is not proved are therefore unknown, and
only the centre's own signed word is a no.
"""

from __future__ import annotations

import re
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from payments.channels import campus_card_signing as signing
from payments.channels import campus_card_words as words
from payments.channels.campus_card_config import CampusCardConfig
from payments.channels.china import is_bill_overdue
from payments.channels.exchange import Observe, unobserved
from payments.channels.http import CALL_S, REPLY_BYTES, HttpReply, HttpRequest, HttpSilence, ProviderHttp
from payments.channels.over_http import Undivided
from payments.money import Fen
from payments.outcomes import (
    OVERLOAD,
    BadNotice,
    Bill,
    BillAnswer,
    BillLine,
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    Declined,
    MoneyAnswer,
    MoneyNotice,
    NoBill,
    NotIssued,
    OrderToCreate,
    OtherNotice,
    PaidNotice,
    QueryAnswer,
    Succeeded,
    Unknown,
)
from payments.port import CallbackReply

#: What the centre must know of the payer: the token that it gave when the student allowed debits from the card.
_TOKEN = re.compile(r"[0-9A-Za-z_.\-]{4,128}")
CARD_TOKEN = "campus_card_token"  # noqa: S105 - the name of it
#: Real seconds for a debit; the driver's own limit comes after it.
DEBIT_S = 4.5
#: Real seconds for a bill, and the most bytes of it.
BILL_S = 60.0
BILL_BYTES = 64 << 20

#: A fault that another channel cannot mend: our own mistake.
_JUDGED = frozenset({"invalid"})
#: Faults that say nothing of what was done under the number: it exists with another amount or card, or this very
#: message was there before.
_UNDECIDED = frozenset({"mismatch", "replayed"})
#: Faults with which a refund is certainly not done.
_NO_REFUND = frozenset({"invalid", "not_found", "not_paid", "too_much", "too_old", "refused"})

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a call: a proved body with its status, or why there is none. ``was_sent``: it may have worked."""

    status: int = 0
    body: bytes = b""
    silence: str = ""
    was_sent: bool = True

    def read(self, kind: type[T]) -> T | None:
        """The body, when the call was done; None: it was not, or it is not understood."""
        if self.status != 200:
            return None
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.DecodeError:
            return None

    @property
    def fault(self) -> str:
        """The centre's own code for why the call was not done; "" when it said none."""
        if not 400 <= self.status < 500:
            return ""
        try:
            return msgspec.json.decode(self.body, type=words.Fault).code
        except msgspec.DecodeError:
            return ""

    @property
    def reason(self) -> str:
        """A short text for logs and people."""
        return self.silence or self.fault or f"http_{self.status}"


class CampusCardChannel(Undivided):
    """One card centre."""

    def __init__(
        self,
        config: CampusCardConfig,
        *,
        observe: Observe = unobserved,
        wall_s: Callable[[], float] = time.time,
        new_nonce: Callable[[], str] = lambda: secrets.token_hex(16),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        http = ProviderHttp(
            config.code, config.base_url, config.backup_url or None, observe=observe, tls=tls, wall_s=wall_s
        )
        super().__init__(http, _shape(config))
        self._config = config
        self._signer = config.signer()
        self._wall_s = wall_s
        self._new_nonce = new_nonce
        self._path = urlsplit(config.base_url).path.rstrip("/")

    # -- money in -----------------------------------------------------------------------------------------------------

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        return NotIssued("a_debit")

    async def debit(self, order: OrderToCreate) -> DebitAnswer:
        token = order.payer.get(CARD_TOKEN, "")
        if not token:
            return Declined(f"{CARD_TOKEN}_missing")
        wanted = words.DebitWanted(
            number=order.attempt_id,
            amount_fen=order.amount_fen,
            card_token=token,
            description=order.description[:128],
            good_until=int(self._wall_s() + self._config.life_s),
            notify_url=self._config.notify_url,
        )
        answer = await self._call(
            "POST", "/debits", wanted, operation="debit", subject=order.attempt_id, total_s=DEBIT_S, may_repeat=False
        )
        if answer.silence and not answer.was_sent:
            return Declined(answer.silence)
        debit = answer.read(words.Debit)
        if debit is None or debit.number != order.attempt_id:
            is_no = bool(answer.fault) and answer.fault not in _UNDECIDED
            return Declined(answer.fault, may_switch=answer.fault not in _JUDGED) if is_no else Unknown(answer.reason)
        match debit.state:
            case "paid" if debit.transaction_id:
                return Succeeded(Fen(debit.amount_fen), debit.transaction_id)
            case "declined" | "reversed":
                return Declined(debit.reason or debit.state)
            case _:
                return Unknown(debit.state)

    async def query(self, attempt_id: str) -> QueryAnswer:
        answer = await self._call("GET", _debit(attempt_id), None, operation="query", subject=attempt_id)
        return self._standing(answer, attempt_id)

    def _standing(self, answer: Answer, attempt_id: str) -> QueryAnswer:
        if answer.status == 404 and answer.fault == "not_found":
            return QueryAnswer(standing="absent")
        debit = answer.read(words.Debit)
        if debit is None or debit.number != attempt_id:
            return QueryAnswer(standing="no_answer")
        match debit.state:
            case "paid" if debit.transaction_id:
                return QueryAnswer(
                    standing="paid", amount_fen=Fen(debit.amount_fen), transaction_id=debit.transaction_id
                )
            case "declined" | "reversed":
                return QueryAnswer(standing="closed")
            case "processing":
                return QueryAnswer(standing="unpaid")
            case _:
                return QueryAnswer(standing="no_answer")

    async def close(self, attempt_id: str) -> CloseAnswer:
        """Reverse it: what is not taken yet never will be, even if the centre has not heard of it yet."""
        target = f"{_debit(attempt_id)}/reverse"
        answer = await self._call("POST", target, {}, operation="reverse", subject=attempt_id)
        debit = answer.read(words.Debit)
        if debit is None or debit.number != attempt_id:
            return "no_answer"
        return "paid" if debit.state == "paid" else "asked"

    # -- money out ----------------------------------------------------------------------------------------------------

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        return await self.refund(attempt_id, number, amount_fen)

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        wanted = words.RefundWanted(number=number, amount_fen=amount_fen)
        answer = await self._call("POST", f"{_debit(attempt_id)}/refunds", wanted, operation="refund", subject=number)
        refund = answer.read(words.Refund)
        if refund is None or refund.number != number:
            standing: Any = "failed" if answer.fault in _NO_REFUND else "no_answer"
            return MoneyAnswer(standing=standing, reason=answer.reason)
        if refund.state == "done" and refund.amount_fen != amount_fen:
            return MoneyAnswer(standing="failed", reason="other_amount")
        standing = {"done": "done", "processing": "pending", "failed": "failed"}[refund.state]
        return MoneyAnswer(standing=standing, reason=refund.reason)

    # -- payers -------------------------------------------------------------------------------------------------------

    def bind_page(self, back_url: str, state: str) -> str | None:
        """None: the card centre hands its word for a card to the student, who gives it to us."""
        return None

    async def bound(self, given: Mapping[str, str]) -> Mapping[str, str] | str:
        """The word as the student typed it; whether the centre knows it, the first debit tells."""
        token = given.get("card_token", "").strip()
        return {CARD_TOKEN: token} if _TOKEN.fullmatch(token) else "refused"

    # -- what the card centre says ------------------------------------------------------------------------------------

    def read_callback(
        self, headers: Mapping[str, str], body: bytes
    ) -> PaidNotice | MoneyNotice | OtherNotice | BadNotice:
        why = signing.why_not_proved(
            self._signer, signing.NOTICE_SUBJECT, self._config.merchant, headers, body, self._wall_s()
        )
        if why is not None:
            return BadNotice(why)
        try:
            notice = msgspec.json.decode(body, type=words.Notice)
        except msgspec.DecodeError as error:
            return BadNotice(str(error))
        match notice.event:
            case "debit_paid" if notice.transaction_id and notice.number:
                return PaidNotice(
                    notice_id=notice.id,
                    attempt_id=notice.number,
                    amount_fen=Fen(notice.amount_fen),
                    transaction_id=notice.transaction_id,
                )
            case "refund_done" | "refund_failed" if notice.number:
                return MoneyNotice(notice_id=notice.id, number=notice.number)
            case event:
                return OtherNotice(notice_id=notice.id, what=event)

    def reply(self, *, is_accepted: bool) -> CallbackReply:
        return CallbackReply(200, b"{}") if is_accepted else CallbackReply(400, b'{"code":"not_accepted"}')

    async def bill(self, day: date) -> BillAnswer:
        target = f"/bills/{day.isoformat()}"
        answer = await self._call(
            "GET", target, None, operation="bill", subject=day.isoformat(), total_s=BILL_S, most_bytes=BILL_BYTES
        )
        bill = answer.read(words.DayBill)
        if bill is None or bill.day != day:
            is_late = is_bill_overdue(day, datetime.fromtimestamp(self._wall_s(), UTC))
            return NoBill(reason=answer.reason, is_final=answer.fault == "no_bill" and is_late)
        sums = [sum(line.amount_fen for line in bill.lines if line.kind == kind) for kind in ("paid", "refunded")]
        if sums != [bill.paid_fen, bill.refunded_fen]:
            return NoBill(reason=f"its lines give {sums}, it says {[bill.paid_fen, bill.refunded_fen]}")
        return Bill(day=day, trades=tuple(_bill_line(line) for line in bill.lines))

    # -- calling --------------------------------------------------------------------------------

    async def _call(
        self,
        method: str,
        target: str,
        payload: object,
        *,
        operation: str,
        subject: str,
        total_s: float = CALL_S,
        most_bytes: int = REPLY_BYTES,
        may_repeat: bool = True,
    ) -> Answer:
        body = b"" if payload is None else msgspec.json.encode(payload)
        nonce = self._new_nonce()
        about = signing.request_subject(method, self._path + target)
        headers = signing.signed_headers(self._signer, about, self._config.merchant, body, self._wall_s(), nonce)
        request = HttpRequest(
            method=method,
            target=target,
            operation=operation,
            subject=subject,
            headers={**headers, "Content-Type": "application/json"},
            body=body,
            may_repeat=may_repeat,
        )
        reply = await self._http.send(request, total_s=total_s, most_bytes=most_bytes)
        return self._proved(reply, nonce)

    def _proved(self, reply: HttpReply | HttpSilence, nonce: str) -> Answer:
        if isinstance(reply, HttpSilence):
            return Answer(silence=OVERLOAD if reply.kind == "overload" else reply.kind, was_sent=reply.was_sent)
        about = signing.reply_subject(reply.status, nonce)
        why = signing.why_not_proved(
            self._signer, about, self._config.merchant, reply.headers, reply.body, self._wall_s()
        )
        return Answer(status=reply.status, body=reply.body) if why is None else Answer(silence=why)


def _debit(number: str) -> str:
    return f"/debits/{quote(number, safe='')}"


def _bill_line(line: words.BillEntry) -> BillLine:
    return BillLine(
        kind=line.kind,
        attempt_id=line.debit_number,
        number=line.number,
        amount_fen=Fen(line.amount_fen),
        transaction_id=line.transaction_id,
        at=None if line.at_ms is None else datetime.fromtimestamp(line.at_ms / 1000, UTC),
    )


def _shape(config: CampusCardConfig) -> Capabilities:
    return Capabilities(
        code=config.code,
        name_zh=config.name_zh,
        name_en=config.name_en,
        is_demo=config.environment != "live",
        is_direct_debit=True,
        can_close=True,
        expiry_max_s=float(config.life_s),
        expiry_margin_s=float(config.life_s + config.expiry_margin_s),
        can_split=config.parts_paid_by != "nobody",
        has_bills=True,
        limit_fen=config.limit_fen,
        needs=(CARD_TOKEN,),
        binding="token",
    )
