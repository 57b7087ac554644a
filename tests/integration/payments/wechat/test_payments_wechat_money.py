"""Money that leaves by WeChat Pay, against a real HTTP server: the same number always, each receiver's own result."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from aiohttp import web

from payments.channels import wechat_bills as bills
from payments.channels.wechat_config import SceneReport
from payments.channels.wechat_signing import decrypt_field
from payments.money import Fen
from payments.outcomes import Bill, MoneyAnswer, NoBill, Receiver, ReceiverOutcome, SplitAnswer
from tests import wechat_counter as wx

ATTEMPT = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01"
SPLIT = f"{ATTEMPT}S1"
REFUNDS = "/v3/refund/domestic/refunds"
SPLITS = "/v3/profitsharing/orders"
RETURNS = "/v3/profitsharing/return-orders"
TRANSFERS = "/v3/fund-app/mch-transfer/transfer-bills"
PLATFORM = Receiver(party="platform", account_ref="platform", amount_fen=Fen(200))
CAMPUS = Receiver(party="campus", account_ref="campus:a", amount_fen=Fen(100))
RUNNER = Receiver(party="runner", account_ref="runner:r", amount_fen=Fen(600))


@pytest.fixture
async def counter() -> AsyncIterator[wx.Counter]:
    async with wx.open_counter() as opened:
        opened.says("GET", f"/v3/pay/transactions/out-trade-no/{ATTEMPT}", wx.trade(ATTEMPT))
        yield opened


# -- refunds -------------------------------------------------------------------------------------------------------


async def test_a_refund_keeps_its_number_and_is_asked_for_until_it_is_done(counter: wx.Counter) -> None:
    async with wx.channel_to(counter) as channel:
        counter.says("POST", REFUNDS, {"status": "PROCESSING"})
        assert await channel.give_back(ATTEMPT, "R1", Fen(300)) == MoneyAnswer(standing="pending", reason="processing")
        counter.says("POST", REFUNDS, {"status": "SUCCESS"})
        assert await channel.refund(ATTEMPT, "R1", Fen(300)) == MoneyAnswer(standing="done")
    orders = [each for each in counter.asked if each.path == REFUNDS]
    assert [each.json for each in orders] == 2 * [
        {
            "out_trade_no": ATTEMPT,
            "out_refund_no": "R1",
            "notify_url": "http://127.0.0.1:8888/payments/callbacks/wechat",
            "amount": {"refund": 300, "total": 1000, "currency": "CNY"},
        }
    ]
    # The order's total is asked for once.
    assert len(counter.asked) == 3


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (200, {"status": "ABNORMAL"}, MoneyAnswer(standing="failed", reason="abnormal")),
        (200, {"status": "CLOSED"}, MoneyAnswer(standing="failed", reason="closed")),
        (200, {"status": "NEW"}, MoneyAnswer(standing="no_answer", reason="unknown_state NEW")),
        (200, [], MoneyAnswer(standing="no_answer", reason="bad_answer")),
        (403, {"code": "NOT_ENOUGH"}, MoneyAnswer(standing="failed", reason="not_enough")),
        (429, {"code": "FREQUENCY_LIMITED"}, MoneyAnswer(standing="no_answer", reason="frequency_limited")),
        (500, {"code": "SYSTEM_ERROR"}, MoneyAnswer(standing="no_answer", reason="system_error")),
    ],
)
async def test_what_becomes_of_a_refund(counter: wx.Counter, status: int, words: Any, expected: MoneyAnswer) -> None:
    counter.says("POST", REFUNDS, words, status)
    counter.says("GET", f"{REFUNDS}/R1", {"code": "RESOURCE_NOT_EXISTS"}, 404)
    async with wx.channel_to(counter) as channel:
        assert await channel.refund(ATTEMPT, "R1", Fen(300)) == expected


async def test_a_refusal_of_a_repeated_refund_gives_way_to_what_is_known(counter: wx.Counter) -> None:
    counter.says("POST", REFUNDS, {"code": "INVALID_REQUEST"}, 400)
    counter.says("GET", f"{REFUNDS}/R1", {"status": "SUCCESS"})
    async with wx.channel_to(counter, sub_mchid="1900000999") as channel:
        counter.says("GET", f"/v3/pay/partner/transactions/out-trade-no/{ATTEMPT}", wx.trade(ATTEMPT))
        assert await channel.refund(ATTEMPT, "R1", Fen(300)) == MoneyAnswer(standing="done")
    assert counter.asked[-1].query == {"sub_mchid": "1900000999"}


async def test_without_the_order_nothing_is_asked_for(counter: wx.Counter) -> None:
    path = f"/v3/pay/transactions/out-trade-no/{ATTEMPT}"
    async with wx.channel_to(counter) as channel:
        counter.says("GET", path, wx.trade(ATTEMPT, "NOTPAY"))
        assert (await channel.refund(ATTEMPT, "R1", Fen(1))).reason == "not_paid"
        counter.says("GET", path, {"code": "SYSTEM_ERROR"}, 500)
        assert (await channel.refund(ATTEMPT, "R1", Fen(1))).standing == "no_answer"
        assert await channel.split(ATTEMPT, SPLIT, [PLATFORM]) == SplitAnswer(reason="system_error")


# -- profit sharing ------------------------------------------------------------------------------------------------


class Sharing:
    """The provider's side of profit sharing: it takes a split once, and each part has its own result."""

    def __init__(self, counter: wx.Counter) -> None:
        self.splits: dict[str, dict[str, Any]] = {}
        self.added: list[dict[str, Any]] = []
        self.results: dict[str, tuple[str, str]] = {}
        self.is_unfrozen = True
        counter.says("POST", "/v3/profitsharing/receivers/add", script=self.add)
        counter.says("POST", SPLITS, script=self.order)
        counter.says("GET", f"{SPLITS}/.*", script=self.query)
        counter.says("POST", f"{SPLITS}/unfreeze", script=self.unfreeze)

    def add(self, asked: wx.Asked) -> tuple[int, Any]:
        self.added.append(asked.json)
        return 200, asked.json

    def order(self, asked: wx.Asked) -> tuple[int, Any]:
        assert asked.json["transaction_id"] == f"42{ATTEMPT}" and asked.json["unfreeze_unsplit"] is False
        known = {(each["type"], each["account"]) for each in self.added}
        assert all((each["type"], each["account"]) in known for each in asked.json["receivers"])
        self.splits.setdefault(asked.json["out_order_no"], asked.json)
        return self.words(asked.json["out_order_no"])

    def query(self, asked: wx.Asked) -> tuple[int, Any]:
        assert asked.query["transaction_id"] == f"42{ATTEMPT}"
        number = asked.path.rpartition("/")[2]
        return self.words(number) if number in self.splits else (404, {"code": "RESOURCE_NOT_EXISTS"})

    def words(self, number: str) -> tuple[int, Any]:
        parts = []
        for each in self.splits[number]["receivers"]:
            result, reason = self.results.get(each["account"], ("SUCCESS", ""))
            part = {"type": each["type"], "account": each["account"], "amount": each["amount"], "result": result}
            parts.append(part | ({"fail_reason": reason} if reason else {}))
        is_over = all(part["result"] != "PENDING" for part in parts)
        return 200, {"state": "FINISHED" if is_over else "PROCESSING", "out_order_no": number, "receivers": parts}

    def unfreeze(self, asked: wx.Asked) -> tuple[int, Any]:
        assert asked.json["out_order_no"] == SPLIT + "F"
        return 200, {"state": "FINISHED" if self.is_unfrozen else "PROCESSING", "out_order_no": SPLIT + "F"}


