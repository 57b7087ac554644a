"""Transfers and bills of the simulated WeChat Pay, and how it shows an order with all that became of it."""

from __future__ import annotations

import base64
import gzip
import hashlib
from datetime import timedelta
from pathlib import Path

from aiohttp import ClientSession

from payments.channels import wechat_signing as signing
from payments.channels.signing_keys import public_key
from payments.simulator.house import House, Plan
from payments.simulator.wechat_words import BEIJING
from tests.simulator_calls import REFUNDS, SPLITS, paid, refused
from tests.simulator_house import Caller, admin, running, state_with_keys, until, wrong

TRANSFERS = "/v3/fund-app/mch-transfer/transfer-bills"


async def test_transfers_that_cannot_be(caller: Caller) -> None:
    asked = {
        "appid": caller.given["appid"],
        "out_bill_no": "TRANSFER1",
        "transfer_scene_id": "1005",
        "openid": "oRunner",
        "transfer_amount": 500,
        "transfer_remark": "跑腿",
    }
    for change, code in (
        ({"appid": "wx1"}, "PARAM_ERROR"),
        ({"out_bill_no": "A_B_C_D"}, "PARAM_ERROR"),
        ({"out_bill_no": "A1"}, "PARAM_ERROR"),
        ({"transfer_amount": 200_000}, "PARAM_ERROR"),
        ({"transfer_remark": ""}, "PARAM_ERROR"),
        ({"user_name": base64.b64encode(b"x" * 256).decode()}, "PARAM_ERROR"),
        ({"transfer_amount": 0}, "NOT_ENOUGH"),
    ):
        assert (await refused(caller, "POST", TRANSFERS, asked | change))[1] == code, change
    assert (await caller.ask("POST", TRANSFERS, asked))[1]["state"] == "WAIT_USER_CONFIRM"
    assert (await refused(caller, "POST", TRANSFERS, asked | {"openid": "oOther"}))[1] == "INVALID_REQUEST"
    assert (await refused(caller, "GET", f"{TRANSFERS}/transfer-bill-no/1330"))[:2] == (404, "NOT_FOUND")
    assert (await refused(caller, "POST", f"{TRANSFERS}/out-bill-no/NEVER/cancel"))[:2] == (404, "NOT_FOUND")
    caller.house.desk.agree(next(iter(caller.house.books.transfers.values())))
    assert (await refused(caller, "POST", f"{TRANSFERS}/out-bill-no/TRANSFER1/cancel"))[1] == "INVALID_REQUEST"


async def test_a_days_bill_is_there_when_the_day_is_over(caller: Caller, house: House) -> None:
    today = house.clock.now().astimezone(BEIJING).date()
    await paid(caller, description="红茶,大杯")
    await caller.ask(
        "POST", REFUNDS, {"out_refund_no": "R1", "out_trade_no": "ORDER001", "amount": {"refund": 300, "total": 1000}}
    )
    await caller.ask(
        "POST",
        TRANSFERS,
        {
            "appid": caller.given["appid"],
            "out_bill_no": "TRANSFER1",
            "transfer_scene_id": "1005",
            "openid": "oRunner",
            "transfer_amount": 500,
            "transfer_remark": "跑腿",
        },
    )
    await caller.ask("POST", f"{TRANSFERS}/out-bill-no/TRANSFER1/cancel")
    bill = f"/v3/bill/tradebill?bill_date={today}"
    assert (await refused(caller, "GET", bill))[:2] == (400, "STATEMENT_CREATING")
    house.set_clock(rate=1, calendar_rate=1, now_ms=round((house.clock.now() + timedelta(days=1)).timestamp() * 1000))
    for target, code in (
        (f"/v3/bill/tradebill?bill_date={today - timedelta(days=1)}", "NO_STATEMENT_EXIST"),
        (f"/v3/bill/fundflowbill?bill_date={today}&account_type=FEES", "NO_STATEMENT_EXIST"),
        ("/v3/bill/tradebill?bill_date=lately", "PARAM_ERROR"),
        (f"{bill}&bill_type=SOME", "PARAM_ERROR"),
        (f"{bill}&tar_type=ZIP", "PARAM_ERROR"),
        ("/v3/billdownload/file?token=guessed", "PARAM_ERROR"),
        (f"/v3/billdownload/file?token=tradebill.{today - timedelta(days=1)}.ALL..", "NO_STATEMENT_EXIST"),
    ):
        assert (await refused(caller, "GET", target))[1] == code, target
    for query, counted in (("", 2), ("&bill_type=SUCCESS", 1), ("&bill_type=REFUND", 1)):
        lines = await download(caller, f"{bill}{query}&tar_type=GZIP")
        assert lines[-1].startswith(f"`{counted},")
        assert len(lines) == counted + 3
    lines = await download(caller, f"/v3/bill/fundflowbill?bill_date={today}")
    assert [line.split(",")[3:7:2] + line.split(",")[6:7] for line in lines[1:-2]] == [
        ["`交易", "`收入", "`10.00"],
        ["`退款", "`支出", "`3.00"],
        ["`商家转账", "`支出", "`5.00"],
        ["`商家转账退回", "`收入", "`5.00"],
    ]
    assert lines[-1] == "`4,`2,`15.00,`2,`8.00"


