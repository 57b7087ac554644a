"""A desk whose payments are guarded: a vault, risk rules, a demonstration of face checks and codes that are caught."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from payments.guards.guarded import Guards
from payments.guards.risk import RuleBook
from payments.guards.risk_desk import DemoFace
from payments.guards.second_factor_act import Act
from payments.guards.vault import Vault
from payments.outcomes import Capabilities
from payments.port import OpenIntent
from tests.payments_desk import SHAPES, Desk

VAULT_KEY, LOOKUP_KEY, SALT_KEY = b"v" * 32, b"l" * 32, b"s" * 32


class GuardedDesk(Desk):
    """A desk with every guard; ``messages`` holds the codes that were sent."""

    def __init__(
        self, url: str, bank_url: str, shapes: Iterable[Capabilities] = SHAPES, rules: RuleBook | None = None
    ) -> None:
        super().__init__(url, bank_url, shapes)
        self.messages: list[tuple[Act, str]] = []
        self.payments.guard(
            Guards(
                vault=Vault({"k1": VAULT_KEY}, "k1", LOOKUP_KEY),
                salt_key=SALT_KEY,
                rules=rules or RuleBook(),
                face=DemoFace("sandbox"),
                send_code=self._send,
            )
        )

    async def __aenter__(self) -> GuardedDesk:
        await super().__aenter__()
        return self

    async def _send(self, act: Act, code: str) -> None:
        self.messages.append((act, code))

    async def ask(self, name: str, amount_fen: int, *, payer: str = "student", for_s: float = 900, **more: Any) -> str:
        """Open an intent of one payer and work; its id."""
        await self.payments.submit(
            OpenIntent(
                id=f"open:{name}",
                intent_id=f"int_{name}",
                campus_id="nu",
                order_ref=f"ord_{name}",
                payer_ref=payer,
                amount_fen=amount_fen,
                description="errand",
                channels=("sandbox", "sandbox_backup"),
                expires_at=self.at + timedelta(seconds=for_s),
                **more,
            )
        )
        await self.settle_down()
        return f"int_{name}"

    async def risk(self, name: str) -> tuple[str, str] | None:
        """What the payer's view says of risk: today's decision, and why."""
        risk = (await self.view(name)).risk
        return None if risk is None else (risk.decision, risk.code)