def outcome(receiver: Receiver, standing: Any, reason: str = "") -> ReceiverOutcome:
    return ReceiverOutcome(party=receiver.party, account_ref=receiver.account_ref, standing=standing, reason=reason)


async def test_a_split_pays_merchants_and_leaves_the_runners_part_with_the_team(counter: wx.Counter) -> None:
    sharing = Sharing(counter)
    async with wx.channel_to(counter) as channel:
        assert channel.shape.takes_back_from == ("campus", "platform", "runner")
        answer = await channel.split(ATTEMPT, SPLIT, [RUNNER, PLATFORM, CAMPUS])
        assert set(answer.receivers) == {outcome(each, "paid") for each in (RUNNER, PLATFORM, CAMPUS)}
        again = await channel.split(ATTEMPT, SPLIT, [RUNNER, PLATFORM, CAMPUS])
        assert again == answer
    assert [each["account"] for each in sharing.added] == ["1900000100", "1900000200"]
    assert counter.paths().count(f"POST {SPLITS}") == 1
    receivers = sharing.splits[SPLIT]["receivers"]
    assert [(each["type"], each["account"], each["amount"]) for each in receivers] == [
        ("MERCHANT_ID", "1900000100", 200),
        ("MERCHANT_ID", "1900000200", 100),
    ]


