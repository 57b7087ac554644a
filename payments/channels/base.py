"""What the core asks of every way to pay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from typing import Protocol, runtime_checkable

from payments.money import Fen
from payments.outcomes import (
    BadNotice,
    BillAnswer,
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    InstitutionBook,
    MoneyAnswer,
    MoneyNotice,
    OrderToCreate,
    OtherNotice,
    PaidNotice,
    QueryAnswer,
    Receiver,
    SplitAnswer,
)
from payments.port import CallbackReply

#: What a channel needs of a person, by the account's reference and the names: revealed for one call.
Reveal = Callable[[str, tuple[str, ...]], Awaitable[Mapping[str, str]]]


async def reveal_nothing(account_ref: str, names: tuple[str, ...]) -> Mapping[str, str]:
    """Where nothing was entrusted."""
    return {}


class Channel(Protocol):
    """A provider behind values: nothing here raises for what the provider did, said or left unsaid.

    Every number is ours and deterministic; giving the same number again repeats the question, never the money.
    """

    @property
    def shape(self) -> Capabilities:
        """What this channel can do."""

    @property
    def is_available(self) -> bool:
        """Whether new orders may use it."""

    async def start(self) -> None:
        """Ready whatever it keeps open. It does not wait for the provider, and does not fail when that is away."""

    async def stop(self) -> None:
        """Let go of what it keeps open; no call comes any more."""

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        """Something the payer can pay with, within 800 ms of real time; later is NotIssued."""

    async def debit(self, order: OrderToCreate) -> DebitAnswer:
        """Take the money now; only for a channel that debits directly."""

    async def query(self, attempt_id: str) -> QueryAnswer:
        """How the order stands."""

    async def close(self, attempt_id: str) -> CloseAnswer:
        """Ask that nobody can pay it any more; on a direct debit, that it is reversed."""

    async def split(
        self, attempt_id: str, number: str, receivers: Sequence[Receiver], later: Sequence[Receiver] = ()
    ) -> SplitAnswer:
        """Pay the receivers out of the hold; asked again with the same number it reports how each part stands.
        ``later``: who else is still to be paid out of it, under other numbers; until then it must not be let go."""

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Give the payer this much of what is held and not split; more than once, each under its own number."""

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Give the payer this much of what was split, at the merchant's expense."""

    async def take_back(self, attempt_id: str, number: str, split_number: str, receiver: Receiver) -> MoneyAnswer:
        """Take a receiver's part of that split back into the hold; failed: certainly not taken, ever, by this try."""

    async def transfer(self, number: str, account_ref: str, to: Mapping[str, str], amount_fen: Fen) -> MoneyAnswer:
        """Pay a person from the merchant's own money; ``to`` is what is known of them, revealed for this call."""

    def read_callback(
        self, headers: Mapping[str, str], body: bytes
    ) -> PaidNotice | MoneyNotice | OtherNotice | BadNotice:
        """Verify the raw bytes and understand them."""

    def reply(self, *, is_accepted: bool) -> CallbackReply:
        """What the provider wants to hear; not accepted makes it send again."""

    async def bill(self, day: date) -> BillAnswer:
        """What the provider says of one day of its calendar; only for a channel that makes bills."""

    async def work(self) -> int:
        """Whatever the channel itself has to do in the background; how much was done."""


@runtime_checkable
class Binds(Protocol):
    """A channel that a payer can be made known to; ``shape.binding`` says how, and that it is set up."""

    @property
    def shape(self) -> Capabilities:
        """As a channel's."""

    def bind_page(self, back_url: str, state: str) -> str | None:
        """The provider's page that knows the payer; None where the payer gives it by hand."""

    async def bound(self, given: Mapping[str, str]) -> Mapping[str, str] | str:
        """What is to be entrusted; or why not: refused | unreachable. Repeating it does no harm."""


@runtime_checkable
class OpenBooks(Protocol):
    """A channel whose institution lets us look into its own books, as only the sandbox's does."""

    @property
    def shape(self) -> Capabilities:
        """As a channel's."""

    async def books(self) -> list[InstitutionBook]:
        """The institution's own books of every order that money came in by."""

    async def transfers(self) -> dict[str, Fen]:
        """What it transferred to persons, by number."""
