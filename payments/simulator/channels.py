"""Which module speaks for which channel; a new provider is a module and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from payments.simulator.alipay import AlipayProtocol
from payments.simulator.campus_card import CampusCardProtocol
from payments.simulator.desk import Desk
from payments.simulator.keys import KeyRing
from payments.simulator.protocol import ProviderProtocol, Room
from payments.simulator.unionpay import UnionpayProtocol
from payments.simulator.wechat import WechatProtocol

Build = Callable[[Room], ProviderProtocol]


class UnknownChannel(ValueError):
    """There is no such channel."""


def builders() -> dict[str, Build]:
    """The module of each channel; channels of one institution share theirs."""
    return {
        "wechat": WechatProtocol,
        "edupay": WechatProtocol,
        "alipay": AlipayProtocol,
        "unionpay": UnionpayProtocol,
        "campus_card": CampusCardProtocol,
    }


def build(
    channels: Sequence[str], desk: Desk, keys: KeyRing, options: Mapping[str, Mapping[str, str]]
) -> dict[str, ProviderProtocol]:
    """The protocol of each channel; those of one institution have the same. UnknownChannel, BadOption."""
    known = builders()
    for channel in (*channels, *options):
        if channel not in known:
            raise UnknownChannel(f"there is no channel {channel!r}; there are: {', '.join(known)}")
    protocols: dict[str, ProviderProtocol] = {}
    for builder in dict.fromkeys(known[channel] for channel in channels):
        mine = [channel for channel in channels if known[channel] is builder]
        given = {name: value for channel in mine for name, value in options.get(channel, {}).items()}
        protocol = builder(Room(desk=desk, keys=keys, channels=mine, options=given))
        protocols |= dict.fromkeys(mine, protocol)
    return protocols