async def test_finished_is_not_paid(counter: wx.Counter) -> None:
    sharing = Sharing(counter)
    sharing.results["1900000200"] = ("CLOSED", "ACCOUNT_ABNORMAL")
    async with wx.channel_to(counter) as channel:
        answer = await channel.split(ATTEMPT, SPLIT, [RUNNER, PLATFORM, CAMPUS])
    assert set(answer.receivers) == {
        outcome(PLATFORM, "paid"),
        outcome(CAMPUS, "closed", "account_abnormal"),
        outcome(RUNNER, "closed", "waits_for_others"),
    }
    assert f"POST {SPLITS}/unfreeze" not in counter.paths(), "released money could not be split any more"


async def test_the_rest_is_released_last(counter: wx.Counter) -> None:
    sharing = Sharing(counter)
    sharing.results["1900000100"] = ("PENDING", "")
    sharing.is_unfrozen = False
    async with wx.channel_to(counter) as channel:
        answer = await channel.split(ATTEMPT, SPLIT, [RUNNER, PLATFORM])
        assert set(answer.receivers) == {outcome(PLATFORM, "pending"), outcome(RUNNER, "pending", "waits_for_others")}
        sharing.results.clear()
        answer = await channel.split(ATTEMPT, SPLIT, [RUNNER, PLATFORM])
        assert set(answer.receivers) == {outcome(PLATFORM, "paid"), outcome(RUNNER, "pending", "unfreezing")}
        sharing.is_unfrozen = True
        answer = await channel.split(ATTEMPT, SPLIT, [RUNNER, PLATFORM])
        assert set(answer.receivers) == {outcome(PLATFORM, "paid"), outcome(RUNNER, "paid")}


@pytest.mark.parametrize(("unsplit", "standing"), [(0, "paid"), (5, "closed"), (None, "closed")])
async def test_what_the_provider_released_by_itself_is_released(
    counter: wx.Counter, unsplit: int | None, standing: str
) -> None:
    Sharing(counter)
    counter.says("POST", f"{SPLITS}/unfreeze", {"code": "INVALID_REQUEST"}, 400)
    amounts = f"/v3/profitsharing/transactions/42{ATTEMPT}/amounts"
    counter.says("GET", amounts, {"unsplit_amount": unsplit})
    async with wx.channel_to(counter) as channel:
        answer = await channel.split(ATTEMPT, SPLIT, [RUNNER])
        assert [each.standing for each in answer.receivers] == [standing]
        counter.says("GET", amounts, {"code": "SYSTEM_ERROR"}, 500)
        answer = await channel.split(ATTEMPT, SPLIT, [RUNNER])
        assert [each.standing for each in answer.receivers] == ["closed"]
        counter.says("POST", f"{SPLITS}/unfreeze", {"code": "SYSTEM_ERROR"}, 500)
        answer = await channel.split(ATTEMPT, SPLIT, [RUNNER])
        assert answer.receivers == (outcome(RUNNER, "pending", "system_error"),)


async def accounts(account_ref: str) -> Mapping[str, str]:
    return {"runner:r": {"openid": "oRunner", "name": "张三"}, "campus:b": {"mchid": wx.MCHID}}.get(account_ref, {})


