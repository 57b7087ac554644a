"""Where a request comes from, as risk may ask: the address, and the device it was sent with."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from ..access.principal import Principal
from .context import Context


@dataclass(frozen=True, slots=True)
class Origin:
    """``ip``: the client's address; ``device``: the name that a browser was given, None for whoever has none."""

    ip: str = ""
    device: str | None = None

    @property
    def address(self) -> str | None:
        """The address as a provider may be told it, wherever it leads."""
        try:
            return str(ip_address(self.ip))
        except ValueError:
            return None

    @property
    def place(self) -> str | None:
        """The address, if it tells one place of the world from another; behind a door of one's own all look alike."""
        try:
            return self.ip if ip_address(self.ip).is_global else None
        except ValueError:
            return None


#: Of whoever is not asked where they are.
NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class AskedFrom:
    """What risk is told of whoever places an order. ``device`` stands for the device and says nothing by itself."""

    device: str
    place: str | None
    proof: str | None = field(repr=False)

    @classmethod
    def of(cls, ctx: Context, who: Principal, origin: Origin, proof: str | None) -> AskedFrom:
        """A client without a browser's name is known by its session, which is one device's: leaving the name out makes
        nobody look familiar."""
        device = ctx.tokens.digest("device", origin.device or who.session_id).hex()[:32]
        return cls(device, origin.place, proof)
