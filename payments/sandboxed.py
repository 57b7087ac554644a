"""Payments with the sandbox bank as their only institution, joined in one place."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from payments.books.booking import NewId
from payments.channels.sandbox import SandboxChannel, shape
from payments.channels.sandbox_bank import SandboxBank
from payments.embedded import EmbeddedPayments
from payments.outcomes import Capabilities
from payments.terms import Terms

#: A main channel and one to fail over to.
DEFAULT_SHAPES = (
    shape("sandbox"),
    shape("sandbox_backup", name_zh="演示支付（备用）", name_en="Demo payment (backup)"),
)


class SandboxedPayments(EmbeddedPayments):
    """The embedded body with its demonstration bank, whose notices reach it without a network."""

    def __init__(
        self,
        database_url: str,
        bank_url: str,
        now: Callable[[], datetime],
        new_id: NewId,
        secret: bytes,
        real_s: Callable[[float], float] = float,
        shapes: Sequence[Capabilities] = DEFAULT_SHAPES,
        monotonic_s: Callable[[], float] = time.monotonic,
        terms: Terms | None = None,
    ) -> None:
        self.bank = SandboxBank(bank_url, now, secret)
        channels = [SandboxChannel(self.bank, secret, each) for each in shapes]
        super().__init__(database_url, now, new_id, channels, real_s, monotonic_s=monotonic_s, terms=terms)
        self.bank.notify = self.callback

    async def migrate(self) -> int:
        await self.bank.migrate()
        return await super().migrate()

    async def stop(self) -> None:
        await super().stop()
        self.bank.close()