async def test_a_runner_is_paid_by_openid_and_the_name_is_for_the_provider_alone(counter: wx.Counter) -> None:
    sharing = Sharing(counter)
    stranger = Receiver(party="campus", account_ref="campus:nobody", amount_fen=Fen(1))
    own = Receiver(party="campus", account_ref="campus:b", amount_fen=Fen(2))
    async with wx.channel_to(counter, runner_payout="personal", find_account=accounts) as channel:
        assert channel.shape.takes_back_from == ("campus", "platform")
        answer = await channel.split(ATTEMPT, SPLIT, [RUNNER, PLATFORM])
        assert set(answer.receivers) == {outcome(RUNNER, "paid"), outcome(PLATFORM, "paid")}
        answer = await channel.split(ATTEMPT, SPLIT, [stranger, own])
        assert set(answer.receivers) == {
            outcome(stranger, "closed", "no_account"),
            outcome(own, "closed", "waits_for_others"),
        }
        assert (await channel.take_back(ATTEMPT, "B1", SPLIT, RUNNER)).reason == "not_a_merchant"
    part = sharing.splits[SPLIT]["receivers"][0]
    assert (part["type"], part["account"]) == ("PERSONAL_OPENID", "oRunner")
    assert decrypt_field(wx.PLATFORM_KEY, part["name"]) == "张三"
    assert sharing.added[0]["relation_type"] == "STAFF"
    ordered = next(each for each in counter.asked if (each.method, each.path) == ("POST", SPLITS))
    assert ordered.headers["Wechatpay-Serial"] == wx.PUBLIC_KEY_ID


async def test_a_name_is_never_left_out_for_want_of_a_key(counter: wx.Counter) -> None:
    sharing = Sharing(counter)
    by_certificate: dict[str, Any] = {
        "public_key_id": "",
        "public_key": "",
        "transfer_scene_id": "1005",
    }
    counter.says("GET", f"{TRANSFERS}/out-bill-no/T1", {"code": "NOT_FOUND"}, 404)
    to = {"openid": "oRunner", "name": "张三"}
    counter.serial = "A1"
    counter.certificates = [("A1", wx.certificate_pem(wx.certificate_of(wx.PLATFORM_KEY, 0xA1)))]
    async with wx.channel_to(counter, **by_certificate) as channel:
        assert (await channel.split(ATTEMPT, SPLIT, [PLATFORM])).receivers == (outcome(PLATFORM, "paid"),)
        assert decrypt_field(wx.PLATFORM_KEY, sharing.added[0]["name"]) == "某某平台有限公司"
        # Its certificate ran out, and no other one can be had.
        channel.api.wall_s = lambda: 4_000_000_000.0
        assert not await channel.api.can_seal()
        channel.api.wall_s = time.time
        channel.api.keys.platform.replace_certificates(())
        counter.says("GET", f"/v3/pay/transactions/out-trade-no/{ATTEMPT}", wx.trade(ATTEMPT))
        assert await channel.split(ATTEMPT, SPLIT + "2", [PLATFORM]) == SplitAnswer(reason="no_platform_key")
    assert len(sharing.splits) == 1 and to["name"] not in repr(counter.asked[-1].json)


