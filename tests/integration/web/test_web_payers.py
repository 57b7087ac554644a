"""Whoever pays is made known to channels over HTTP: only what the chosen one needs, by the payer alone, and sealed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dispatch.model.account import Role
from payments.channels.sandbox import SandboxChannel, shape
from payments.outcomes import CreateAnswer, NotIssued, OrderToCreate
from payments.service.server import PaymentsServer
from tests.integration.web.test_web_guards import guard
from tests.payments_remote import KEYS, remote_at

CARD, PAGE, PLACE = ("campus_card_token", "token"), ("openid", "page"), ("client_ip", "")


class Knowing(SandboxChannel):
    """A channel that has to know its payers."""

    met: list[dict[str, str]]

    def bind_page(self, back_url: str, state: str) -> str | None:
        return f"https://provider.example.edu/?back={back_url}&state={state}" if self.shape.binding == "page" else None

    async def bound(self, given: Mapping[str, str]) -> Mapping[str, str] | str:
        said = given.get("card_token") or given.get("code") or ""
        return {self.shape.needs[0]: said} if said != "unreachable" else said

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        if any(not order.payer.get(need) for need in self.shape.needs):
            return NotIssued("does_not_know_the_payer")
        self.met.append(dict(order.payer))
        return await super().create_credential(order)


def knowing(house: Any, folder: Path, need: str, binding: str) -> Knowing:
    """The first channel of the house needs something of its payers now."""
    guard(house, folder)
    changed = msgspec.structs.replace(shape("sandbox"), needs=(need,), binding=binding)
    made = Knowing(house.payments.bank, b"s" * 32, changed)
    made.met = []
    house.payments._channels["sandbox"] = made
    house.payments._shapes["sandbox"] = changed
    return made


async def ways(house: Any, who: Any) -> dict[str, Any]:
    return {each["code"]: each for each in (await house.call("GET", "/channels", who=who)).json}


async def place(house: Any, student: Any, key: str, **more: Any) -> Any:
    body = await house.quote_body()
    quote = (await house.call("POST", "/quotes", body, who=student)).json
    body |= {"description": "取快递", "expected_total_fen": quote["total_fen"], **more}
    answer = await house.call("POST", "/orders", body, who=student, headers={"Idempotency-Key": key})
    await house.work()
    return answer


async def test_a_card_is_bound_by_its_student_alone_and_only_with_their_word(house: Any, tmp_path: Path) -> None:
    channel = knowing(house, tmp_path, *CARD)
    student, other = await house.person(Role.STUDENT), await house.person(Role.STUDENT)
    operator = await house.person(Role.OPERATOR)
    assert (await ways(house, student))["sandbox"]["needs"] == ["campus_card_token"]
    refused = await place(house, student, "a", channel="sandbox")
    assert (refused.status, refused.json["error"]["field"]) == (400, "channel")
    assert refused.json["error"]["detail"] == {"needs": ["campus_card_token"]}
    # Whoever chooses none is not sent to one that does not know them.
    order = (await place(house, student, "b")).json
    path = f"/orders/{order['id']}/pay"
    assert (await house.call("GET", f"/orders/{order['id']}/payment", who=student)).json["channel"] == "sandbox_backup"
    assert (await house.call("POST", path, {"channel": "sandbox"}, who=student)).json["error"]["field"] == "channel"
    bind, token = "/me/channels/sandbox/bind", {"card_token": "CARD12345", "is_agreed": True}
    for who, code in ((None, "not_signed_in"), (operator, "not_permitted")):
        assert (await house.call("POST", bind, token, who=who)).code == code
        assert (await house.call("DELETE", bind, who=who)).code == code
        assert (await house.call("POST", "/me/channels/sandbox/page", {}, who=who)).code == code
    for wrong, field in (
        ({"card_token": "CARD12345"}, "is_agreed"), ({}, "code"), (token | {"code": "x"}, "state"),
        ({"card_token": "", "is_agreed": True}, "card_token"),
    ):  # fmt: skip
        assert (await house.call("POST", bind, wrong, who=student)).json["error"]["field"] == field, wrong
    away = await house.call("POST", bind, {"card_token": "unreachable", "is_agreed": True}, who=student)
    assert (away.status, away.code) == (503, "unavailable")
    assert (await house.call("POST", bind, token, who=student)).status == 204
    seen = await ways(house, student)
    assert seen["sandbox"]["is_bound"] and not seen["sandbox"]["needs"] and not seen["sandbox_backup"]["is_bound"]
    assert (await ways(house, other))["sandbox"]["needs"] == ["campus_card_token"]
    assert (await house.call("POST", path, {"channel": "sandbox"}, who=student)).status == 202
    await house.work()
    assert channel.met == [{"campus_card_token": "CARD12345"}]
    assert (await house.call("DELETE", bind, who=student)).status == 204
    assert (await ways(house, student))["sandbox"]["needs"] == ["campus_card_token"]
    rows = (await house.call("GET", "/audit", who=operator)).json["rows"]
    assert [row["action"] for row in rows if row["subject"] == "sandbox"] == ["unbind_channel", "bind_channel"]


async def test_what_a_page_gave_counts_for_the_session_that_went_there(house: Any, tmp_path: Path) -> None:
    knowing(house, tmp_path, *PAGE)
    student, thief = await house.person(Role.STUDENT), await house.person(Role.STUDENT)
    path, bind = "/me/channels/sandbox/page", "/me/channels/sandbox/bind"

    async def state(who: Any) -> str:
        url = (await house.call("POST", path, {}, who=who)).json["url"]
        assert "back=http://127.0.0.1:8888/track&" in url
        return str(url.rpartition("state=")[2])

    mine = await state(student)
    assert mine.isalnum() and len(mine) <= 128
    for given in (
        None,
        "",
        "x",
        mine[:-1] + ("0" if mine[-1] != "0" else "1"),
        f"9{mine}",
        await state(thief),
        "é" * 9,
    ):
        answer = await house.call("POST", bind, {"code": "c0de", "state": given}, who=student)
        assert answer.json["error"]["field"] == "state", given
    assert (await house.call("POST", bind, {"code": "c0de", "state": mine}, who=student)).status == 204
    mine = await state(student)
    house.time.shift_s += 601
    late = await house.call("POST", bind, {"code": "c0de", "state": mine}, who=student)
    assert late.json["error"]["field"] == "state"
    for missing in ("/me/channels/gold/page", "/me/channels/gold/bind"):
        body = {} if missing.endswith("page") else {"card_token": "CARD1", "is_agreed": True}
        assert (await house.call("POST", missing, body, who=student)).code == "not_found"
    for no_page in ("/me/channels/sandbox_backup/page",):
        assert (await house.call("POST", no_page, {}, who=student)).code == "wrong_state"


async def test_another_account_than_before_takes_a_code(house: Any, tmp_path: Path) -> None:
    knowing(house, tmp_path, *PAGE)
    student = await house.person(Role.STUDENT)
    bind = "/me/channels/sandbox/bind"

    async def try_it(code: str, **more: str) -> Any:
        url = (await house.call("POST", "/me/channels/sandbox/page", {}, who=student)).json["url"]
        body = {"code": code, "state": url.rpartition("state=")[2], **more}
        return await house.call("POST", bind, body, who=student)

    assert (await try_it("oFirst")).status == 204
    assert (await try_it("oFirst")).status == 204
    assert (await try_it("oSecond")).code == "code_needed"
    act = {"kind": "change_payout_account"}
    sent = (await house.call("POST", "/me/codes", act, who=student)).json
    given = act | {"code": house.sms.code()}
    assert (await house.call("POST", f"/me/codes/{sent['code_id']}/confirm", given, who=student)).status == 204
    assert (await try_it("oSecond", code_id=sent["code_id"])).status == 204
    # Having it forgotten takes one, too: what comes after it would be the first.
    assert (await house.call("DELETE", bind, who=student)).code == "code_needed"
    assert (await house.call("DELETE", bind, {"code_id": sent["code_id"]}, who=student)).code == "code_needed"
    assert (await ways(house, student))["sandbox"]["is_bound"]
    sent = (await house.call("POST", "/me/codes", act, who=student)).json
    given = act | {"code": house.sms.code()}
    assert (await house.call("POST", f"/me/codes/{sent['code_id']}/confirm", given, who=student)).status == 204
    assert (await house.call("DELETE", bind, {"code_id": sent["code_id"]}, who=student)).status == 204
    assert (await try_it("oThird")).status == 204


async def test_where_the_payer_is_the_server_says(house: Any, tmp_path: Path) -> None:
    channel = knowing(house, tmp_path, *PLACE)
    student = await house.person(Role.STUDENT)
    assert (await ways(house, student))["sandbox"]["needs"] == []
    # Nobody but a trusted proxy may say that it was another one.
    house.http.headers["X-Forwarded-For"] = "8.8.8.8"
    assert (await place(house, student, "a")).status == 202
    assert channel.met == [{"client_ip": "127.0.0.1"}]


@asynccontextmanager
async def apart(house: Any) -> AsyncIterator[PaymentsServer]:
    """The house's payments behind a server of their own, which may be stopped."""
    server = PaymentsServer(house.payments, KEYS)
    await server.start()
    remote, port = remote_at(server.port)
    await remote.start()
    object.__setattr__(house.ctx, "payments", port)
    try:
        yield server
    finally:
        object.__setattr__(house.ctx, "payments", house.payments)
        await remote.stop()
        await server.stop()


