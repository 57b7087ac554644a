"""Where a request came from, when proxies stand between: nobody's word counts but that of a proxy we trust."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def client_address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The address of the client. ``forwarded`` is X-Forwarded-For: each proxy adds at its end whom it was called by,
    so it is read from there for as long as who wrote it is trusted; what stands before may be anybody's invention."""
    known = _read(peer)
    if known is None:
        return peer
    for hop in reversed(forwarded.split(",")):
        before = _read(hop.strip())
        if before is None or not _is_in(known, trusted):
            break
        known = before
    return str(known)


def _read(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket for both versions shows IPv4 in the clothes of IPv6.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


class ProxiedApplication(Application):
    """An application whose requests carry their client's address as ``remote_ip``."""

    def __init__(self, handlers: list[Any], trusted_proxies: Sequence[str], **settings: Any) -> None:
        super().__init__(handlers, **settings)
        self._trusted = [ip_network(each) for each in trusted_proxies]

    def find_handler(self, request: HTTPServerRequest, **more: Any) -> Any:
        """Choose who answers; called once for a request, before anybody looks at it."""
        forwarded = request.headers.get("X-Forwarded-For", "")
        request.remote_ip = client_address(request.remote_ip or "", forwarded, self._trusted)
        return super().find_handler(request, **more)