async def test_a_transfer_waits_for_a_key_too(counter: wx.Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.channels.wechat_api.CERTIFICATES_AT_LEAST_S", 0.0)
    counter.unsigned = True
    counter.says("GET", f"{TRANSFERS}/out-bill-no/T1", {"code": "NOT_FOUND"}, 404)
    async with wx.channel_to(counter, public_key_id="", public_key="") as channel:
        to = {"openid": "oRunner", "name": "张三"}
        answer = await channel.transfer("T1", "runner:r", to, Fen(500))
    assert answer == MoneyAnswer(standing="no_answer", reason="no_platform_key")
    assert f"POST {TRANSFERS}" not in counter.paths()


@pytest.mark.parametrize(
    ("path", "method"), [("/v3/profitsharing/receivers/add", "POST"), (SPLITS, "POST"), (f"{SPLITS}/{SPLIT}", "GET")]
)
async def test_a_split_that_was_judged_is_closed_and_one_that_was_not_is_asked_again(
    counter: wx.Counter, path: str, method: str
) -> None:
    Sharing(counter)
    async with wx.channel_to(counter) as channel:
        for status, code in ((500, "SYSTEM_ERROR"), (429, "FREQUENCY_LIMITED")):
            counter.says(method, path, {"code": code}, status)
            assert await channel.split(ATTEMPT, SPLIT, [PLATFORM]) == SplitAnswer(reason=code.lower())
        counter.says(method, path, {"code": "RULE_LIMIT"}, 403)
        answer = await channel.split(ATTEMPT, SPLIT, [PLATFORM])
        # A question that is refused says nothing about the money.
        judged = SplitAnswer(receivers=(outcome(PLATFORM, "closed", "rule_limit"),))
        assert answer == (SplitAnswer(reason="rule_limit") if method == "GET" else judged)
        counter.says(method, path, None, script=lambda _: web.Response(status=200))
        assert (await channel.split(ATTEMPT, SPLIT, [PLATFORM])).reason == "not_signed"


async def test_a_part_that_is_not_listed_is_open_and_nonsense_is_no_answer(counter: wx.Counter) -> None:
    Sharing(counter)
    async with wx.channel_to(counter) as channel:
        counter.says("GET", f"{SPLITS}/{SPLIT}", {"state": "FINISHED", "receivers": []})
        assert (await channel.split(ATTEMPT, SPLIT, [PLATFORM])).receivers == (
            outcome(PLATFORM, "pending", "not_listed"),
        )
        counter.says("GET", f"{SPLITS}/{SPLIT}", {"state": "?"})
        assert await channel.split(ATTEMPT, SPLIT, [PLATFORM]) == SplitAnswer(reason="bad_answer")


async def test_a_merchants_part_is_taken_back(counter: wx.Counter) -> None:
    async with wx.channel_to(counter) as channel:
        counter.says("POST", RETURNS, {"result": "PROCESSING"})
        assert (await channel.take_back(ATTEMPT, "B1", SPLIT, PLATFORM)).standing == "pending"
        assert counter.asked[-1].json == {
            "out_order_no": SPLIT,
            "out_return_no": "B1",
            "return_mchid": "1900000100",
            "amount": 200,
            "description": f"refund of {ATTEMPT}",
        }
        counter.says("POST", RETURNS, {"result": "FAILED", "fail_reason": "BALANCE_NOT_ENOUGH"})
        assert await channel.take_back(ATTEMPT, "B1", SPLIT, PLATFORM) == MoneyAnswer(
            standing="failed", reason="balance_not_enough"
        )
        counter.says("POST", RETURNS, {"code": "INVALID_REQUEST"}, 400)
        counter.says("GET", f"{RETURNS}/B1", {"result": "SUCCESS"})
        assert await channel.take_back(ATTEMPT, "B1", SPLIT, PLATFORM) == MoneyAnswer(standing="done")
        assert counter.asked[-1].query == {"out_order_no": SPLIT}
        asked = len(counter.asked)
        assert await channel.take_back(ATTEMPT, "B2", SPLIT, RUNNER) == MoneyAnswer(standing="done")
        assert len(counter.asked) == asked, "it is with the merchant that refunds"


# -- transfers -----------------------------------------------------------------------------------------------------


async def test_a_transfer_is_ordered_once_and_waits_for_the_payee(counter: wx.Counter) -> None:
    bill: dict[str, Any] = {}

    def order(asked: wx.Asked) -> tuple[int, Any]:
        bill.update(asked.json, state="WAIT_USER_CONFIRM")
        return 200, {"out_bill_no": "T1", "state": "WAIT_USER_CONFIRM", "package_info": "affff="}

    def query(_: wx.Asked) -> tuple[int, Any]:
        return (200, bill) if bill else (404, {"code": "NOT_FOUND"})

    counter.says("POST", TRANSFERS, script=order)
    counter.says("GET", f"{TRANSFERS}/out-bill-no/T1", script=query)
    reports = (SceneReport("岗位类型", "校园骑手"),)
    settings: dict[str, Any] = {
        "runner_payout": "transfer",
        "transfer_scene_id": "1005",
        "transfer_reports": reports,
    }
    to = {"openid": "oRunner", "name": "张三"}
    async with wx.channel_to(counter, **settings) as channel:
        waits = MoneyAnswer(standing="pending", reason="wait_user_confirm")
        assert await channel.transfer("T1", "runner:r", to, Fen(200_000)) == waits
        assert await channel.transfer("T1", "runner:r", to, Fen(200_000)) == waits
        assert channel.transfer_package("T1") == "affff=" and channel.transfer_package("T2") == ""
        bill["state"] = "SUCCESS"
        assert await channel.transfer("T1", "runner:r", to, Fen(200_000)) == MoneyAnswer(standing="done")
        bill.update(state="FAIL", fail_reason="ACCOUNT_FROZEN")
        failed = await channel.transfer("T1", "runner:r", to, Fen(200_000))
        assert failed == MoneyAnswer(standing="failed", reason="account_frozen")
    assert counter.paths().count(f"POST {TRANSFERS}") == 1
    assert decrypt_field(wx.PLATFORM_KEY, bill["user_name"]) == "张三"
    assert bill["transfer_scene_report_infos"] == [{"info_type": "岗位类型", "info_content": "校园骑手"}]
    assert (bill["transfer_amount"], bill["transfer_scene_id"], bill["out_bill_no"]) == (200_000, "1005", "T1")


async def test_a_transfer_that_is_not_heard_of_is_asked_about_and_never_renumbered(counter: wx.Counter) -> None:
    query = f"{TRANSFERS}/out-bill-no/T1"
    async with wx.channel_to(counter) as channel:
        assert (await channel.transfer("T1", "r", {}, Fen(100))).reason == "openid_missing"
        assert (await channel.transfer("T1", "r", {"openid": "o"}, Fen(200_000))).reason == "name_missing"
        counter.says("GET", query, {"code": "SYSTEM_ERROR"}, 500)
        assert (await channel.transfer("T1", "r", {"openid": "o"}, Fen(100))).standing == "no_answer"
        counter.says("GET", query, {"code": "NOT_FOUND"}, 404)
        counter.says("POST", TRANSFERS, {"code": "SYSTEM_ERROR"}, 500)
        assert (await channel.transfer("T1", "r", {"openid": "o"}, Fen(100))).standing == "no_answer"
        counter.says("POST", TRANSFERS, {"code": "NOT_ENOUGH"}, 403)
        answer = await channel.transfer("T1", "r", {"openid": "o", "name": "张三"}, Fen(29))
        assert answer == MoneyAnswer(standing="failed", reason="not_enough")
        assert "user_name" not in counter.asked[-1].json, "below 0.30 yuan no name may be given"
        counter.says("POST", TRANSFERS, [])
        assert (await channel.transfer("T1", "r", {"openid": "o"}, Fen(100))).reason == "bad_answer"


# -- bills -----------------------------------------------------------------------------------------------------------

TRADE_COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
FLOW_COLUMNS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额（元）,账户结余（元）,资金变更提交申请人,"
    "备注,业务凭证号"
)


