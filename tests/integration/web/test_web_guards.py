"""The guards of money over HTTP, as the shipped server joins them: each verdict, devices, one-time codes, refunds."""

from __future__ import annotations

import time
from dataclasses import replace
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dispatch.flow.money_codes import CodeDoor, code_sender
from dispatch.flow.payment_view import intent_id
from dispatch.flow.settle_order import command_settlement
from dispatch.flow.sign_in import open_session
from dispatch.model.account import Role
from dispatch.notify.sms import MONEY_CODE
from dispatch.paying import DEMO_RULES
from dispatch.settings import Settings
from payments.assembly import guards_of
from payments.guards.code_post import CodeToSend
from payments.guards.risk import read_rules
from payments.guards.second_factor_act import Act
from payments.service.internal_signing import Keys, sign_request

#: An errand of the tests counts as a small payment, and three of them are as many as nobody asks about.
FACE = '{"*": {"small_payments": {"at_most_fen": 1000000}}}'
CODE = '{"*": {"account_rush": {"most": 0}}}'
HOLD = '{"*": {"large_payment": {"above_fen": 1}}}'
REFUSE = '{"*": {"large_payment": {"above_fen": 1, "decision": "refuse"}}}'
PROVED = {"Idempotency-Key": "proved"}
ONCE = {"Idempotency-Key": "refund"}


def guard(house: Any, folder: Path, rules: str = "{}") -> None:
    """The guards as the server makes them, with the rules of a file."""
    told = folder / "rules.json"
    told.write_text(rules)
    settings = Settings(data_dir=folder, is_demo=True, sms="print", risk_rules_file=told)
    send = code_sender(house.ctx.store, house.sms)
    house.payments.guard(guards_of(settings.guarded, send, rules=DEMO_RULES))


async def payment(house: Any, student: Any, order: dict[str, Any]) -> Any:
    return (await house.call("GET", f"/orders/{order['id']}/payment", who=student)).json


async def pay(house: Any, student: Any, order: dict[str, Any]) -> str:
    """Pay at the demonstration's wallet; the order's status afterwards."""
    credential = (await payment(house, student, order))["credential"]
    answer = await house.call("POST", "/sandbox/pay", {"token": credential["token"]}, who=student)
    assert answer.status == 202, answer.body
    await house.work()
    return str((await house.call("GET", f"/orders/{order['id']}", who=student)).json["status"])


# -- verdicts ----------------------------------------------------------------------------------------------------------


async def test_whoever_nobody_objects_to_pays(house: Any, tmp_path: Path) -> None:
    guard(house, tmp_path)
    student = await house.person(Role.STUDENT)
    order = await house.place(student)
    seen = await payment(house, student, order)
    assert (seen["state"], seen["risk"]) == ("pending", None)
    assert await pay(house, student, order) == "open"


async def test_the_fourth_small_payment_within_a_minute_asks_for_a_face_and_goes_on(house: Any, tmp_path: Path) -> None:
    guard(house, tmp_path, FACE)
    student, stranger = await house.person(Role.STUDENT), await house.person(Role.STUDENT)
    for number in range(3):
        assert (await payment(house, student, await house.place(student, f"k{number}")))["risk"] is None
    fourth = await house.place(student, "k4")
    asked = await payment(house, student, fourth)
    assert (asked["risk"]["decision"], asked["risk"]["challenge"]) == ("challenge", "face")
    assert asked["credential"] is None and asked["risk"]["code"] == "small_payments"
    path, proof = f"/orders/{fourth['id']}/payment/proof", {"token": asked["risk"]["demo_proof"]}
    assert (await house.call("POST", path, {"token": "somebody else"}, who=student)).json["error"]["field"] == "token"
    for who, code in ((None, "not_signed_in"), (stranger, "not_found")):
        assert (await house.call("POST", path, proof, who=who)).code == code
    assert (await house.call("POST", path, proof, who=student)).status == 202
    await house.work()
    assert await pay(house, student, fourth) == "open"
    # A minute later nobody asks any more.
    house.time.shift_s += 61
    later = await house.person(Role.STUDENT)
    assert (await payment(house, later, await house.place(later, "k5")))["risk"] is None


