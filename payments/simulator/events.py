"""What happens at a provider, as the lines of its journal: every balance and every state follows from them alone."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class OrderKey(msgspec.Struct, frozen=True, order=True):
    """An order as the provider tells orders apart: its merchant's account and the merchant's number for it."""

    institution: str
    merchant: str
    number: str


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="what"):
    """One line of the journal; the journal adds when."""


# -- an order -----------------------------------------------------------------------------------------------------


class Opened(Event, frozen=True, kw_only=True, tag="opened"):
    """A merchant opened an order. ``token`` is what its payer holds: whoever has it can pay."""

    key: OrderKey
    channel: str
    #: The protocol's own word for the way to pay: ``JSAPI``, ``NATIVE``, ``precreate`` …
    kind: str
    amount_fen: int
    description: str
    token: str
    notify_url: str = ""
    expires_at: datetime | None = None
    #: Whether the money stays frozen until it is split or unfrozen.
    is_split: bool = False
    #: What the protocol wants to find again: the payer's openid, the app's id, ``attach`` …
    terms: dict[str, str] = {}


class Charged(Event, frozen=True, kw_only=True, tag="charged"):
    """The payer's account was debited. More than one line for an order is a double charge."""

    key: OrderKey
    transaction_id: str
    amount_fen: int
    payer: str


class Closed(Event, frozen=True, kw_only=True, tag="closed"):
    """Nobody can pay it any more."""

    key: OrderKey


# -- money that goes back or on -----------------------------------------------------------------------------------

RefundStanding = Literal["pending", "done", "closed", "abnormal"]
PartStanding = Literal["pending", "done", "closed"]


class RefundOpened(Event, frozen=True, kw_only=True, tag="refund_opened"):
    """A merchant asked for money to go back to the payer."""

    key: OrderKey
    number: str
    refund_id: str
    amount_fen: int
    #: The part of it that comes out of what is frozen; the rest comes out of the merchant's balance.
    frozen_fen: int
    notify_url: str = ""
    #: When the provider is done with it, in seconds of the wall.
    ends_at_s: float
    ends_as: RefundStanding = "done"
    terms: dict[str, str] = {}


class RefundEnded(Event, frozen=True, kw_only=True, tag="refund_ended"):
    """It arrived, or it did not and the money is the merchant's again."""

    key: OrderKey
    number: str
    standing: RefundStanding


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver's part of a split, and what will become of it."""

    kind: str
    account: str
    amount_fen: int
    detail_id: str
    description: str = ""
    ends_as: PartStanding = "done"
    reason: str = ""


class SplitOpened(Event, frozen=True, kw_only=True, tag="split_opened"):
    """A merchant split an order's frozen money; without parts it only unfreezes the rest."""

    key: OrderKey
    number: str
    split_id: str
    parts: tuple[Part, ...]
    is_last: bool
    notify_url: str = ""
    ends_at_s: float
    terms: dict[str, str] = {}


class SplitEnded(Event, frozen=True, kw_only=True, tag="split_ended"):
    """Every part ended as it was to; with ``is_last`` the rest is the merchant's."""

    key: OrderKey
    number: str


class TakenBack(Event, frozen=True, kw_only=True, tag="taken_back"):
    """A receiver's part, or some of it, went back to the order (or did not)."""

    key: OrderKey
    number: str
    return_id: str
    split_number: str
    account: str
    amount_fen: int
    is_done: bool
    reason: str = ""
    terms: dict[str, str] = {}


# -- beside the orders --------------------------------------------------------------------------------------------


class ReceiverAdded(Event, frozen=True, kw_only=True, tag="receiver_added"):
    """A merchant may split to this account."""

    institution: str
    merchant: str
    kind: str
    account: str
    terms: dict[str, str] = {}


class ReceiverRemoved(Event, frozen=True, kw_only=True, tag="receiver_removed"):
    """It may not any more."""

    institution: str
    merchant: str
    kind: str
    account: str


TransferStanding = Literal["accepted", "waiting", "done", "failed", "cancelled"]


class TransferOpened(Event, frozen=True, kw_only=True, tag="transfer_opened"):
    """A merchant sends money of its own to a person."""

    key: OrderKey
    transfer_id: str
    to: str
    amount_fen: int
    notify_url: str = ""
    #: None: the person has to say yes first, with the token that they hold.
    ends_at_s: float | None = None
    ends_as: TransferStanding = "done"
    token: str = ""
    terms: dict[str, str] = {}


class TransferMoved(Event, frozen=True, kw_only=True, tag="transfer_moved"):
    """It got on."""

    key: OrderKey
    standing: TransferStanding
    reason: str = ""
    ends_at_s: float | None = None


class ContractMade(Event, frozen=True, kw_only=True, tag="contract_made"):
    """A payer agreed to be debited directly; ``balance_fen`` is what there is to debit."""

    institution: str
    contract_id: str
    payer: str
    balance_fen: int


class ContractEnded(Event, frozen=True, kw_only=True, tag="contract_ended"):
    """They do not any more."""

    institution: str
    contract_id: str


# -- telling the merchant -----------------------------------------------------------------------------------------


class NoticeQueued(Event, frozen=True, kw_only=True, tag="notice_queued"):
    """The merchant is to be told; ``text`` is what, before it is signed or encrypted, as the protocol writes it."""

    notice_id: str
    institution: str
    #: Of which channel it is, which faults are set by.
    channel: str
    key: OrderKey
    kind: str
    url: str
    text: str
    due_at_s: float


class NoticeTried(Event, frozen=True, kw_only=True, tag="notice_tried"):
    """It was sent, or lost on the way. ``due_at_s`` (of the wall): when again; None: heard, or given up."""

    notice_id: str
    status: int
    answer: str
    is_heard: bool
    due_at_s: float | None


AnyEvent = (
    Opened
    | Charged
    | Closed
    | RefundOpened
    | RefundEnded
    | SplitOpened
    | SplitEnded
    | TakenBack
    | ReceiverAdded
    | ReceiverRemoved
    | TransferOpened
    | TransferMoved
    | ContractMade
    | ContractEnded
    | NoticeQueued
    | NoticeTried
)