def ticked(*values: str) -> str:
    return ",".join(f"`{value}" for value in values)


def trade_row(no: str, state: str, yuan: str, *, refund: str = "", back: str = "0.00", fee: str = "0.00000") -> str:
    return ticked(
        "2026-03-01 12:30:00", wx.APPID, wx.MCHID, "0", "", f"42{no}", no, "oUser", "JSAPI", state, "OTHERS", "CNY",
        yuan, "0.00", "50" if refund else "0", refund or "0", back, "0.00", "ORIGINAL" if refund else "",
        "SUCCESS" if refund else "", "代取, 奶茶`1", "", fee, "0.60%", yuan, back, "",
    )  # fmt: skip


def trade_bill(*rows: str, paid: str, back: str, count: int | None = None) -> bytes:
    totals = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
    last = ticked(str(len(rows) if count is None else count), paid, back, "0.00", "0.00", paid, back)
    return ("\ufeff" + "\r\n".join([TRADE_COLUMNS, *rows, totals, last]) + "\r\n").encode()


def flow_bill(*rows: tuple[str, str, str, str], income: str, spent: str) -> bytes:
    lines = [
        ticked("2026-03-01 12:30:00", "42x", "7", name, name, direction, yuan, "100.00", "system", "", number)
        for name, direction, yuan, number in rows
    ]
    totals = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
    last = ticked(str(len(rows)), "1", income, "1", spent)
    return ("\ufeff" + "\n".join([FLOW_COLUMNS, *lines, totals, last]) + "\n").encode()