async def pays(house: Any, student: Any, order: Any) -> str:
    """What becomes of the order once payments are there again."""
    await house.work()
    payment = (await house.call("GET", f"/orders/{order['id']}/payment", who=student)).json
    answer = await house.call("POST", "/sandbox/pay", {"token": payment["credential"]["token"]}, who=student)
    assert answer.status == 202, answer.body
    await house.work()
    return f"{payment['channel']}: {(await house.call('GET', '/orders/' + order['id'], who=student)).json['status']}"


@pytest.mark.parametrize("need", [PAGE, PLACE])
async def test_an_order_is_placed_while_payments_are_away_and_paid_once_they_are_back(
    house: Any, tmp_path: Path, need: tuple[str, str]
) -> None:
    channel = knowing(house, tmp_path, *need)
    student, stranger = await house.person(Role.STUDENT), await house.person(Role.STUDENT)
    await house.payments.entrust(student.id, {"openid": "oStudent"})
    body = await house.quote_body()
    quote = (await house.call("POST", "/quotes", body, who=student)).json
    body |= {"description": "取快递", "expected_total_fen": quote["total_fen"]}

    async def order(who: Any, key: str, **more: Any) -> Any:
        return await house.call("POST", "/orders", body | more, who=who, headers={"Idempotency-Key": key})

    async with apart(house) as server:
        await server.stop()
        chosen = await order(student, "a", channel="sandbox")
        assert chosen.status == 202, chosen.body
        again = await order(student, "a", channel="sandbox")
        assert (again.status, again.json["id"]) == (202, chosen.json["id"])
        free, unknown = await order(student, "b"), await order(stranger, "c", channel="sandbox")
        assert (free.status, unknown.status) == (202, 202)
    assert await pays(house, student, chosen.json) == "sandbox: open"
    # Who does not know payments, or is not known to the channel, is sent to another one.
    assert await pays(house, student, free.json) == f"{'sandbox_backup' if need is PAGE else 'sandbox'}: open"
    assert await pays(house, stranger, unknown.json) == f"{'sandbox_backup' if need is PAGE else 'sandbox'}: open"
    assert channel.met[0] == ({"openid": "oStudent"} if need is PAGE else {"client_ip": "127.0.0.1"})


