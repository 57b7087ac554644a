"""The sandbox way to pay: the bank seen as a remote party, with its answers turned into values."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Literal

import msgspec

from payments.channels import sandbox_signing as signing
from payments.channels.sandbox_bank import ReplyLost, SandboxBank
from payments.channels.sandbox_books import OrderNotTaken
from payments.money import Fen, Party
from payments.outcomes import (
    BadNotice,
    BillAnswer,
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    Declined,
    InstitutionBook,
    Issued,
    MoneyAnswer,
    NotIssued,
    OrderToCreate,
    PaidNotice,
    QueryAnswer,
    Receiver,
    Refused,
    SplitAnswer,
    Succeeded,
    Unknown,
)
from payments.port import CallbackReply

#: Real seconds within which a credential must have come.
CREATE_S = 0.8
#: Real seconds for a direct debit: it may not be dropped, so it may take longer.
DEBIT_S = 3.0

PAY_URL = "/sandbox/pay"


class _Notice(msgspec.Struct, frozen=True):
    id: str
    event: Literal["paid"]
    out_no: str
    amount_fen: Fen
    transaction_id: str


_notice = msgspec.json.Decoder(_Notice)


def shape(
    code: str = "sandbox",
    kind: Literal["cashier", "debit", "local"] = "cashier",
    *,
    name_zh: str = "演示支付",
    name_en: str = "Demo payment",
    can_close: bool = True,
    can_split: bool = True,
    can_transfer: bool = True,
    takes_back_from: tuple[Party, ...] = ("campus", "platform"),
) -> Capabilities:
    """A sandbox channel that works like a cashier page, like a card that is debited, or like a code signed here."""
    return Capabilities(
        code=code,
        name_zh=name_zh,
        name_en=name_en,
        is_demo=True,
        is_direct_debit=kind == "debit",
        creates_locally=kind == "local",
        can_close=can_close,
        expiry_margin_s=5.0,
        can_split=can_split,
        can_transfer=can_transfer,
        takes_back_from=takes_back_from,
        has_bills=True,
        billed_parts=("runner", "campus", "platform"),
        bills_transfers=can_transfer,
    )


class SandboxChannel:
    """One merchant account at the bank; several make failover real."""

    def __init__(
        self,
        bank: SandboxBank,
        secret: bytes,
        capabilities: Capabilities | None = None,
        *,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._bank = bank
        self._secret = secret
        self._shape = capabilities or shape()
        self._wall_s = wall_s
        self.is_available = True

    @property
    def shape(self) -> Capabilities:
        return self._shape

    async def start(self) -> None:
        """Nothing is kept open: the bank is in this process, and its owner closes it."""

    async def stop(self) -> None:
        """As ``start``."""

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        if self._shape.creates_locally:
            return self._issued(self._bank.seal(self._shape.code, order))
        try:
            async with asyncio.timeout(CREATE_S):
                return self._issued(await self._bank.create(self._shape.code, order))
        except TimeoutError:
            return NotIssued("timeout")
        except ReplyLost:
            return NotIssued("reply_lost")
        except OrderNotTaken as refusal:
            return Refused(refusal.reason) if refusal.is_verdict else NotIssued(refusal.reason)

    def _issued(self, token: str) -> Issued:
        return Issued({"kind": "sandbox", "token": token, "pay_url": PAY_URL})

    async def debit(self, order: OrderToCreate) -> DebitAnswer:
        try:
            async with asyncio.timeout(DEBIT_S):
                standing = await self._bank.debit(self._shape.code, order)
        except (TimeoutError, ReplyLost):
            return Unknown("no_answer")
        except OrderNotTaken as refusal:
            return Declined(refusal.reason, may_switch=not refusal.is_verdict)
        if standing.standing == "paid":
            return Succeeded(standing.amount_fen, standing.transaction_id)
        return Declined("insufficient")

    async def query(self, attempt_id: str) -> QueryAnswer:
        try:
            return await self._bank.query(attempt_id)
        except ReplyLost:
            return QueryAnswer(standing="no_answer")

    async def close(self, attempt_id: str) -> CloseAnswer:
        return await self._bank.cancel(attempt_id)

    async def split(
        self, attempt_id: str, number: str, receivers: Sequence[Receiver], later: Sequence[Receiver] = ()
    ) -> SplitAnswer:
        try:
            return await self._bank.split(attempt_id, number, receivers)
        except ReplyLost:
            return SplitAnswer(reason="reply_lost")

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        try:
            return await self._bank.give_back(attempt_id, number, amount_fen)
        except ReplyLost:
            return MoneyAnswer(standing="no_answer", reason="reply_lost")

    async def take_back(self, attempt_id: str, number: str, split_number: str, receiver: Receiver) -> MoneyAnswer:
        try:
            return await self._bank.take_back(attempt_id, number, split_number, receiver)
        except ReplyLost:
            return MoneyAnswer(standing="no_answer", reason="reply_lost")

    async def transfer(self, number: str, account_ref: str, to: Mapping[str, str], amount_fen: Fen) -> MoneyAnswer:
        try:
            return await self._bank.transfer(self._shape.code, number, account_ref, amount_fen)
        except ReplyLost:
            return MoneyAnswer(standing="no_answer", reason="reply_lost")

    async def transfers(self) -> dict[str, Fen]:
        return await self._bank.transfers(self._shape.code)

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        return await self._bank.refund(attempt_id, number, amount_fen)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> PaidNotice | BadNotice:
        why = signing.why_not_proved(self._secret, headers, body, self._wall_s())
        if why is not None:
            return BadNotice(why)
        try:
            notice = _notice.decode(body)
        except msgspec.DecodeError as error:
            return BadNotice(str(error))
        return PaidNotice(
            notice_id=notice.id,
            attempt_id=notice.out_no,
            amount_fen=notice.amount_fen,
            transaction_id=notice.transaction_id,
        )

    def reply(self, *, is_accepted: bool) -> CallbackReply:
        return CallbackReply(200, b"success") if is_accepted else CallbackReply(400, b"fail")

    async def bill(self, day: date) -> BillAnswer:
        return await self._bank.bill(self._shape.code, day)

    async def books(self) -> list[InstitutionBook]:
        return await self._bank.books(self._shape.code)

    async def work(self) -> int:
        return await self._bank.work()
