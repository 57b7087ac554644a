"""What WeChat Pay's callbacks tell, and the keys that prove them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from payments.outcomes import BadNotice, Issued, MoneyNotice, NotIssued, OtherNotice, PaidNotice
from tests import wechat_counter as wx
from tests.payments_wechat import ATTEMPT, ORDERS, order, wx_nowhere


async def test_a_payment_is_told(counter: wx.Counter) -> None:
    async with wx.channel_to(counter) as channel:
        headers, body = counter.callback("TRANSACTION.SUCCESS", "transaction", wx.trade(ATTEMPT))
        notice = channel.read_callback(headers, body)
        assert isinstance(notice, PaidNotice)
        assert (notice.attempt_id, notice.amount_fen, notice.transaction_id) == (ATTEMPT, 1000, f"42{ATTEMPT}")
        assert notice == channel.read_callback(headers, body), "sent again it is the same notice"
        assert channel.reply(is_accepted=True).status == 200
        assert channel.reply(is_accepted=False).status == 500


@pytest.mark.parametrize(
    ("event", "kind", "words", "number"),
    [
        ("REFUND.SUCCESS", "refund", {"mchid": wx.MCHID, "out_trade_no": ATTEMPT, "out_refund_no": "R1"}, "R1"),
        ("TRANSACTION.SUCCESS", "profitsharing", {"mchid": wx.MCHID, "out_order_no": "S1"}, "S1"),
        ("TRANSACTION.SUCCESS", "profitsharing", {"mchid": wx.MCHID, "out_order_no": "S1F"}, "S1"),
        ("TRANSACTION.SUCCESS", "profitsharing", {"sp_mchid": wx.MCHID, "out_return_no": "B1"}, "B1"),
        ("MCHTRANSFER.BILL.FINISHED", "mch_payment", {"mch_id": wx.MCHID, "out_bill_no": "T1"}, "T1"),
    ],
)  # fmt: skip
async def test_money_is_told_as_a_reason_to_ask(
    counter: wx.Counter, event: str, kind: str, words: Any, number: str
) -> None:
    async with wx.channel_to(counter) as channel:
        notice = channel.read_callback(*counter.callback(event, kind, words))
    assert isinstance(notice, MoneyNotice) and notice.number == number


async def test_what_changes_nothing_is_accepted_and_what_is_wrong_is_not(counter: wx.Counter) -> None:
    async with wx.channel_to(counter) as channel:
        other = channel.read_callback(*counter.callback("PAYSCORE.USER_OPEN_SERVICE", "payscore", {"mchid": wx.MCHID}))
        assert isinstance(other, OtherNotice) and other.what == "PAYSCORE.USER_OPEN_SERVICE"
        unpaid = wx.trade(ATTEMPT, "PAYERROR")
        assert isinstance(
            channel.read_callback(*counter.callback("TRANSACTION.FAIL", "transaction", unpaid)), OtherNotice
        )

        def why(event: str, words: Any) -> str:
            notice = channel.read_callback(*counter.callback(event, "x", words))
            assert isinstance(notice, BadNotice)
            return notice.reason

        assert why("TRANSACTION.SUCCESS", wx.trade(ATTEMPT, mchid="1900000001")) == "not_ours"
        assert why("TRANSACTION.SUCCESS", wx.trade(ATTEMPT, amount={"total": 1000, "currency": "USD"})) == "not_ours"
        assert why("REFUND.SUCCESS", {"mchid": "1900000001", "out_refund_no": "R1"}) == "not_ours"
        assert why("TRANSACTION.SUCCESS", wx.trade(ATTEMPT, total=0)).startswith("not_understood")
        assert why("TRANSACTION.SUCCESS", {"trade_state": "SUCCESS"}).startswith("not_understood")

        headers, body = counter.callback("TRANSACTION.SUCCESS", "transaction", wx.trade(ATTEMPT))
        assert channel.read_callback(headers, body + b" ") == BadNotice("bad_signature")
        probe = headers | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"]}
        assert channel.read_callback(probe, body) == BadNotice("probe")
        body = b'{"id":1}'
        assert isinstance(channel.read_callback(counter.headers(body), body), BadNotice)
        envelope = json.loads(counter.callback("TRANSACTION.SUCCESS", "transaction", wx.trade(ATTEMPT))[1])
        envelope["resource"]["associated_data"] = "changed"
        body = json.dumps(envelope).encode()
        notice = channel.read_callback(counter.headers(body), body)
        assert isinstance(notice, BadNotice) and notice.reason.startswith("cannot_be_opened")


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_true():
            await asyncio.sleep(0.005)


async def test_certificates_are_fetched_and_rotated(counter: wx.Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    first = wx.certificate_of(wx.PLATFORM_KEY, 0xA1)
    second = wx.certificate_of(wx.NEXT_PLATFORM_KEY, 0xA2)
    counter.serial, counter.certificates = "A1", [("A1", wx.certificate_pem(first))]
    counter.says("POST", f"{ORDERS}/jsapi", {"prepay_id": "wx1"})
    async with wx.channel_to(counter, public_key_id="", public_key="") as channel:
        await until(lambda: bool(channel.api.keys.platform.certificates))
        assert isinstance(await channel.create_credential(order()), Issued)
        assert await channel.work() == 0, "they are fresh"

        counter.key, counter.serial = wx.NEXT_PLATFORM_KEY, "A2"
        counter.certificates.append(("A2", wx.certificate_pem(second)))
        callback = counter.callback("TRANSACTION.SUCCESS", "transaction", wx.trade(ATTEMPT))
        assert channel.read_callback(*callback) == BadNotice("unknown_key")
        assert await channel.work() == 0, "not twice a minute"
        monkeypatch.setattr("payments.channels.wechat_api.CERTIFICATES_AT_LEAST_S", 0.0)
        assert await channel.work() == 1
        # The provider sends it again after some seconds.
        assert isinstance(channel.read_callback(*callback), PaidNotice)
        assert isinstance(await channel.create_credential(order()), Issued)


async def test_an_answer_by_a_new_certificate_is_proved_within_the_call(counter: wx.Counter) -> None:
    counter.serial = "A1"
    counter.says("POST", f"{ORDERS}/jsapi", {"prepay_id": "wx1"})
    # Public-key mode, and yet it answers by certificate: both are in use while a merchant moves from one to the other.
    async with wx.channel_to(counter) as channel:
        assert await channel.create_credential(order()) == NotIssued("unknown_key", is_alarm=True)
    counter.certificates = [("A1", wx.certificate_pem(wx.certificate_of(wx.PLATFORM_KEY, 0xA1)))]
    async with wx.channel_to(counter) as channel:
        assert isinstance(await channel.create_credential(order()), Issued)


async def test_a_list_of_certificates_that_does_not_prove_itself_is_not_believed(counter: wx.Counter) -> None:
    counter.serial, counter.certificates = (
        "A1",
        [("A1", wx.certificate_pem(wx.certificate_of(wx.NEXT_PLATFORM_KEY, 0xA1)))],
    )
    async with wx.channel_to(counter, public_key_id="", public_key="") as channel:
        await until(lambda: len(counter.asked) == 1)
        await until(lambda: not channel.api._fetching.locked())
        assert channel.api.keys.platform.certificates == ()
        assert not await channel.api.fetch_certificates()
    counter.certificates = [("A1", "no certificate")]
    async with wx.channel_to(counter, public_key_id="", public_key="") as channel:
        await until(lambda: len(counter.asked) == 2)
        await until(lambda: not channel.api._fetching.locked())
        assert channel.api.keys.platform.certificates == ()
    async with wx.channel_to(wx_nowhere(counter), public_key_id="", public_key="") as channel:
        assert not await channel.api.fetch_certificates()
