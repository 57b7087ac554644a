"""Whether a channel's addresses fit its environment: no live account ever meets a gateway for tests."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Literal
from urllib.parse import urlsplit

from payments.channels.signing_keys import BadSetting

Environment = Literal["live", "sandbox", "simulator"]


def check_gateway(
    field: str, url: str, environment: Environment, *, live: Collection[str], sandbox: Collection[str] = ()
) -> None:
    """Refuse, by the setting's name, a gateway of another environment. ``live`` and ``sandbox`` are hosts."""
    host = _host(field, url)
    match environment:
        case "live":
            fits = host in live
        case "sandbox":
            fits = host in sandbox
        case "simulator":
            fits = host not in live and host not in sandbox
    if not fits:
        raise BadSetting(field, f"{host} is not a gateway of the {environment} environment")
    if environment != "simulator" and urlsplit(url).scheme != "https":
        raise BadSetting(field, "must begin with https://")


def check_own_url(field: str, url: str, environment: Environment) -> None:
    """Refuse an address of ours that the provider could not call: without https, with a query, of this machine."""
    host = _host(field, url)
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise BadSetting(field, "must have neither a query nor a fragment: providers sign or drop them")
    if environment == "simulator":
        return
    if parts.scheme != "https":
        raise BadSetting(field, "must begin with https://")
    if _is_private(host):
        raise BadSetting(field, f"{host} cannot be reached from outside")


def _host(field: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https") or parts.username is not None:
        raise BadSetting(field, "must be a whole address that begins with https://")
    return host


def _is_private(host: str) -> bool:
    if host == "localhost" or ("." not in host.strip("[]") and ":" not in host):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
