"""What the outside world can answer, as values: a channel never raises for what a provider said or left unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

import msgspec

from payments.money import Fen
from payments.port import Party


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel can and cannot do. The core reads these and never a provider's name.

    ``is_direct_debit``: the call itself takes the money, so a time-out is unknown and nothing may be dropped.
    ``creates_locally``: the credential is signed here without a call, and the order exists at the provider only once
    the payer opened it; until it expires, "no such order" proves nothing.
    """

    code: str
    name_zh: str
    name_en: str
    is_demo: bool = False
    is_direct_debit: bool = False
    creates_locally: bool = False
    can_close: bool = True
    #: A credential lives no longer than this, whatever the intent allows.
    expiry_max_s: float = 7200.0
    #: How long after a credential's expiry (or a debit's call) the provider may still turn it into money.
    expiry_margin_s: float = 60.0
    #: Whether it pays receivers out of a hold, or else its contract names who does. One that does not is not offered:
    #: every order is in escrow.
    can_split: bool = True
    #: Whether a runner's part may stay in its hold when the others are paid out of it. Where all of a settlement is
    #: taken by one call, it is paid at once.
    keeps_parts: bool = True
    #: Whose part of a split it takes back for a refund; never a person's.
    takes_back_from: tuple[Party, ...] = ()
    #: Whether its message that an order is paid counts only once a query says the same.
    confirms_by_query: bool = False
    #: Whether it pays a person from the merchant's own money, and what it may need to know of them, as keys of ``to``.
    can_transfer: bool = False
    transfer_needs: tuple[str, ...] = ()
    #: Whether a runner's withdrawn part goes to the merchant by the split, and to the person by a transfer after it.
    transfers_withdrawals: bool = False
    #: Whether it makes a bill of each day.
    has_bills: bool = False
    #: Whose part of a split certainly stands on its bill: a part that stays with the merchant moves nothing there.
    billed_parts: tuple[Party, ...] = ()
    #: Whether what it pays to persons stands on its bill of the merchant's funds.
    bills_transfers: bool = False
    #: The most that one order may cost there, as configured; None: no limit.
    limit_fen: Fen | None = None
    #: What it must know of the payer, as keys of ``OrderToCreate.payer``: ``openid``, ``client_ip``, ``auth_code`` …
    needs: tuple[str, ...] = ()
    #: How a payer gives what it needs: at a page of the provider's that knows them (``page``), by hand (``token``), or
    #: in no way that this channel knows of.
    binding: Literal["", "page", "token"] = ""
    #: What it must know of a runner to pay their part to themselves, as it is entrusted; (): the part stays with the
    #: merchant, or the provider knows them.
    pays_to: tuple[str, ...] = ()

    @property
    def is_fenceable(self) -> bool:
        """Whether an attempt can be dropped whose credential was never delivered: nobody could have paid with it. A
        debit has no fence, since the call itself takes the money."""
        return not self.is_direct_debit


