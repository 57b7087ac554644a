"""What the student's page asks and is told of a payment: how it stands, what risk wants, where the money went."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from dispatch.flow import describe_campus, pay_order, place_order
from dispatch.flow.origin import Origin
from dispatch.flow.payment_view import forget, intent_id, kind_of
from dispatch.live.connect import connect
from dispatch.live.notes import Notes
from dispatch.model.errors import InvalidInput, NotFound, TooMany, WrongState
from dispatch.model.requests import MeetChallenge
from payments import port
from payments.guards.guarded import Guards
from payments.guards.risk import RuleBook, read_rules
from payments.guards.risk_desk import DemoFace
from payments.guards.second_factor_act import Act
from payments.guards.vault import Vault
from tests.flow_world import World

#: Everybody is asked for something: the first order of a student for this, whatever it costs.
FACE = read_rules('{"*": {"small_payments": {"most": 0, "at_most_fen": 1000000}}}')
CODE = read_rules('{"*": {"account_rush": {"most": 0}}}')
HOLD = read_rules('{"*": {"large_payment": {"above_fen": 1}}}')


def guard(world: World, rules: RuleBook, *, sends_codes: bool = True) -> list[str]:
    """Join the guards to the world's payments; the codes that are sent."""
    codes: list[str] = []

    async def send(act: Act, code: str) -> None:
        codes.append(code)

    vault = Vault({"k1": b"v" * 32}, "k1", b"l" * 32)
    sender = send if sends_codes else None
    guards = Guards(vault=vault, salt_key=b"s" * 32, rules=rules, face=DemoFace("sandbox"), send_code=sender)
    world.payments.guard(guards)
    return codes


async def prove(world: World, student: Any, order_id: str, token: str) -> Any:
    seen = await pay_order.meet_challenge(world.ctx, student, order_id, MeetChallenge(token=token))
    await world.work()
    return seen


async def test_how_it_stands_is_kept_for_a_moment_and_never_longer_than_it_is_true(home: World) -> None:
    student, stranger = await home.student(), await home.student()
    view = await home.place(student)
    first = await pay_order.payment(home.ctx, student, view.id)
    assert (first.state, first.kind, first.part, first.parts, first.risk) == ("pending", "sandbox", 1, 1, None)

    class Silent:
        """Nobody is asked: what is kept answers."""

    kept = replace(home.ctx, payments=Silent(), store=Silent())  # type: ignore[arg-type]
    assert await pay_order.payment(kept, student, view.id) == first
    with pytest.raises(NotFound):
        await pay_order.payment(home.ctx, stranger, view.id)
    await home.pay(student, view.id)
    assert (await pay_order.payment(home.ctx, student, view.id)).state == "success"


async def test_the_page_is_told_that_another_way_is_paid_with_than_the_chosen_one(home: World) -> None:
    student = await home.student()
    first = await pay_order.payment(home.ctx, student, (await home.place(student, channel="sandbox")).id)
    assert (first.channel, first.name_en, first.passed_over) == ("sandbox", "Demo payment", None)
    await home.payments.bank.script("*", "declined", 1, "", "*")
    other = await pay_order.payment(home.ctx, student, (await home.place(student, channel="sandbox")).id)
    assert (other.channel, other.name_en) == ("sandbox_backup", "Demo payment (backup)")
    assert other.passed_over is not None
    assert (other.passed_over.channel, other.passed_over.reason) == ("sandbox", "declined")


async def test_without_redis_the_books_answer(home: World) -> None:
    student = await home.student()
    view = await home.place(student)
    nowhere = connect("redis://127.0.0.1:1/0")
    alone = replace(home.ctx, notes=Notes(nowhere))
    assert (await pay_order.payment(alone, student, view.id)).state == "pending"
    await forget(alone, student.campus_id, [view.id])
    await nowhere.aclose()


async def test_a_face_is_asked_for_and_shown(home: World) -> None:
    guard(home, FACE)
    student, stranger = await home.student(), await home.student()
    view = await home.place(student)
    asked = await pay_order.payment(home.ctx, student, view.id)
    assert asked.risk is not None and asked.credential is None
    assert (asked.risk.decision, asked.risk.challenge, asked.risk.code) == ("challenge", "face", "small_payments")
    judged = [event.payload for event in await home.events(view.id) if event.kind == "payment_judged"]
    assert [(each["decision"], each["challenge"]) for each in judged] == [("challenge", "face")]
    assert asked.risk.demo_proof == f"{DemoFace.WORD}:{intent_id(view.id)}"
    with pytest.raises(InvalidInput) as refused:
        await prove(home, student, view.id, "somebody else's face")
    assert refused.value.field == "token"
    with pytest.raises(NotFound):
        await prove(home, stranger, view.id, asked.risk.demo_proof)
    with pytest.raises(WrongState):
        await pay_order.ask_code(home.ctx, student, view.id)
    met = await prove(home, student, view.id, asked.risk.demo_proof)
    assert met.risk is None
    assert (await home.kinds(view.id)).count("payment_judged") == 2
    await home.pay(student, view.id)
    assert (await home.order(view.id)).held_fen == view.quote.total_fen