TRADES = trade_bill(
    trade_row("A1", "SUCCESS", "10.00", fee="0.06000"),
    trade_row("A2", "SUCCESS", "0.01"),
    trade_row("A1", "REFUND", "0.00", refund="R1", back="3.00", fee="-0.01800"),
    paid="10.01",
    back="3.00",
)
FLOWS = flow_bill(
    ("交易", "收入", "10.00", "A1"),
    ("扣除交易手续费", "支出", "0.06", "A1"),
    ("扣除交易手续费", "收入", "0.02", "A1"),
    ("退款", "支出", "3.00", "R1"),
    ("分账", "支出", "2.00", "S1"),
    ("分账回退", "收入", "1.00", "B1"),
    ("提现", "支出", "1.00", ""),
    income="11.02",
    spent="6.06",
)


def serve_bills(counter: wx.Counter, trades: bytes = TRADES, flows: bytes = FLOWS, digest: str = "") -> None:
    for name, file in (("tradebill", trades), ("fundflowbill", flows)):
        words = {
            "hash_type": "SHA1",
            "hash_value": digest or hashlib.sha1(file).hexdigest(),
            # The link names the provider's host; what is configured is what is called.
            "download_url": f"https://api.mch.weixin.qq.com/v3/billdownload/{name}?token=x%2By&tartype=",
        }
        counter.says("GET", f"/v3/bill/{name}", words)
        counter.says("GET", f"/v3/billdownload/{name}", script=lambda _, file=file: web.Response(body=file))  # type: ignore[misc]


DAY = date(2026, 3, 1)


async def test_both_bills_in_fen(counter: wx.Counter) -> None:
    serve_bills(counter)
    async with wx.channel_to(counter) as channel:
        bill = await channel.bill(DAY)
    assert isinstance(bill, Bill) and bill.day == DAY and bill.flows is not None
    assert [(each.kind, each.attempt_id, each.number, each.amount_fen) for each in bill.trades] == [
        ("paid", "A1", "A1", 1000),
        ("fee", "A1", "A1", 6),
        ("paid", "A2", "A2", 1),
        ("refunded", "A1", "R1", 300),
        ("fee", "A1", "R1", -2),
    ]
    assert bill.trades[0].transaction_id == "42A1"
    assert bill.trades[0].at == datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
    assert [(each.kind, each.number, each.amount_fen) for each in bill.flows] == [
        ("paid", "A1", 1000),
        ("fee", "A1", 6),
        ("fee", "A1", -2),
        ("refunded", "R1", 300),
        ("split", "S1", 200),
        ("taken_back", "B1", 100),
    ]
    asked = [each for each in counter.asked if each.path == "/v3/bill/tradebill"]
    assert asked[0].query == {"bill_date": "2026-03-01", "bill_type": "ALL"}
    assert counter.asked[1].target == "/v3/billdownload/tradebill?token=x%2By&tartype="


