"""Money that leaves by WeChat Pay, against a real HTTP server: the same number always, each receiver's own result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web

from payments.channels.wechat_config import SceneReport
from payments.channels.wechat_signing import decrypt_field
from payments.money import Fen
from payments.outcomes import WAITS_FOR_PAYEE, MoneyAnswer, Receiver, ReceiverOutcome, SplitAnswer
from tests import wechat_counter as wx
from tests.payments_wechat import ATTEMPT

SPLIT = f"{ATTEMPT}S1"
REFUNDS = "/v3/refund/domestic/refunds"
SPLITS = "/v3/profitsharing/orders"
RETURNS = "/v3/profitsharing/return-orders"
TRANSFERS = "/v3/fund-app/mch-transfer/transfer-bills"
PLATFORM = Receiver(party="platform", account_ref="platform", amount_fen=Fen(200))
CAMPUS = Receiver(party="campus", account_ref="campus:a", amount_fen=Fen(100))
RUNNER = Receiver(party="runner", account_ref="runner:r", amount_fen=Fen(600))


@pytest.fixture
def counter(counter: wx.Counter) -> wx.Counter:
    """One that knows the order."""
    counter.says("GET", f"/v3/pay/transactions/out-trade-no/{ATTEMPT}", wx.trade(ATTEMPT))
    return counter


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


@pytest.mark.parametrize(("unsplit", "standing"), [(0, "paid"), (5, "closed"), (None, "pending")])
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
        assert answer.receivers == (outcome(RUNNER, "pending", "unfreezing"),), "what is frozen still was not heard"
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


async def test_only_somebody_else_who_is_still_to_be_paid_keeps_the_rest_frozen(counter: wx.Counter) -> None:
    Sharing(counter)
    shares = {"platform": wx.MCHID, "campus:a": "1900000100"}
    async with wx.channel_to(counter, runner_payout="personal", find_account=accounts, accounts=shares) as channel:
        for paid, later, is_released in (
            (CAMPUS, [RUNNER], False), (CAMPUS, [PLATFORM, RUNNER], False), (PLATFORM, [RUNNER], False),
            (CAMPUS, [PLATFORM], True), (PLATFORM, [PLATFORM], True), (CAMPUS, [], True),
        ):  # fmt: skip
            before = counter.paths().count(f"POST {SPLITS}/unfreeze")
            assert (await channel.split(ATTEMPT, SPLIT, [paid], later)).receivers == (outcome(paid, "paid"),)
            assert counter.paths().count(f"POST {SPLITS}/unfreeze") - before == is_released, (paid, later)


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
        invoke = {"mchId": wx.MCHID, "appId": wx.APPID, "package": "affff="}
        waits = MoneyAnswer(
            standing="pending", reason=WAITS_FOR_PAYEE, confirm={"kind": "wechat_transfer", "invoke": invoke}
        )
        assert await channel.transfer("T1", "runner:r", to, Fen(200_000)) == waits
        assert await channel.transfer("T1", "runner:r", to, Fen(200_000)) == waits
        bill["state"] = "SUCCESS"
        assert await channel.transfer("T1", "runner:r", to, Fen(200_000)) == MoneyAnswer(standing="done")
        bill.update(state="FAIL", fail_reason="ACCOUNT_FROZEN")
        failed = await channel.transfer("T1", "runner:r", to, Fen(200_000))
        assert failed == MoneyAnswer(standing="failed", reason="account_frozen", is_spent=True)
    assert counter.paths().count(f"POST {TRANSFERS}") == 1
    assert decrypt_field(wx.PLATFORM_KEY, bill["user_name"]) == "张三"
    assert bill["transfer_scene_report_infos"] == [{"info_type": "岗位类型", "info_content": "校园骑手"}]
    assert (bill["transfer_amount"], bill["transfer_scene_id"], bill["out_bill_no"]) == (200_000, "1005", "T1")


async def test_a_transfer_that_is_not_heard_of_is_asked_about_and_never_renumbered(counter: wx.Counter) -> None:
    query = f"{TRANSFERS}/out-bill-no/T1"
    async with wx.channel_to(counter) as channel:
        counter.says("GET", query, {"code": "SYSTEM_ERROR"}, 500)
        assert (await channel.transfer("T1", "r", {"openid": "o"}, Fen(100))).standing == "no_answer"
        assert (await channel.transfer("T1", "r", {}, Fen(100))).standing == "no_answer", "it may be there"
        counter.says("GET", query, {"code": "NOT_FOUND"}, 404)
        assert (await channel.transfer("T1", "r", {}, Fen(100))).reason == "openid_missing"
        assert (await channel.transfer("T1", "r", {"openid": "o"}, Fen(200_000))).reason == "name_missing"
        counter.says("POST", TRANSFERS, {"code": "SYSTEM_ERROR"}, 500)
        assert (await channel.transfer("T1", "r", {"openid": "o"}, Fen(100))).standing == "no_answer"
        counter.says("POST", TRANSFERS, {"code": "NOT_ENOUGH"}, 403)
        answer = await channel.transfer("T1", "r", {"openid": "o", "name": "张三"}, Fen(29))
        assert answer == MoneyAnswer(standing="failed", reason="not_enough")
        assert "user_name" not in counter.asked[-1].json, "below 0.30 yuan no name may be given"
        counter.says("POST", TRANSFERS, [])
        assert (await channel.transfer("T1", "r", {"openid": "o"}, Fen(100))).reason == "bad_answer"
