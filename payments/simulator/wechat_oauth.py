"""WeChat's own two doors, not WeChat Pay's: the consent page that a payer's browser passes, and what its code says."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from payments.simulator.admin import problem, reply
from payments.simulator.wechat_account import Account

#: Seconds that a code lives, and how many are remembered.
CODE_LIFE_S = 300.0
MOST_CODES = 10_000
#: Of the browser that passes: the same person each time, as in a real WeChat.
_PERSON = "simulated_wechat"
_BAD_SECRET, _BAD_CODE, _USED_CODE = 40125, 40029, 40163


class WechatDoor:
    """Each browser is one simulated person, who always agrees. A code is good once, and for a few minutes."""

    def __init__(self, account: Account, wall_s: Callable[[], float]) -> None:
        self._account = account
        self._wall_s = wall_s
        #: (openid, until when); None once it was used.
        self._codes: OrderedDict[str, tuple[str, float] | None] = OrderedDict()

    def add_to(self, app: web.Application) -> None:
        """Put the paths into the application."""
        app.router.add_route("GET", "/connect/oauth2/authorize", self.authorize)
        app.router.add_route("GET", "/sns/oauth2/access_token", self.token)

    async def authorize(self, request: web.Request) -> web.Response:
        """Back to where the page said, with a code."""
        asked = request.query
        back = urlsplit(asked.get("redirect_uri", ""))
        if asked.get("appid") != self._account.appid or asked.get("response_type") != "code":
            raise problem(400, "appid or response_type is not right")
        if back.scheme not in ("http", "https") or not back.hostname:
            raise problem(400, "redirect_uri is no address")
        person = request.cookies.get(_PERSON, "")
        openid = person if person.isalnum() and person.isascii() else "o" + secrets.token_hex(13)
        code = secrets.token_hex(16)
        self._codes[code] = (openid, self._wall_s() + CODE_LIFE_S)
        while len(self._codes) > MOST_CODES:
            self._codes.popitem(last=False)
        query = [*parse_qsl(back.query), ("code", code), ("state", asked.get("state", ""))]
        answer = web.Response(status=302, headers={"Location": urlunsplit(back._replace(query=urlencode(query)))})
        answer.set_cookie(_PERSON, openid, httponly=True, samesite="Lax")
        return answer

    async def token(self, request: web.Request) -> web.Response:
        """Who is behind a code; a fault is an answer of 200, as the real one's."""
        asked = request.query
        known = (self._account.appid, self._account.app_secret)
        if (asked.get("appid"), asked.get("secret")) != known:
            return _fault(_BAD_SECRET, "invalid appsecret")
        code = asked.get("code", "")
        if code in self._codes and self._codes[code] is None:
            return _fault(_USED_CODE, "code been used")
        found = self._codes.get(code)
        if found is None or asked.get("grant_type") != "authorization_code" or self._wall_s() > found[1]:
            return _fault(_BAD_CODE, "invalid code")
        self._codes[code] = None
        said = {"access_token": secrets.token_hex(20), "expires_in": 7200, "openid": found[0], "scope": "snsapi_base"}
        return reply(said)


def _fault(number: int, text: str) -> web.Response:
    return reply({"errcode": number, "errmsg": text})