async def test_a_bill_that_cannot_be_had_says_why(counter: wx.Counter) -> None:
    async with wx.channel_to(counter) as channel:
        counter.says("GET", "/v3/bill/tradebill", {"code": "NO_STATEMENT_EXIST"}, 400)
        assert await channel.bill(DAY) == NoBill(reason="no_statement_exist", is_final=True)
        counter.says("GET", "/v3/bill/tradebill", {"code": "STATEMENT_CREATING"}, 400)
        assert await channel.bill(DAY) == NoBill(reason="statement_creating")
        counter.says("GET", "/v3/bill/tradebill", {"hash_type": "SHA1"})
        assert await channel.bill(DAY) == NoBill(reason="bad_answer")
        md5 = {"hash_type": "MD5", "hash_value": "x", "download_url": "http://x/y"}
        counter.says("GET", "/v3/bill/tradebill", md5)
        assert await channel.bill(DAY) == NoBill(reason="unknown_digest MD5")
        serve_bills(counter, digest="0" * 40)
        assert await channel.bill(DAY) == NoBill(reason="wrong_digest")
        serve_bills(counter)
        counter.says("GET", "/v3/billdownload/tradebill", {"code": "SYSTEM_ERROR"}, 500)
        assert await channel.bill(DAY) == NoBill(reason="system_error")
        serve_bills(counter, trades=TRADES.replace(b"\xe6", b"\xff"))
        assert await channel.bill(DAY) == NoBill(reason="bad_bill: it is not UTF-8")
        counter.tamper = True
        assert await channel.bill(DAY) == NoBill(reason="bad_signature")


async def test_the_fund_flow_may_be_missing_for_good(counter: wx.Counter) -> None:
    serve_bills(counter)
    async with wx.channel_to(counter) as channel:
        counter.says("GET", "/v3/bill/fundflowbill", {"code": "NO_STATEMENT_EXIST"}, 400)
        bill = await channel.bill(DAY)
        assert isinstance(bill, Bill) and bill.flows == ()
        counter.says("GET", "/v3/bill/fundflowbill", {"code": "NO_AUTH"}, 403)
        bill = await channel.bill(DAY)
        assert isinstance(bill, Bill) and bill.flows is None
        counter.says("GET", "/v3/bill/fundflowbill", {"code": "SYSTEM_ERROR"}, 500)
        assert await channel.bill(DAY) == NoBill(reason="system_error")
    async with wx.channel_to(counter, sub_mchid="1900000999") as channel:
        bill = await channel.bill(DAY)
        assert isinstance(bill, Bill) and bill.flows is None
    assert counter.asked[-2].query["sub_mchid"] == "1900000999"


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "cut off"),
        (TRADES[: len(TRADES) // 2], "cut off"),
        (trade_bill(trade_row("A1", "SUCCESS", "10.00"), paid="10.01", back="0.00"), "paid: it says 1001"),
        (trade_bill(trade_row("A1", "SUCCESS", "10.00"), paid="10.00", back="1.00"), "refunded: it says 100"),
        (trade_bill(paid="0.00", back="0.00", count=1), "trades: it says 1"),
        (trade_bill(trade_row("A1", "SUCCESS", "10.001"), paid="0", back="0"), "whole number of fen"),
        (trade_bill(trade_row("A1", "SUCCESS", "ten"), paid="0", back="0"), "is not an amount"),
        (trade_bill(trade_row("A1", "SUCCESS", "1e99"), paid="0", back="0"), "is not an amount"),
        (trade_bill("`2026", paid="0", back="0"), "1 values for 27 columns"),
        (TRADES.replace(b"2026-03-01 12:30:00", b"yesterday"), "is not a time"),
        (TRADES.replace("手续费,费率".encode(), "费,费率".encode()), "no column 手续费"),
    ],
)  # fmt: skip
def test_a_bill_that_does_not_agree_with_itself_is_refused(file: bytes, why: str) -> None:
    with pytest.raises(bills.BadBill, match=why):
        bills.read_trades(file)


def test_a_fund_flow_that_does_not_agree_with_itself_is_refused() -> None:
    with pytest.raises(bills.BadBill, match="收入金额: it says 200, its rows make 100"):
        bills.read_flows(flow_bill(("交易", "收入", "1.00", "A1"), income="2.00", spent="0.00"))


def test_a_refund_that_failed_is_no_line() -> None:
    row = trade_row("A1", "REFUND", "0.00", refund="R1", back="3.00").replace("`SUCCESS", "`FAIL")
    assert bills.read_trades(trade_bill(row, paid="0.00", back="3.00")) == []