async def test_a_code_is_sent_and_given_back(home: World) -> None:
    codes = guard(home, CODE)
    student = await home.student()
    view = await home.place(student)
    asked = await pay_order.payment(home.ctx, student, view.id)
    assert asked.risk is not None and asked.risk.challenge == "code" and asked.risk.demo_proof is None
    sent = await pay_order.ask_code(home.ctx, student, view.id)
    await prove(home, student, view.id, f"{sent.code_id}:{codes[-1]}")
    await home.pay(student, view.id)
    with pytest.raises(WrongState):
        await pay_order.ask_code(home.ctx, student, view.id)
    waiting = await home.place(student)
    for _ in range(9):
        await pay_order.ask_code(home.ctx, student, waiting.id)
    with pytest.raises(TooMany):
        await pay_order.ask_code(home.ctx, student, waiting.id)


async def test_where_no_code_can_be_sent_somebody_looks(home: World) -> None:
    guard(home, CODE, sends_codes=False)
    student = await home.student()
    view = await home.place(student)
    with pytest.raises(WrongState):
        await pay_order.ask_code(home.ctx, student, view.id)


async def test_who_is_held_is_told_and_called_and_goes_on_once_released(home: World) -> None:
    guard(home, HOLD)
    student = await home.student()
    view = await home.place(student)
    held = await pay_order.payment(home.ctx, student, view.id)
    assert held.risk is not None and held.risk.decision == "hold" and held.risk.demo_proof is None
    assert "risk_held" in await home.alerts()
    (case,) = await home.payments.risk_cases(home.campus_id, only_open=True)
    await home.payments.review_risk(case.id, True, "op", "called them")
    await home.work()
    assert "risk_held" not in await home.alerts()
    await home.pay(student, view.id)


async def test_without_guards_nothing_is_to_be_proved(home: World) -> None:
    student = await home.student()
    view = await home.place(student)
    with pytest.raises(WrongState):
        await prove(home, student, view.id, "anything")


async def test_risk_hears_of_an_address_that_tells_one_place_from_another(home: World) -> None:
    student = await home.student()
    quote = await place_order.quote_order(home.ctx, student, home.request())
    for number, ip in enumerate(("8.8.8.8", "10.1.2.3", "127.0.0.1", "", "nonsense")):
        await place_order.place_order(home.ctx, student, home.wish(quote.total_fen), f"k{number}", Origin(ip))
    waiting = await home.ctx.store.read_global(lambda unit: unit.commands.unsent(10))
    told = [msgspec.json.decode(body, type=port.OpenIntent).ip for _, _, body in waiting]
    assert sorted(told, key=str) == ["8.8.8.8", None, None, None, None]


async def test_money_that_comes_back_is_told(world: World) -> None:
    student = await world.student()
    order_id = await world.paid(student)
    refund = port.Refund(id="r1", intent_id=intent_id(order_id), refund_id="refund1", amount_fen=100, reason="late")
    await world.payments.submit(refund)
    await world.work()
    (told,) = [event.payload for event in await world.events(order_id) if event.kind == "order_refunded"]
    assert told["amount_fen"] == 100 and (await world.order(order_id)).released_fen == 100


async def test_the_hint_of_work_can_be_turned_off(home: World) -> None:
    assert (await describe_campus.campus(home.ctx, home.campus_id)).has_job_hint
    silent = replace(home.ctx, options=replace(home.ctx.options, has_job_hint=False))
    assert not (await describe_campus.campus(silent, home.campus_id)).has_job_hint


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("wechat_native", "qr"), ("wechat_h5", "redirect"), ("wechat_jsapi", "jsapi"), ("wechat_app", "app"),
        ("qr", "qr"), ("redirect", "redirect"), ("form", "form"), ("alipay_app", "app"), ("unionpay_app", "app"),
        ("sandbox", "sandbox"), ("of tomorrow", "app"),
    ],
)  # fmt: skip
def test_what_is_done_with_a_credential(given: str, kind: str) -> None:
    assert kind_of({"kind": given}) == kind
