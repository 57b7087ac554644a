"""Payers make themselves known to channels: WeChat's consent page, a card's word, and nothing of it in any log."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from aiohttp import ClientSession, CookieJar

from payments.guards.binding import BindRefused
from payments.guards.second_factor import SecondFactorNeeded
from payments.guards.second_factor_act import Act, Thresholds
from payments.port import ChannelView, UnknownChannel
from tests.payments_town import Town
from tests.payments_town import town as in_town

BACK = "https://errands.example.edu/track"


async def consent(town: Town, browser: ClientSession, channel: str = "wechat_jsapi") -> str:
    """The code with which a browser inside WeChat is sent back."""
    page = await town.payments.bind_page(channel, BACK, "123xabc")
    assert page.endswith("#wechat_redirect")
    async with browser.get(page, allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()
        back = answer.headers["Location"]
    said = parse_qs(urlsplit(back).query)
    assert back.startswith(BACK) and said["state"] == ["123xabc"]
    return said["code"][0]


def sends_codes(town: Town) -> None:
    """As in a server that can send codes."""
    assert town.payments._guards is not None

    async def send(act: Act, code: str) -> None:
        return None

    guards = msgspec.structs.replace(town.payments._guards, thresholds=Thresholds(), send_code=send)
    town.payments.guard(guards)


def view_of(town: Town, code: str) -> ChannelView:
    return next(each for each in town.payments.channels() if each.code == code)


async def test_wechat_says_whom_a_page_belongs_to_and_each_code_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    jar = CookieJar(unsafe=True)
    async with in_town(tmp_path, "wechat_jsapi") as town, ClientSession(cookie_jar=jar) as browser:
        sends_codes(town)
        assert (view_of(town, "wechat_jsapi").needs, view_of(town, "wechat_jsapi").binding) == (("openid",), "page")
        assert await town.payments.entrusted("new") == []
        code = await consent(town, browser)
        assert await town.payments.bind("wechat_jsapi", "new", {"code": code}) == ["openid"]
        assert await town.payments.entrusted("new") == ["openid"]
        openid = (await town.payments.reveal("new", ("openid",)))["openid"]
        with pytest.raises(BindRefused, match="refused"):
            await town.payments.bind("wechat_jsapi", "new", {"code": code})
        # The same person's next code says the same.
        assert await town.payments.bind("wechat_jsapi", "new", {"code": await consent(town, browser)}) == ["openid"]
        for wrong in ({}, {"code": ""}, {"code": "x" * 600}, {"code": "码"}, {"code": "never given"}):
            with pytest.raises(BindRefused, match="refused"):
                await town.payments.bind("wechat_jsapi", "new", wrong)
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as other:
            theirs = await consent(town, other)
            # Runners may be paid there too: another one than before takes a code.
            with pytest.raises(SecondFactorNeeded):
                await town.payments.bind("wechat_jsapi", "new", {"code": theirs})
        for path in await town.payments.timeline("nothing"):
            assert openid not in str(path)
        secret = town.house.by_channel["wechat"].settings("", "")["app_secret"]
        for word in (openid, code, theirs, secret):
            assert word not in caplog.text
        with pytest.raises(SecondFactorNeeded):
            await town.payments.unbind("wechat_jsapi", "new")
        assert await town.payments.forget("new") == 1
        assert await town.payments.entrusted("new") == []


async def test_a_card_is_known_by_the_word_that_was_given_for_it(tmp_path: Path) -> None:
    async with in_town(tmp_path, "campus_card") as town:
        assert view_of(town, "campus_card").binding == "token"
        for wrong in ({}, {"card_token": "ab"}, {"card_token": "a b c d"}, {"code": "CARD1234"}):
            with pytest.raises(BindRefused, match="refused"):
                await town.payments.bind("campus_card", "new", wrong)
        with pytest.raises(BindRefused, match="refused"):
            await town.payments.bind("campus_card", "new", {"card_token": "x" * 3000})
        with pytest.raises(BindRefused, match="not_offered"):
            await town.payments.bind_page("campus_card", BACK, "s")
        assert await town.payments.bind("campus_card", "new", {"card_token": " CARD1234 "}) == ["campus_card_token"]
        assert dict(await town.payments.reveal("new", ("campus_card_token",))) == {"campus_card_token": "CARD1234"}
        with pytest.raises(UnknownChannel):
            await town.payments.bind("gold", "new", {"card_token": "CARD1234"})


async def test_a_channel_that_cannot_be_told_says_so(tmp_path: Path) -> None:
    async with in_town(tmp_path, "edupay") as town:
        assert (view_of(town, "edupay").needs, view_of(town, "edupay").binding) == (("contract_id",), "")
        for ask in (
            town.payments.bind("edupay", "new", {"code": "x"}),
            town.payments.unbind("edupay", "new"),
            town.payments.bind_page("edupay", BACK, "s"),
        ):
            with pytest.raises(BindRefused, match="not_offered"):
                await ask


async def test_wechat_that_does_not_answer_is_no_refusal(tmp_path: Path) -> None:
    async with in_town(tmp_path, "wechat_jsapi") as town:
        await town.house.shut_port("main")
        with pytest.raises(BindRefused, match="unreachable"):
            await town.payments.bind("wechat_jsapi", "new", {"code": "x"})
