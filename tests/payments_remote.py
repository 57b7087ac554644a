"""A desk that speaks to its payments through the signed interface, as another process would."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from payments.outcomes import Capabilities
from payments.port import PaymentsPort
from payments.sandboxed import SandboxedPayments
from payments.service.internal_signing import Keys
from payments.service.port_table import METHODS
from payments.service.remote import RemotePayments, as_port
from payments.service.server import PaymentsServer
from tests.payments_desk import SHAPES
from tests.payments_guards import GuardedDesk

KEYS = Keys({"k1": b"an internal key of 32 bytes long!"})


def remote_at(port: int) -> tuple[RemotePayments, PaymentsPort]:
    """The client of a server on this port, and the port it stands for."""
    remote = RemotePayments(f"http://127.0.0.1:{port}", KEYS)
    return remote, as_port(remote)


class _PortOf:
    """The port's own methods go over the wire; what only tests ask for goes to the body itself."""

    def __init__(self, remote: RemotePayments, body: SandboxedPayments) -> None:
        self.remote, self.body = remote, body

    def __getattr__(self, name: str) -> Any:
        return getattr(self.remote if name in METHODS else self.body, name)


class RemoteDesk(GuardedDesk):
    """As a desk, with a server before it."""

    def __init__(self, url: str, bank_url: str, shapes: Iterable[Capabilities] = SHAPES) -> None:
        super().__init__(url, bank_url, shapes)
        self.body = self.payments

    async def __aenter__(self) -> RemoteDesk:
        await super().__aenter__()
        self.server = PaymentsServer(self.body, KEYS)
        await self.server.start()
        self.remote = RemotePayments(f"http://127.0.0.1:{self.server.port}", KEYS)
        await self.remote.start()
        self.payments = cast(SandboxedPayments, _PortOf(self.remote, self.body))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.remote.stop()
        await self.server.stop()
        self.payments = self.body
        await super().__aexit__()

    async def refresh(self) -> None:
        await self.remote.refresh()
