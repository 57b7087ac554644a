"""A runner's money: what the wallet shows, what is asked of it, and what the campus team sees of withdrawals."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .money_views import CodeId
from .requests import Request
from .views import View

#: Beyond what any withdrawal may have; the limits that count are payments' own.
MOST_FEN = 100_000_000

# --- requests ---------------------------------------------------------------------------------------------------------


class AskWithdrawal(Request, frozen=True, kw_only=True):
    """Pay out this much of what is available. ``code_id``: the one-time code that was confirmed for it, where one is
    needed."""

    amount_fen: Annotated[int, Meta(ge=1, le=MOST_FEN)]
    code_id: CodeId | None = None


class JudgeWithdrawal(Request, frozen=True, kw_only=True):
    """Pay a withdrawal that is held, or refuse it, and why."""

    is_approved: bool
    reason: Annotated[str, Meta(min_length=1, max_length=250)]


class SetPayoutAccount(Request, frozen=True, kw_only=True):
    """Where one's own part is paid to: an Alipay account's number. ``code_id``: a confirmed code, where it is another
    one than before."""

    alipay_user_id: Annotated[str, Meta(pattern=r"^2088[0-9]{12}$")]
    code_id: CodeId | None = None

    def __repr__(self) -> str:
        return "SetPayoutAccount(…)"


# --- answers ----------------------------------------------------------------------------------------------------------


class WithdrawalView(View, frozen=True, kw_only=True):
    """A withdrawal as its runner sees it. ``state``: held (a person looks at it first), under_way, done, failed,
    refused. ``reason``: why it waits or failed, as a code; ``said``: what the reviewer wrote."""

    id: str
    amount_fen: int
    paid_fen: int
    state: str
    reason: str
    said: str
    is_automatic: bool
    asked_at_ms: int
    finished_at_ms: int | None


class Withdrawals(View, frozen=True, kw_only=True):
    """Newest first."""

    withdrawals: list[WithdrawalView]


class TransferToConfirm(View, frozen=True, kw_only=True):
    """A transfer that its runner has to say yes to in the provider's app: a part of a withdrawal, or (``withdrawal_id``
    "") what a coupon's payer still owed. ``kind``: which app;
    ``invoke``: what the page hands to it, word for word."""

    id: str
    withdrawal_id: str
    amount_fen: int
    kind: str
    invoke: dict[str, str]

    def __repr__(self) -> str:
        return f"TransferToConfirm({self.id})"


class PayoutChannel(View, frozen=True, kw_only=True):
    """A way to pay that pays runners themselves. ``lacks``: what it still has to be told of this one (``openid``,
    ``alipay_user_id``); ``binding``: ``page`` where a page of the provider's tells it."""

    code: str
    name_zh: str
    name_en: str
    lacks: list[str]
    binding: str


class WalletLine(View, frozen=True, kw_only=True):
    at_ms: int
    kind: str
    order_id: str | None
    amount_fen: int
    balance_fen: int


class WalletView(View, frozen=True, kw_only=True):
    """Pending: delivered, inside the 24 hours (with its release time). Available: settled, with the institution, to be
    withdrawn; the oldest of it is paid without being asked for at ``pay_by_ms``. Withdrawing: asked for and not paid
    yet. ``withdrawals``: the newest few; ``to_confirm``: what waits for the runner's yes, the oldest first;
    ``payout``: ways to pay that have to know the runner."""

    pending_fen: int
    available_fen: int
    withdrawing_fen: int
    withdrawn_fen: int
    pay_by_ms: int | None
    pending: list[WalletLine]
    lines: list[WalletLine]
    withdrawals: list[WithdrawalView]
    to_confirm: list[TransferToConfirm]
    payout: list[PayoutChannel]


class PayoutAccount(View, frozen=True, kw_only=True):
    """Only ways to pay that have to know a runner; what was told is never shown."""

    channels: list[PayoutChannel]


class WithdrawalRow(View, frozen=True, kw_only=True):
    """A withdrawal as the campus team sees it. ``reason``: the threshold or the risk rule that holds it, or why it
    failed; ``parts``: the orders that it is paid out of; ``is_own``: somebody else has to review it."""

    id: str
    account_id: str
    account_name: str
    amount_fen: int
    paid_fen: int
    state: str
    reason: str
    is_automatic: bool
    is_own: bool
    parts: int
    asked_at_ms: int
    finished_at_ms: int | None
    reviewed_by_name: str
    review_reason: str


class WithdrawalRows(View, frozen=True, kw_only=True):
    """Those that wait for a review, then the others; newest first."""

    withdrawals: list[WithdrawalRow]
