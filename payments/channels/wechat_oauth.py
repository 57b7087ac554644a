"""Whom a page inside WeChat belongs to: WeChat's own consent page gives a code, and the code an openid."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import msgspec

from payments.channels.exchange import Observe
from payments.channels.http import HttpReply, HttpRequest, ProviderHttp
from payments.channels.wechat_config import WechatConfig

#: The payer is asked nothing more than whether it is them: no name and no picture.
SCOPE = "snsapi_base"
#: The longest that WeChat documents is shorter.
_LONGEST_CODE = 512


class _Token(msgspec.Struct, frozen=True):
    """WeChat's answer; it has more, which nobody here wants to know."""

    openid: str = ""
    errcode: int = 0


class WechatOAuth:
    """One official account's door. Its secret and the codes are in the query, which is never told to anybody."""

    def __init__(
        self, config: WechatConfig, *, observe: Observe, tls: ssl.SSLContext | None, wall_s: Callable[[], float]
    ) -> None:
        self._config = config
        self._http = ProviderHttp(
            config.code, config.oauth_api_url, observe=observe, connections=8, tls=tls, wall_s=wall_s
        )

    async def stop(self) -> None:
        await self._http.stop()

    def page(self, back_url: str, state: str) -> str:
        """Where the payer's WeChat is sent; it comes back to ``back_url`` with ``code`` and ``state``."""
        asked = {
            "appid": self._config.appid, "redirect_uri": back_url, "response_type": "code", "scope": SCOPE,
            "state": state,
        }  # fmt: skip
        # In this order: WeChat is said to be particular about it.
        return f"{self._config.oauth_page_url.rstrip('/')}/connect/oauth2/authorize?{urlencode(asked)}#wechat_redirect"

    async def openid_of(self, code: str) -> Mapping[str, str] | str:
        """What the code stands for; or why it does not: refused | unreachable."""
        if not 0 < len(code) <= _LONGEST_CODE or not code.isascii():
            return "refused"
        config = self._config
        asked = {"appid": config.appid, "secret": config.app_secret, "code": code, "grant_type": "authorization_code"}
        target = f"/sns/oauth2/access_token?{urlencode(asked)}"
        reply = await self._http.send(HttpRequest(method="GET", target=target, operation="openid", subject=""))
        if not isinstance(reply, HttpReply) or reply.status >= 500:
            return "unreachable"
        try:
            token = msgspec.json.decode(reply.body, type=_Token)
        except msgspec.DecodeError:
            return "unreachable"
        return {"openid": token.openid} if token.openid and not token.errcode else "refused"