class OrderToCreate(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt as the provider gets to see it; ``attempt_id`` is the merchant's order number there."""

    attempt_id: str
    amount_fen: Fen
    description: str
    order_ref: str
    payer_ref: str
    expires_at: datetime
    #: What the channel needs of the payer; revealed for the call and kept nowhere.
    payer: Mapping[str, str] = {}


# -- creating a credential ----------------------------------------------------------------------------------------


class Issued(msgspec.Struct, frozen=True):
    """The payer can pay with this credential once it is delivered."""

    credential: dict[str, Any]


#: The reason of an answer that our own side made: no connection was free. It says nothing about the provider.
OVERLOAD = "overload"


class NotIssued(msgspec.Struct, frozen=True):
    """No credential came (time-out, 5xx, declined): it was never delivered, so nobody can pay with it.

    ``is_alarm``: another channel may serve this order, but a person has to look at this one (401: our key or clock is
    not accepted, 403: we lack a right, 429: we ask too often).
    """

    reason: str
    may_switch: bool = True
    is_alarm: bool = False


class Refused(msgspec.Struct, frozen=True):
    """The provider judged the order itself (a rule, our own mistake): no other channel may be tried."""

    reason: str


CreateAnswer = Issued | NotIssued | Refused


# -- debiting directly --------------------------------------------------------------------------------------------


class Succeeded(msgspec.Struct, frozen=True):
    """The money is taken."""

    amount_fen: Fen
    transaction_id: str


class Declined(msgspec.Struct, frozen=True):
    """The money is certainly not taken."""

    reason: str
    may_switch: bool = True


class Unknown(msgspec.Struct, frozen=True):
    """Nobody knows whether the money is taken: ask the same channel again."""

    reason: str


DebitAnswer = Succeeded | Declined | Unknown


# -- asking, closing ----------------------------------------------------------------------------------------------

#: paid · unpaid: open and payable · closed: nobody can pay it any more · absent: no such order (yet) · no_answer.
Standing = Literal["paid", "unpaid", "closed", "absent", "no_answer"]


class QueryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How an order stands at the provider. The amount and the transaction are set when it is paid."""

    standing: Standing
    amount_fen: Fen = Fen(0)
    transaction_id: str = ""


#: asked: the request arrived, which proves nothing · paid: too late, it is paid · no_answer.
CloseAnswer = Literal["asked", "paid", "no_answer"]


# -- money that leaves --------------------------------------------------------------------------------------------


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets how much of a captured order."""

    party: Party
    account_ref: str
    amount_fen: Fen


class ReceiverOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one receiver's part: paid, still going on, or closed (and may be tried anew)."""

    party: Party
    account_ref: str
    standing: Literal["paid", "pending", "closed"]
    reason: str = ""


#: The reason of an answer while the payee has to say yes first.
WAITS_FOR_PAYEE = "waits_for_payee"


class SplitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Each receiver's outcome; none when no answer came. That a split has finished says nothing about a receiver."""

    receivers: tuple[ReceiverOutcome, ...] = ()
    reason: str = ""
    #: Where a receiver is paid by a transfer: see MoneyAnswer.
    confirm: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"SplitAnswer({self.receivers}, {self.reason!r})"


class MoneyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of giving money back. Whatever it is, asking again keeps the same number.

    ``confirm``: with what the payee says yes to it at the provider's, while that is waited for; None: what was told
    before holds. ``is_spent``: it failed for good, and its number with it.
    """

    standing: Literal["done", "pending", "failed", "no_answer"]
    reason: str = ""
    confirm: Mapping[str, Any] | None = None
    is_spent: bool = False

    def __repr__(self) -> str:
        return f"MoneyAnswer({self.standing}, {self.reason!r})"


# -- being called -------------------------------------------------------------------------------------------------


class PaidNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A verified message of the provider: this order is paid. ``notice_id`` is the same when it is sent again."""

    notice_id: str
    attempt_id: str
    amount_fen: Fen
    transaction_id: str


class MoneyNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A verified message of the provider: something became of our instruction ``number`` (a refund, a split, a
    transfer). It says when to ask, never what came of it."""

    notice_id: str
    number: str


class OtherNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A verified message that changes nothing here; it is accepted, so that it is not sent again."""

    notice_id: str
    what: str


class BadNotice(msgspec.Struct, frozen=True):
    """A message that is not proved to come from the provider, or not understood."""

    reason: str


# -- a day's bill -------------------------------------------------------------------------------------------------


#: paid · refunded: back to the payer, whether split or not · split: to a receiver · taken_back: from a receiver ·
#: transferred: from the merchant's own money to a person (below zero: it came back) · fee: what the provider keeps.
BillKind = Literal["paid", "refunded", "split", "taken_back", "transferred", "fee"]


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a provider's bill. ``number`` is ours: the attempt's for a payment, else the instruction's."""

    kind: BillKind
    attempt_id: str
    number: str
    amount_fen: Fen
    transaction_id: str = ""
    at: datetime | None = None


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of one day: its trades, and (where it makes one) the movements of the merchant's funds."""

    day: date
    trades: tuple[BillLine, ...]
    flows: tuple[BillLine, ...] | None = None


class NoBill(msgspec.Struct, frozen=True, kw_only=True):
    """The bill could not be had; ``is_final``: there will be none for that day (nothing happened)."""

    reason: str
    is_final: bool = False


BillAnswer = Bill | NoBill


# -- the institution's own books ----------------------------------------------------------------------------------


class InstitutionBook(msgspec.Struct, frozen=True, kw_only=True):
    """One order in the provider's own books; paid = frozen + split + returned there."""

    attempt_id: str
    paid_fen: Fen
    split_fen: Fen
    returned_fen: Fen
    refunded_fen: Fen
    frozen_fen: Fen
