"""How many sockets may be opened: by one address in a second, by all in a second, and at all."""

from __future__ import annotations


class UpgradeLimits:
    """Fixed windows of one second. A whole campus may come from one address, so its share is generous; the bound on
    all together is what keeps a reconnect storm from starving those who are connected."""

    def __init__(self, *, per_address_per_s: int = 200, per_s: int = 1_000, at_once: int = 12_000) -> None:
        self.per_address_per_s = per_address_per_s
        self.per_s = per_s
        self.at_once = at_once
        self._second = -1
        self._opened = 0
        self._by_address: dict[str, int] = {}

    def refuse_for_s(self, address: str, open_now: int, second: int) -> int | None:
        """None: welcome (and counted); else after how many seconds to come back."""
        if second != self._second:
            self._second = second
            self._opened = 0
            self._by_address.clear()
        if open_now >= self.at_once:
            return 30
        # Those who are turned away come back spread out, or the next second would be as full as this one.
        if self._opened >= self.per_s:
            return 2 + self._opened % 4
        tried = self._by_address.get(address, 0)
        if tried >= self.per_address_per_s:
            return 2 + tried % 4
        self._opened += 1
        self._by_address[address] = tried + 1
        return None
