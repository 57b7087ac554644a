"""WeChat's doors beside WeChat Pay: what the simulated ones refuse, and what is made of whatever WeChat answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar, web

from payments.channels.exchange import Exchange
from payments.channels.wechat_oauth import WechatOAuth
from payments.simulator.house import Plan
from payments.simulator.wechat import WechatProtocol
from payments.simulator.wechat_oauth import CODE_LIFE_S
from tests import wechat_counter as wx
from tests.simulator_house import running, state_with_keys

SECRET = "s" * 32


@pytest.fixture
async def answers() -> AsyncIterator[tuple[list[web.Response], WechatOAuth, list[Exchange]]]:
    """A WeChat that says what it is told to say, and what was told of the calls."""
    said: list[web.Response] = []

    async def speak(request: web.Request) -> web.Response:
        assert request.query["secret"] == SECRET and request.query["grant_type"] == "authorization_code"
        return said.pop(0)

    app = web.Application()
    app.router.add_get("/sns/oauth2/access_token", speak)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    config = wx.config_for(url, app_secret=SECRET, oauth_page_url=url, oauth_api_url=url)
    told: list[Exchange] = []
    door = WechatOAuth(config, observe=told.append, tls=None, wall_s=lambda: 0.0)
    yield said, door, told
    await door.stop()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "made_of_it"),
    [
        (200, '{"openid": "oStudent", "access_token": "t"}', {"openid": "oStudent"}),
        (200, '{"errcode": 40029, "errmsg": "invalid code"}', "refused"),
        (200, '{"openid": "oStudent", "errcode": -1}', "refused"),
        (200, "{}", "refused"),
        (200, "<html>maintenance</html>", "unreachable"),
        (502, '{"openid": "oStudent"}', "unreachable"),
    ],
)
async def test_only_an_openid_is_an_openid(answers: Any, status: int, body: str, made_of_it: object) -> None:
    said, door, told = answers
    said.append(web.Response(status=status, text=body))
    assert await door.openid_of("a-code") == made_of_it
    (exchange,) = told
    assert (exchange.operation, exchange.path) == ("openid", "/sns/oauth2/access_token")
    assert SECRET not in str(exchange) and "a-code" not in str(exchange) and "oStudent" not in str(exchange)


async def test_what_the_simulated_doors_refuse(tmp_path: Any) -> None:
    async with running(Plan(state=state_with_keys(tmp_path), channels=("wechat",))) as house:
        given = house.settings()["wechat"]
        good = {
            "appid": given["appid"],
            "response_type": "code",
            "redirect_uri": "https://a.example/?x=1",
            "state": "s",
        }
        jar = CookieJar(unsafe=True)
        async with ClientSession(house.base_url, cookie_jar=jar) as browser:

            async def page(**changed: str) -> Any:
                asked = good | changed
                return await browser.get("/connect/oauth2/authorize", params=asked, allow_redirects=False)

            for wrong in ({"appid": "wx1"}, {"response_type": "token"}, {"redirect_uri": "javascript:alert(1)"}):
                assert (await page(**wrong)).status == 400, wrong

            async def code() -> str:
                back = (await page()).headers["Location"]
                assert back.startswith("https://a.example/?x=1&code=") and back.endswith("&state=s")
                return str(back.split("code=")[1].split("&")[0])

            async def token(**changed: str) -> dict[str, Any]:
                asked = {"appid": given["appid"], "secret": given["app_secret"], "grant_type": "authorization_code"}
                answer = await browser.get("/sns/oauth2/access_token", params=asked | changed)
                return dict(await answer.json())

            first = await code()
            assert (await token(code=first, secret="wrong"))["errcode"] == 40125
            assert (await token(code=first, grant_type="refresh_token"))["errcode"] == 40029
            assert (await token(code="nobody's"))["errcode"] == 40029
            openid = (await token(code=first))["openid"]
            assert (await token(code=first))["errcode"] == 40163
            assert (await token(code=await code()))["openid"] == openid, "the same browser is the same person"
            protocol = house.protocols["wechat"]
            assert isinstance(protocol, WechatProtocol)
            late, wall_s = await code(), protocol.oauth._wall_s
            protocol.oauth._wall_s = lambda: wall_s() + CODE_LIFE_S + 1
            assert (await token(code=late))["errcode"] == 40029