async def test_a_code_that_is_asked_for_comes_to_the_phone_of_the_account(house: Any, tmp_path: Path) -> None:
    guard(house, tmp_path, CODE)
    student = await house.person(Role.STUDENT)
    order = await house.place(student)
    assert (await payment(house, student, order))["risk"]["challenge"] == "code"
    sent = (await house.call("POST", f"/orders/{order['id']}/payment/code", {}, who=student)).json
    phone, template, params = house.sms.sent[-1]
    assert (phone, template) == (student.account.phone, MONEY_CODE)
    token = {"token": f"{sent['code_id']}:{params['code']}"}
    assert (await house.call("POST", f"/orders/{order['id']}/payment/proof", token, who=student)).status == 202
    await house.work()
    assert await pay(house, student, order) == "open"


async def test_whoever_is_held_goes_on_once_somebody_let_them(house: Any, tmp_path: Path) -> None:
    guard(house, tmp_path, HOLD)
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    order = await house.place(student)
    held = await payment(house, student, order)
    assert (held["risk"]["decision"], held["risk"]["code"], held["credential"]) == ("hold", "large_payment", None)
    assert (await house.call("POST", f"/orders/{order['id']}/payment/proof", {"token": "x"}, who=student)).json["risk"][
        "decision"
    ] == "hold"
    (case,) = (await house.call("GET", "/money/risk-cases?only_open=true", who=operator)).json["cases"]
    assert case["order_id"] == order["id"] and case["needs_review"]
    review = f"/money/risk-cases/{case['id']}/review"
    assert (await house.call("POST", review, {"is_released": True, "reason": "x"}, who=student)).code == "not_permitted"
    said = {"is_released": True, "reason": "called, it is them"}
    assert (await house.call("POST", review, said, who=operator)).json["standing"] == "released"
    await house.work()
    assert await pay(house, student, order) == "open"


@pytest.mark.parametrize("rules", [HOLD, REFUSE])
async def test_whoever_is_refused_is_told_why_and_never_pays(house: Any, tmp_path: Path, rules: str) -> None:
    guard(house, tmp_path, rules)
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    order = await house.place(student)
    if rules == HOLD:
        (case,) = (await house.call("GET", "/money/risk-cases", who=operator)).json["cases"]
        said = {"is_released": False, "reason": "nobody answers"}
        await house.call("POST", f"/money/risk-cases/{case['id']}/review", said, who=operator)
        await house.work()
    told = await payment(house, student, order)
    assert (told["state"], told["risk"]["decision"], told["risk"]["code"]) == ("failed", "refuse", "large_payment")
    switched = await house.call("POST", f"/orders/{order['id']}/pay", {"channel": "sandbox_backup"}, who=student)
    assert switched.code == "wrong_state"
    assert (await payment(house, student, order))["credential"] is None


async def test_a_proof_that_comes_with_the_order_is_believed_if_it_is_one(house: Any, tmp_path: Path) -> None:
    guard(house, tmp_path, FACE)
    student = await house.person(Role.STUDENT)
    for number in range(3):
        await house.place(student, f"k{number}")
    body = await house.quote_body()
    quote = (await house.call("POST", "/quotes", body, who=student)).json
    body |= {
        "description": "取快递",
        "expected_total_fen": quote["total_fen"],
        "challenge_token": "demo-face:int_guess",
    }
    order = (await house.call("POST", "/orders", body, who=student, headers=PROVED)).json
    await house.work()
    assert (await payment(house, student, order))["risk"]["challenge"] == "face"


# -- devices -----------------------------------------------------------------------------------------------------------


