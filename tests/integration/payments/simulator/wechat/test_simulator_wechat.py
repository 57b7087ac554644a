"""What the simulated WeChat Pay answers where a merchant makes mistakes: orders, refunds, splits, debits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from payments.channels import wechat_signing as signing
from payments.channels.signing_keys import public_key
from payments.simulator.house import House, Plan
from tests.simulator_calls import NOWHERE, REFUNDS, SPLITS, paid, refused
from tests.simulator_house import Caller, merchant_server, running, state_with_keys, until, wrong

EDU = "/v3/eduschoolpay"


async def test_orders_that_lack_something(caller: Caller) -> None:
    given = caller.given
    words = {
        "description": "奶茶",
        "out_trade_no": "ORDER001",
        "notify_url": NOWHERE,
        "amount": {"total": 1},
        "appid": given["appid"],
        "mchid": given["mchid"],
        "sp_appid": given["appid"],
        "sp_mchid": given["mchid"],
        "sub_mchid": "1",
    }
    for path, field in (
        ("/v3/pay/transactions/jsapi", "payer.openid"),
        ("/v3/pay/transactions/h5", "h5_info"),
        ("/v3/pay/partner/transactions/native", "sub_mchid"),
    ):
        status, code, message = await refused(caller, "POST", path, words)
        assert (status, code) == (400, "PARAM_ERROR") and field in message
    assert (await refused(caller, "POST", "/v3/pay/transactions/native"))[1] == "PARAM_ERROR"


async def test_an_order_is_found_by_either_number(caller: Caller) -> None:
    order = await paid(caller, attach="附加", time_expire=(caller.house.clock.now() + timedelta(minutes=5)).isoformat())
    transaction = order.charges[0].transaction_id
    me = f"mchid={caller.given['mchid']}"
    status, said, _ = await caller.ask("GET", f"/v3/pay/transactions/id/{transaction}?{me}")
    assert (status, said["out_trade_no"], said["attach"]) == (200, "ORDER001", "附加")
    assert (await refused(caller, "GET", f"/v3/pay/transactions/id/4200?{me}"))[:2] == (404, "ORDER_NOT_EXIST")
    assert (await refused(caller, "GET", f"/v3/pay/transactions/id/{transaction}"))[1] == "PARAM_ERROR"
    assert (await refused(caller, "POST", "/v3/pay/transactions/out-trade-no/ORDER001/close", {}))[1] == "PARAM_ERROR"
    assert (await caller.order("ORDER001", NOWHERE, attach="附加"))[1]["code"] == "ORDERPAID"
    assert (await caller.order("ORDER001", NOWHERE, fen=7))[1]["code"] == "OUT_TRADE_NO_USED"


async def test_an_order_may_be_hidden_from_its_closing(caller: Caller) -> None:
    await caller.order("ORDER001", NOWHERE)
    wrong(caller.house, "absent op=close count=1")
    me = {"mchid": caller.given["mchid"]}
    target = "/v3/pay/transactions/out-trade-no/ORDER001/close"
    assert (await refused(caller, "POST", target, me))[:2] == (404, "ORDER_NOT_EXIST")
    assert (await caller.ask("POST", target, me))[0] == 204
    assert (await caller.order("ORDER001", NOWHERE))[1]["code"] == "ORDER_CLOSED"


async def test_refunds_that_cannot_be(caller: Caller) -> None:
    order = await paid(caller)
    asked = {"out_refund_no": "R1", "out_trade_no": "ORDER001", "amount": {"refund": 1, "total": 1000}}
    for change, expected in (
        ({"out_trade_no": "ORDER009"}, (404, "RESOURCE_NOT_EXISTS")),
        ({"amount": {"refund": 1, "total": 999}}, (400, "PARAM_ERROR")),
        ({"amount": {"refund": 1001, "total": 1000}}, (400, "INVALID_REQUEST")),
        ({"out_refund_no": "a/b"}, (400, "PARAM_ERROR")),
        ({"out_refund_no": "x" * 65}, (400, "PARAM_ERROR")),
    ):
        assert (await refused(caller, "POST", REFUNDS, asked | change))[:2] == expected
    by_transaction = asked | {"transaction_id": order.charges[0].transaction_id, "out_trade_no": "", "reason": "晚了"}
    assert (await caller.ask("POST", REFUNDS, by_transaction))[1]["status"] == "PROCESSING"
    assert (await refused(caller, "POST", REFUNDS, asked | {"amount": {"refund": 2, "total": 1000}}))[1] == (
        "INVALID_REQUEST"
    )
    assert (await refused(caller, "GET", f"{REFUNDS}/R9"))[:2] == (404, "RESOURCE_NOT_EXISTS")


async def test_splits_that_cannot_be(caller: Caller) -> None:
    order = await paid(caller, settle_info={"profit_sharing": True})
    transaction = order.charges[0].transaction_id
    receiver = {"type": "PERSONAL_OPENID", "account": "oRunner", "amount": 100, "description": "跑腿"}
    asked = {
        "appid": caller.given["appid"],
        "transaction_id": transaction,
        "out_order_no": "S1",
        "receivers": [receiver],
        "unfreeze_unsplit": False,
    }
    for change, expected in (
        ({"transaction_id": "4200"}, (404, "RESOURCE_NOT_EXISTS")),
        ({"receivers": []}, (400, "PARAM_ERROR")),
        ({"appid": "wx1"}, (400, "PARAM_ERROR")),
        ({"receivers": [receiver | {"name": "not encrypted"}]}, (400, "PARAM_ERROR")),
        ({}, (400, "INVALID_REQUEST")),
    ):
        assert (await refused(caller, "POST", f"{SPLITS}/orders", asked | change))[:2] == expected
    assert (await refused(caller, "GET", f"{SPLITS}/orders/S1?transaction_id={transaction}"))[0] == 404
    assert (await refused(caller, "GET", f"{SPLITS}/transactions/4200/amounts"))[0] == 404
    assert (await caller.ask("GET", f"{SPLITS}/merchant-configs/1"))[1] == {"sub_mchid": "1", "max_ratio": 3000}
    back = {"out_order_no": "S1", "out_return_no": "B1", "return_mchid": "1", "amount": 1, "description": "退"}
    assert (await refused(caller, "POST", f"{SPLITS}/return-orders", back))[0] == 404
    assert (await refused(caller, "GET", f"{SPLITS}/return-orders/B1?out_order_no=S1"))[0] == 404


async def test_receivers_are_told_apart_from_mistakes(caller: Caller) -> None:
    asked = {"appid": caller.given["appid"], "type": "PERSONAL_OPENID", "account": "oRunner", "relation_type": "STAFF"}
    for change in (
        {"relation_type": ""},
        {"relation_type": "CUSTOM"},
        {"custom_relation": "代理商"},
        {"type": "MERCHANT_ID"},
        {"type": "ROBOT"},
        {"appid": "wx1"},
    ):
        assert (await refused(caller, "POST", f"{SPLITS}/receivers/add", asked | change))[1] == "PARAM_ERROR", change
    for _ in range(2):
        assert (await caller.ask("POST", f"{SPLITS}/receivers/add", asked))[0] == 200


async def test_a_name_is_opened_with_the_key_that_was_named(caller: Caller) -> None:
    key = public_key("public_key", caller.given["public_key"])
    _, listed, _ = await caller.ask("GET", "/v3/certificates")
    sealed = listed["data"][0]["encrypt_certificate"]
    pem = signing.open_resource(caller.given["api_v3_key"].encode(), signing.Resource(**sealed))
    assert pem is not None
    serial = listed["data"][0]["serial_no"]
    other_key = public_key("certificate", pem.decode())
    asked = {"appid": caller.given["appid"], "type": "PERSONAL_OPENID", "account": "oA", "relation_type": "STAFF"}
    for named, used, status in (
        (caller.given["public_key_id"], key, 200),
        (serial, other_key, 200),
        (serial, key, 400),
        ("ABCDEF", key, 400),
    ):
        words = asked | {"name": signing.encrypt_field(used, "张三")}
        assert (await caller.ask("POST", f"{SPLITS}/receivers/add", words, key_named=named))[0] == status


async def test_each_receiver_of_a_split_is_told_of(caller: Caller, house: House) -> None:
    async with merchant_server() as merchant:
        order = await paid(caller, settle_info={"profit_sharing": True})
        words = {"appid": caller.given["appid"], "type": "PERSONAL_OPENID", "relation_type": "STAFF"}
        for account in ("oA", "oB"):
            await caller.ask("POST", f"{SPLITS}/receivers/add", words | {"account": account})
        wrong(house, "split_partly_failed value=1")
        receivers = [
            {"type": "PERSONAL_OPENID", "account": account, "amount": 100, "description": "跑腿"}
            for account in ("oA", "oB")
        ]
        asked = {
            "appid": caller.given["appid"],
            "transaction_id": order.charges[0].transaction_id,
            "out_order_no": "S1",
            "receivers": receivers,
            "unfreeze_unsplit": True,
            "notify_url": merchant.url,
        }
        assert (await caller.ask("POST", f"{SPLITS}/orders", asked))[1]["state"] == "PROCESSING"
        await until(lambda: merchant.heard, "the callback of one receiver")
        target = f"{SPLITS}/orders/S1?transaction_id={order.charges[0].transaction_id}"
        _, said, _ = await caller.ask("GET", target)
        results = {r["account"]: (r["result"], r.get("fail_reason")) for r in said["receivers"]}
        assert results == {"oA": ("CLOSED", "ACCOUNT_ABNORMAL"), "oB": ("SUCCESS", None)}
        assert order.unfrozen_fen == 900
        back = {"out_order_no": "S1", "out_return_no": "B1", "return_mchid": "oB", "amount": 1, "description": "退"}
        assert (await refused(caller, "POST", f"{SPLITS}/return-orders", back))[2] == "个人接收方不支持分账回退"


def debit(caller: Caller, number: str, **change: Any) -> dict[str, Any]:
    return {
        "appid": caller.given["appid"],
        "description": "午餐",
        "out_trade_no": number,
        "notify_url": NOWHERE,
        "contract_id": "C1",
        "user_id": "student1",
        "amount": {"total": 1200},
        "scene_info": {"start_time": "2026-03-02T12:00:00+08:00", "school_id": "1", "scene_type": "CANTEEN"},
        "device_info": {"device_ip": "203.0.113.9"},
        "payment_mode": "SYNC",
        **change,
    }


async def test_a_contract_is_made_used_and_ended(tmp_path: Path) -> None:
    plan = Plan(state=state_with_keys(tmp_path), options={"edupay": {"any_contract": "false", "contract_fen": "2000"}})
    async with running(plan) as house:
        caller = Caller(house)
        assert (await refused(caller, "POST", f"{EDU}/transactions", debit(caller, "DEBIT001")))[:2] == (
            404,
            "CONTRACT_NOT_EXIST",
        )
        asked = {"appid": caller.given["appid"], "openid": "oPayer", "plan_id": "1"}
        _, said, _ = await caller.ask("POST", f"{EDU}/contracts/presign", asked)
        contract = said["presign_token"]
        assert (await caller.ask("GET", f"{EDU}/contracts/{contract}"))[1]["contract_status"] == "ADVANCED"
        _, taken, _ = await caller.ask(
            "POST", f"{EDU}/transactions", debit(caller, "DEBIT001", contract_id=contract, payment_mode="ASYNC")
        )
        assert taken["trade_state"] == "ACCEPT"
        _, found, _ = await caller.ask("GET", f"{EDU}/transactions/out-trade-no/DEBIT001")
        assert (found["trade_state"], found["payer"]) == ("SUCCESS", {"openid": "oPayer"})
        _, by_id, _ = await caller.ask("GET", f"{EDU}/transactions/id/{found['transaction_id']}")
        assert by_id == found
        _, failed, _ = await caller.ask("POST", f"{EDU}/transactions", debit(caller, "DEBIT002", contract_id=contract))
        assert failed["trade_state"] == "PAY_FAIL", "the contract's money does not reach"
        _, again, _ = await caller.ask("POST", f"{EDU}/transactions", debit(caller, "DEBIT002", contract_id=contract))
        assert again["trade_state"] == "PAY_FAIL"
        _, listed, _ = await caller.ask("GET", f"{EDU}/users/oPayer/contracts")
        assert [c["contract_id"] for c in listed["data"]] == [contract]
        assert (await caller.ask("GET", f"{EDU}/users/oPayer/debt-state"))[1]["debt_state"] == "NO_DEBT"
        for words in ({"contract_terminate_remark": "毕业"}, None):
            assert (await caller.ask("POST", f"{EDU}/contracts/{contract}/terminate", words))[0] == 204
        assert (await caller.ask("GET", f"{EDU}/contracts/{contract}"))[1]["contract_status"] == "TERMINATED"
        for method, target in (
            ("GET", f"{EDU}/contracts/C9"),
            ("POST", f"{EDU}/contracts/C9/terminate"),
            ("GET", f"{EDU}/transactions/out-trade-no/NEVER01"),
            ("GET", f"{EDU}/transactions/id/4200"),
        ):
            assert (await refused(caller, method, target))[0] == 404
        refusal = await refused(caller, "POST", f"{EDU}/transactions", debit(caller, "DEBIT003", contract_id=contract))
        assert refusal[1] == "CONTRACT_NOT_EXIST"


async def test_debits_that_cannot_be(caller: Caller) -> None:
    for change, code in (({"amount": {"total": 0}}, "PARAM_ERROR"), ({"appid": "wx1"}, "PARAM_ERROR")):
        assert (await refused(caller, "POST", f"{EDU}/transactions", debit(caller, "DEBIT001", **change)))[1] == code
    await caller.ask("POST", f"{EDU}/transactions", debit(caller, "DEBIT001"))
    other = debit(caller, "DEBIT001", amount={"total": 1})
    assert (await refused(caller, "POST", f"{EDU}/transactions", other))[:2] == (403, "OUT_TRADE_NO_USED")


async def test_a_busy_provider_and_a_verdict(caller: Caller) -> None:
    wrong(caller.house, "error op=create status=429 count=1", "refuse op=create code=RULE_LIMIT count=1")
    assert (await caller.order("ORDER001", NOWHERE))[1]["code"] == "RULE_LIMIT"
    status, said = await caller.order("ORDER001", NOWHERE)
    assert (status, said["code"]) == (429, "FREQUENCY_LIMITED")