async def test_a_channel_that_nobody_can_be_made_known_to_is_not_offered(house: Any, tmp_path: Path) -> None:
    knowing(house, tmp_path, "contract_id", "")
    student = await house.person(Role.STUDENT)
    assert set(await ways(house, student)) == {"sandbox_backup"}
    assert (await place(house, student, "a", channel="sandbox")).json["error"]["field"] == "channel"
    await house.payments.entrust(student.id, {"contract_id": "C1"})
    seen = await ways(house, student)
    assert set(seen) == {"sandbox", "sandbox_backup"} and not seen["sandbox"]["is_bound"]


async def test_nothing_of_a_payer_is_in_a_log_a_trace_or_the_books(
    house: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    knowing(house, tmp_path, *CARD)
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    secret = "CARDxSECRETx42"
    bad = await house.call("POST", "/me/channels/sandbox/bind", {"card_token": secret}, who=student)
    body = {"card_token": secret, "is_agreed": True}
    assert (await house.call("POST", "/me/channels/sandbox/bind", body, who=student)).status == 204
    order = (await place(house, student, "a", channel="sandbox")).json
    trace = await house.call("GET", f"/orders/{order['id']}/money-trace", who=operator)
    audit = await house.call("GET", "/audit", who=operator)
    assert trace.json["entries"]
    assert secret not in caplog.text + bad.body.decode() + trace.body.decode() + audit.body.decode()
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.glob("*.db*"))