async def test_a_browser_gets_a_name_that_no_script_reads_and_keeps_it(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    await house.call("POST", "/auth/password", {"new_password": "a-good-password"}, who=student)
    wish = {"phone": student.account.phone, "campus_id": house.campus_id, "password": "a-good-password"}
    wish |= {"use_cookies": True}
    names, kept = [], {"Cookie": ""}
    for cookie in ("", "dispatch_device=forged", None):
        headers = {"X-Session-Slot": "track"} | ({"Cookie": cookie} if cookie is not None else kept)
        answer = await house.call("POST", "/auth/sign-in", wish, headers=headers)
        jar = SimpleCookie("\r\n".join(answer.headers.getall("Set-Cookie")))
        device = jar["dispatch_device"]
        assert device["httponly"] and device["samesite"] == "Strict" and device["path"] == "/api"
        names.append(device.value)
        kept = {"Cookie": f"dispatch_device={device.value}"}
    assert len({*names}) == 2 and names[1] == names[2] and "forged" not in names
    bearer = await house.call("POST", "/auth/sign-in", wish | {"use_cookies": False})
    assert "Set-Cookie" not in bearer.headers


async def test_risk_knows_devices_and_a_client_without_a_name_by_its_session(house: Any, tmp_path: Path) -> None:
    guard(house, tmp_path, '{"*": {"shared_device": {"most": 2, "decision": "hold", "challenge": null}}}')
    people = [await house.person(Role.STUDENT) for _ in range(4)]
    shared = {"Cookie": f"dispatch_device={'d' * 32}"}
    judged = []
    for number, student in enumerate(people[:3]):
        body = await house.quote_body()
        quote = (await house.call("POST", "/quotes", body, who=student)).json
        body |= {"description": "取快递", "expected_total_fen": quote["total_fen"]}
        headers = shared | {"Idempotency-Key": f"k{number}"}
        order = (await house.call("POST", "/orders", body, who=student, headers=headers)).json
        await house.work()
        judged.append((await payment(house, student, order))["risk"])
    assert judged[:2] == [None, None] and judged[2]["code"] == "shared_device"
    alone = await house.place(people[3])
    assert (await payment(house, people[3], alone))["risk"] is None
    (case,) = await house.payments.risk_cases(house.campus_id)
    assert case.device is not None and "d" * 8 not in case.device


# -- one-time codes ----------------------------------------------------------------------------------------------------


async def code_for(house: Any, who: Any, act: dict[str, Any]) -> str:
    """A code that was asked for and given back."""
    sent = (await house.call("POST", "/me/codes", act, who=who)).json
    given = await house.call("POST", f"/me/codes/{sent['code_id']}/confirm", act | {"code": house.sms.code()}, who=who)
    assert given.status == 204, given.body
    return str(sent["code_id"])


async def test_a_refund_takes_a_code_of_the_operators_own_for_this_very_refund(house: Any, tmp_path: Path) -> None:
    guard(house, tmp_path)
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    colleague, runner = await house.person(Role.OPERATOR), await house.person(Role.STUDENT, Role.RUNNER)
    order, other = await house.carried(student, runner), await house.paid(student, "other")
    path, wish = f"/orders/{order['id']}/refund", {"amount_fen": 100, "reason": "the soup was cold"}
    needed = await house.call("POST", path, wish, who=operator, headers=ONCE)
    assert (needed.status, needed.code) == (409, "code_needed")
    act = {"kind": "operator_refund", "amount_fen": 100, "order_id": order["id"]}
    code_id = await code_for(house, operator, act)
    assert house.sms.sent[-1][0] == operator.account.phone
    for who, where, changed in (
        (colleague, path, {}), (operator, path, {"amount_fen": 101}), (operator, f"/orders/{other['id']}/refund", {}),
    ):  # fmt: skip
        refused = await house.call("POST", where, wish | {"code_id": code_id} | changed, who=who, headers=ONCE)
        assert refused.code == "code_needed", changed
    for _ in range(2):
        done = await house.call("POST", path, wish | {"code_id": code_id}, who=operator, headers=ONCE)
        assert (done.status, done.json["amount_fen"], done.json["order_id"]) == (202, 100, order["id"])
    await house.work()
    seen = (await house.call("GET", f"/orders/{order['id']}", who=student)).json
    assert seen["released_fen"] == 100, "once, though it was asked for twice"
    rows = (await house.call("GET", "/audit", who=operator)).json["rows"]
    assert [row["reason"] for row in rows if row["action"] == "refund_order"] == ["the soup was cold"]
    await house.call("POST", f"/orders/{order['id']}/picked-up", {}, who=runner)
    await house.call("POST", f"/orders/{order['id']}/delivered", {"pin": seen["pin"]}, who=runner)
    assert (await house.call("POST", f"/orders/{order['id']}/confirm", {}, who=student)).status == 200
    await settle(house, order["id"])
    seen = (await house.call("GET", f"/orders/{order['id']}", who=student)).json
    assert (seen["status"], seen["captured_fen"], seen["released_fen"]) == ("settled", seen["held_fen"] - 100, 100)
    assert (await house.call("GET", "/runner/wallet", who=runner)).json["available_fen"] > 0
    assert await house.payments.check() == []


async def settle(house: Any, order_id: str) -> None:
    """Divide the money now; the day's waiting is tested elsewhere."""
    ground = await house.ctx.grounds.get(house.campus_id)
    await house.ctx.store.run(house.campus_id, lambda uow: command_settlement(uow, uow.orders.get(order_id), ground))
    await house.work()


async def test_a_code_is_worth_nothing_after_a_few_wrong_tries_or_a_while(house: Any, tmp_path: Path) -> None:
    guard(house, tmp_path)
    runner = await house.person(Role.RUNNER)
    act = {"kind": "withdraw", "amount_fen": 20_000}
    sent = (await house.call("POST", "/me/codes", act, who=runner)).json
    path, right = f"/me/codes/{sent['code_id']}/confirm", act | {"code": house.sms.code()}
    wrong = act | {"code": f"{(int(right['code']) + 1) % 10**6:06d}"}
    assert (await house.call("POST", path, right | {"amount_fen": 20_001}, who=runner)).json["error"]["field"] == "code"
    for _ in range(4):
        assert (await house.call("POST", path, wrong, who=runner)).json["error"]["field"] == "code"
    assert (await house.call("POST", path, right, who=runner)).json["error"]["field"] == "code"
    sent = (await house.call("POST", "/me/codes", act, who=runner)).json
    house.time.shift_s += 301
    runner = await again(house, runner)
    late = await house.call(
        "POST", f"/me/codes/{sent['code_id']}/confirm", act | {"code": house.sms.code()}, who=runner
    )
    assert late.json["error"]["field"] == "code"
    for _ in range(8):
        assert (await house.call("POST", "/me/codes", act, who=runner)).status == 202
    assert (await house.call("POST", "/me/codes", act, who=runner)).code == "too_many"


async def again(house: Any, person: Any) -> Any:
    """The same person, signed in once more."""
    session = await open_session(house.ctx, person.id, person.campus_id)
    return replace(person, token=session.access_token)


async def test_who_may_ask_for_which_code(house: Any, tmp_path: Path) -> None:
    guard(house, tmp_path)
    student, runner, operator = [await house.person(role) for role in (Role.STUDENT, Role.RUNNER, Role.OPERATOR)]
    stranger = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    order = await house.paid(student)
    refund = {"kind": "operator_refund", "amount_fen": 1, "order_id": order["id"]}
    withdraw, account = {"kind": "withdraw", "amount_fen": 1}, {"kind": "change_payout_account"}
    table = [
        (None, withdraw, "not_signed_in"), (student, withdraw, "not_permitted"), (operator, withdraw, "not_permitted"),
        (runner, withdraw, None), (student, refund, "not_permitted"), (runner, refund, "not_permitted"),
        (operator, refund, None), (stranger, refund, "not_found"), (runner, account, None),
        (operator, {"kind": "operator_refund", "amount_fen": 1}, "invalid_input"),
        (runner, withdraw | {"order_id": order["id"]}, "invalid_input"),
        (runner, {"kind": "pay", "amount_fen": 1}, "invalid_input"),
    ]  # fmt: skip
    for who, act, code in table:
        for path, body in (("/me/codes", act), ("/me/codes/code_x/confirm", act | {"code": "000000"})):
            answer = await house.call("POST", path, body, who=who)
            expected = "invalid_input" if code is None and path != "/me/codes" else code
            assert answer.code == expected, (act, path)
    body = {"amount_fen": 1, "reason": "x", "code_id": None}
    for who, code in (
        (None, "not_signed_in"),
        (student, "not_permitted"),
        (runner, "not_permitted"),
        (stranger, "not_found"),
    ):
        answer = await house.call("POST", f"/orders/{order['id']}/refund", body, who=who, headers=ONCE)
        assert answer.code == code


async def test_where_nobody_sends_codes_it_is_said(house: Any, tmp_path: Path) -> None:
    house.payments.guard(guards_of(Settings(data_dir=tmp_path).guarded, None))
    runner = await house.person(Role.RUNNER)
    answer = await house.call("POST", "/me/codes", {"kind": "withdraw", "amount_fen": 1}, who=runner)
    assert (answer.code, answer.json["error"]["detail"]) == ("wrong_state", {"code": "no_codes"})


async def test_payments_that_run_apart_hand_codes_over_and_nobody_else(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    path, keys = "/api/v1/payments/codes", Keys({"k1": b"i" * 32})
    act = Act(kind="withdraw", account_ref=student.id, amount_fen=20_000)
    body = msgspec.json.encode(CodeToSend(act=act, code="123456"))

    async def post(keys: Keys, said: bytes, headers: dict[str, str] | None = None) -> Any:
        signed = headers or sign_request(keys, "POST", path, said, time.time())
        return await house.call("POST", "/payments/codes", raw=said, headers=signed)

    assert (await post(keys, body)).code == "not_found"
    object.__setattr__(house.ctx, "code_door", CodeDoor(keys, code_sender(house.ctx.store, house.sms)))
    for headers in ({}, sign_request(Keys({"k1": b"x" * 32}), "POST", path, body, time.time())):
        assert (await post(keys, body, headers or {"X-Nothing": "x"})).code == "not_permitted"
    assert house.sms.sent == []
    proved = sign_request(keys, "POST", path, body, time.time())
    assert (await post(keys, body, proved)).status == 204
    assert house.sms.sent == [(student.account.phone, MONEY_CODE, {"code": "123456"})]
    assert (await post(keys, body, proved)).code == "not_permitted", "each message once"
    assert (await post(keys, b"{}")).code == "invalid_input"


# -- what nobody should read -------------------------------------------------------------------------------------------


async def test_codes_proofs_and_devices_are_in_no_log_and_no_trace(
    house: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    guard(house, tmp_path, CODE)
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    device = "Z" * 32
    body = await house.quote_body()
    quote = (await house.call("POST", "/quotes", body, who=student)).json
    body |= {"description": "取快递", "expected_total_fen": quote["total_fen"], "challenge_token": "proof-that-is-mine"}
    headers = {"Idempotency-Key": "k", "Cookie": f"dispatch_device={device}"}
    order = (await house.call("POST", "/orders", body, who=student, headers=headers)).json
    await house.work()
    sent = (await house.call("POST", f"/orders/{order['id']}/payment/code", {}, who=student)).json
    secret = house.sms.code()
    token = f"{sent['code_id']}:{secret}"
    await house.call("POST", f"/orders/{order['id']}/payment/proof", {"token": token}, who=student)
    await house.work()
    await pay(house, student, order)
    trace = await house.call("GET", f"/orders/{order['id']}/money-trace", who=operator)
    cases = await house.call("GET", "/money/risk-cases", who=operator)
    read = caplog.text + trace.body.decode() + cases.body.decode()
    for word in (device, secret, "proof-that-is-mine"):
        assert word not in read, word
    books = b"".join(path.read_bytes() for path in tmp_path.glob("*.db*"))
    for word in (device, f":{secret}"):
        assert word.encode() not in books, word


def test_demonstrations_share_devices_and_nothing_else_is_let_go() -> None:
    changed = {rule.code for rule in DEMO_RULES.default} ^ {rule.code for rule in read_rules("{}").default}
    assert changed == set()
    pairs = zip(DEMO_RULES.default, read_rules("{}").default, strict=True)
    assert {mine.code for mine, usual in pairs if mine != usual} == {"shared_device", "device_rush"}


def test_the_intent_of_an_order_is_what_a_refunds_code_is_bound_to() -> None:
    assert intent_id("ord_01KJP4C580MKX5CMHF1GWCK3D7") == "int_01KJP4C580MKX5CMHF1GWCK3D7"
