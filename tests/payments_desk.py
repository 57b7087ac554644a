"""A desk to try payments at: the embedded body with its sandbox bank and a clock that is moved by hand."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from payments.account import Withdraw
from payments.channels.sandbox import SandboxChannel, shape
from payments.channels.sandbox_books import Fault
from payments.outcomes import Capabilities
from payments.port import AnyEvent, IntentView, OpenIntent, Refund, Release, Settle, Share, Subsidy
from payments.sandboxed import SandboxedPayments
from payments.terms import Terms

START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
SECRET = b"a secret of 32 bytes for testing"
SHAPES = (shape("sandbox"), shape("sandbox_backup"))


class Desk:
    """Payments on one database; ``bank_url`` is the institution's own."""

    def __init__(
        self, url: str, bank_url: str, shapes: Iterable[Capabilities] = SHAPES, terms: Terms | None = None
    ) -> None:
        self.at = START
        self.payments = SandboxedPayments(
            url,
            bank_url,
            lambda: self.at,
            lambda kind: f"{kind}_{uuid.uuid4().hex}",
            SECRET,
            shapes=tuple(shapes),
            monotonic_s=lambda: self.at.timestamp(),
            terms=terms,
        )
        self.bank = self.payments.bank

    async def __aenter__(self) -> Desk:
        await self.payments.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.payments.stop()

    def channel(self, code: str = "sandbox") -> SandboxChannel:
        channel = self.payments._channels[code]
        assert isinstance(channel, SandboxChannel)
        return channel

    async def refresh(self) -> None:
        """Let the body hear what it answers without asking; this one knows it by itself."""

    async def settle_down(self) -> None:
        """Work until there is nothing to do at this instant."""
        for _ in range(200):
            if not await self.payments.work():
                return
        raise AssertionError("payments never comes to rest")

    async def advance(self, seconds: float, step_s: float | None = None) -> None:
        """Let business time pass, working at every step."""
        passed = 0.0
        while passed < seconds:
            step = min(step_s or seconds, seconds - passed)
            self.at += timedelta(seconds=step)
            passed += step
            await self.settle_down()

    async def open(
        self,
        name: str = "a",
        amount_fen: int = 1000,
        *,
        channels: tuple[str, ...] = ("sandbox", "sandbox_backup"),
        description: str = "errand",
        for_s: float = 900,
        is_worked: bool = True,
        subsidies: tuple[Subsidy, ...] = (),
    ) -> str:
        await self.payments.submit(
            OpenIntent(
                id=f"open:{name}",
                intent_id=f"int_{name}",
                campus_id="nu",
                order_ref=f"ord_{name}",
                payer_ref=f"student_{name}",
                amount_fen=amount_fen,
                description=description,
                channels=channels,
                expires_at=self.at + timedelta(seconds=for_s),
                subsidies=subsidies,
            )
        )
        if is_worked:
            await self.settle_down()
        return f"int_{name}"

    async def view(self, name: str = "a") -> IntentView:
        view = await self.payments.view(f"int_{name}")
        assert view is not None
        return view

    async def states(self, name: str = "a") -> list[str]:
        return [f"{attempt.channel}:{attempt.state}" for attempt in (await self.view(name)).attempts]

    async def token(self, name: str = "a") -> str:
        credential = (await self.view(name)).credential
        assert credential is not None, "there is nothing to pay with"
        return str(credential["token"])

    async def pay(self, name: str = "a") -> str:
        result = await self.bank.pay(await self.token(name))
        await self.settle_down()
        return result

    async def open_and_pay(self, name: str = "a", amount_fen: int = 1000) -> None:
        await self.open(name, amount_fen)
        assert await self.pay(name) == "paid"

    def settlement(self, name: str, runner: int, campus: int = 0, platform: int = 0) -> Settle:
        shares = (
            Share(party="runner", account_ref="run", amount_fen=runner),
            Share(party="campus", account_ref="nu", amount_fen=campus),
            Share(party="platform", account_ref="platform", amount_fen=platform),
        )
        return Settle(id=f"settle:{name}", intent_id=f"int_{name}", shares=shares, at=START)

    async def settle(self, name: str = "a", runner: int = 800, campus: int = 50, platform: int = 150) -> None:
        await self.payments.submit(self.settlement(name, runner, campus, platform))
        await self.settle_down()

    async def release(self, name: str = "a") -> None:
        await self.payments.submit(Release(id=f"release:{name}", intent_id=f"int_{name}", reason="cancelled"))
        await self.settle_down()

    async def refund(self, name: str = "a", amount_fen: int = 100, turn: int = 1) -> None:
        await self.payments.submit(
            Refund(
                id=f"refund:{name}:{turn}",
                intent_id=f"int_{name}",
                refund_id=f"refund-{name}-{turn}",
                amount_fen=amount_fen,
                reason="complaint",
            )
        )
        await self.settle_down()

    async def withdraw(
        self, name: str, amount_fen: int, account_ref: str = "run", *, risk: str = "", is_worked: bool = True
    ) -> None:
        await self.payments.submit(
            Withdraw(
                id=name, campus_id="nu", account_ref=account_ref, amount_fen=amount_fen, requested_at=START, risk=risk
            )
        )
        if is_worked:
            await self.settle_down()

    async def fault(self, fault: Fault, name: str = "*", count: int = 1, value: str = "", channel: str = "*") -> None:
        await self.bank.script(name if name == "*" else f"ord_{name}", fault, count, value, channel)

    async def told(self, name: str = "a") -> list[AnyEvent]:
        """All unacknowledged events of one intent."""
        return [event for event in await self.payments.events(1000) if event.intent_id == f"int_{name}"]

    async def kinds(self, name: str = "a") -> list[str]:
        return [type(event).__name__ for event in await self.told(name)]

    async def assert_books(self) -> None:
        """The ledger agrees with itself and with the bank."""
        assert await self.payments.check() == []


def sqlite_desk(folder: Path, shapes: Iterable[Capabilities] = SHAPES, terms: Terms | None = None) -> Desk:
    return Desk(f"sqlite:///{folder}/payments.db", f"sqlite:///{folder}/bank.db", shapes, terms)