async def test_an_order_is_shown_with_all_that_became_of_it(caller: Caller, house: House) -> None:
    order = await paid(caller, settle_info={"profit_sharing": True})
    words = {"appid": caller.given["appid"], "type": "MERCHANT_ID", "relation_type": "PARTNER", "account": "1900000109"}
    words["name"] = signing.encrypt_field(public_key("public_key", caller.given["public_key"]), "平台公司")
    await caller.ask("POST", f"{SPLITS}/receivers/add", words, key_named=caller.given["public_key_id"])
    split = {
        "appid": caller.given["appid"],
        "transaction_id": order.charges[0].transaction_id,
        "out_order_no": "S1",
        "receivers": [{"type": "MERCHANT_ID", "account": "1900000109", "amount": 300, "description": "平台"}],
        "unfreeze_unsplit": False,
    }
    wrong(house, "split_pending s=2 count=1")
    await caller.ask("POST", f"{SPLITS}/orders", split)
    key = f"/admin/orders/wechat/{caller.given['mchid']}/ORDER001"
    _, under_way = await admin(house, key)
    assert under_way["splits"][0]["parts"][0]["standing"] == "pending"
    await until(lambda: not house.books.unfinished(), "the split")
    back = {"out_order_no": "S1", "return_mchid": "1900000109", "amount": 50, "description": "退"}
    wrong(house, "return_failed count=1", "refund_closed count=1")
    for number in ("B1", "B2"):
        await caller.ask("POST", f"{SPLITS}/return-orders", back | {"out_return_no": number})
    refund = {"out_trade_no": "ORDER001", "amount": {"refund": 100, "total": 1000}}
    for number in ("R1", "R2"):
        await caller.ask("POST", REFUNDS, refund | {"out_refund_no": number})
    await until(lambda: not house.books.unfinished(), "the refunds")
    _, whole = await admin(house, key)
    assert [(r["number"], r["standing"]) for r in whole["refunds"]] == [("R1", "closed"), ("R2", "done")]
    assert [(p["account"], p["standing"]) for p in whole["splits"][0]["parts"]] == [("1900000109", "done")]
    assert [(r["number"], r["is_done"]) for r in whole["returns"]] == [("B1", False), ("B2", True)]
    counted = ("paid_fen", "refunded_fen", "split_fen", "taken_back_fen", "frozen_fen", "times_charged")
    assert [whole[name] for name in counted] == [1000, 100, 300, 50, 650, 1]
    house.set_clock(rate=1, calendar_rate=1, now_ms=round((house.clock.now() + timedelta(days=1)).timestamp() * 1000))
    day = order.opened_at.astimezone(BEIJING).date()
    lines = await download(caller, f"/v3/bill/fundflowbill?bill_date={day}")
    assert [line.split(",")[3] for line in lines[1:-2]] == ["`交易", "`分账", "`分账回退", "`退款"]


async def download(caller: Caller, target: str) -> list[str]:
    """The lines of a bill, after its digest was checked."""
    status, where, _ = await caller.ask("GET", target)
    assert status == 200, where
    url = where["download_url"].removeprefix(caller.house.base_url)
    header = signing.authorization(
        caller.key,
        mchid=caller.given["mchid"],
        serial=caller.given["serial_no"],
        method="GET",
        target=url,
        body=b"",
        timestamp=str(int(caller.house.clock.wall_s())),
        nonce="n0nce",
    )
    async with (
        ClientSession() as session,
        session.get(where["download_url"], headers={"Authorization": header}) as response,
    ):
        file = await response.read()
        assert "Wechatpay-Signature" not in response.headers
    text = gzip.decompress(file) if "GZIP" in target else file
    assert hashlib.sha1(text).hexdigest() == where["hash_value"]
    return text.decode("utf-8-sig").splitlines()


async def test_a_transfer_without_a_question(tmp_path: Path) -> None:
    plan = Plan(state=state_with_keys(tmp_path), work_s=0.01, options={"wechat": {"transfer_confirm": "false"}})
    async with running(plan) as house:
        caller = Caller(house)
        words = {
            "appid": caller.given["appid"],
            "out_bill_no": "TRANSFER1",
            "transfer_scene_id": "1005",
            "openid": "oRunner",
            "transfer_amount": 500,
            "transfer_remark": "跑腿",
            "notify_url": "",
        }
        assert (await caller.ask("POST", TRANSFERS, words))[1]["state"] == "PROCESSING"
        await until(lambda: not house.books.transfers_under_way(), "the transfer")
        assert not house.books.notices, "nobody wanted to hear of it"
