"""What students do with a credential that they are shown: pay it, ask for another channel, pay both, or give the order
up, before or after paying."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from ..hub_storm.accounts import Member

#: Pays a credential, outside the server; gives whether it could be paid.
Wallet = Callable[[Mapping[str, Any]], Awaitable[bool]]

#: pay: what is shown · change: asks for another channel, then pays what is shown · both: the same, but pays the first
#: one, too · give_up: cancels and pays all the same, as who has scanned the code already · regret: pays, then cancels.
Manner = Literal["pay", "change", "both", "give_up", "regret"]

#: Questions after which who asked for another channel pays what is still shown.
MOST_PATIENCE = 20


@dataclass(frozen=True, slots=True)
class Habits:
    """Shares of the students by what they do; who is left over pays. ``tries``: how often somebody begins anew whose
    payment failed, as the page offers it."""

    shares: Mapping[Manner, float]
    tries: int = 0

    def draw(self, luck: Random) -> Manner:
        """What one student does."""
        at = luck.random()
        for manner, share in self.shares.items():
            at -= share
            if at < 0:
                return manner
        return "pay"


SIMPLE = Habits({})


class Payer:
    """One student with an order that waits for its payment."""

    def __init__(self, student: Member, wallet: Wallet, manner: Manner, tries: int, order: Mapping[str, Any]) -> None:
        self._student = student
        self._wallet = wallet
        self._manner = manner
        self._tries = tries
        self._order = order
        self._shown: Mapping[str, Any] | None = None
        self._first: Mapping[str, Any] | None = None
        self._paid: Mapping[str, Any] | None = None
        self._patience = 0

    @property
    def status(self) -> str:
        return str(self._order["status"])

    @property
    def is_to_pay(self) -> bool:
        return self.status == "awaiting_payment"

    @property
    def channel(self) -> str:
        """Through which the credential that is shown is paid."""
        return str(self._payment.get("channel"))

    @property
    def _payment(self) -> Mapping[str, Any]:
        return self._order.get("payment") or {}

    def looks(self) -> bool:
        """Whether the page shows a credential that it did not show before."""
        credential = self._payment.get("credential")
        if not credential or credential == self._shown:
            return False
        self._shown = credential
        return True

    async def ask(self) -> None:
        """How the order stands by now."""
        answer = await self._student.call("order", "GET", f"/orders/{self._order['id']}")
        self._order = answer.body if answer.is_ok else self._order

    async def act(self) -> None:
        """Do what is to be done with what is shown. Who cannot reach the provider tries again the next time."""
        if self._payment.get("state") == "failed" and self._tries > 0:
            self._tries -= 1
            await self._choose(self.channel)
        if self._shown is None or self._shown == self._paid:
            return
        if self._first is None:
            self._first = self._shown
            if self._manner in ("change", "both"):
                await self._change()
                self._patience = MOST_PATIENCE
            elif self._manner == "give_up":
                await self._cancel()
        if self._shown == self._first and self._patience > 0:
            self._patience -= 1
            return
        if self._manner == "both" and self._first != self._shown:
            await self._wallet(self._first)
        if await self._wallet(self._shown):
            self._paid = self._shown

    async def leave(self) -> None:
        """What is done once it is paid."""
        if self._manner == "regret":
            await self.ask()
            await self._cancel()

    async def _change(self) -> None:
        offered = await self._student.call("channels", "GET", "/channels")
        others = [each["code"] for each in offered.body if each["code"] != self.channel] if offered.is_ok else []
        if others:
            await self._choose(others[0])

    async def _choose(self, channel: str) -> None:
        await self._student.call("pay", "POST", f"/orders/{self._order['id']}/pay", {"channel": channel})

    async def _cancel(self) -> None:
        body = {"reason": "改主意了", "version": self._order["version"]}
        await self._student.call("cancel", "POST", f"/orders/{self._order['id']}/cancel", body)
