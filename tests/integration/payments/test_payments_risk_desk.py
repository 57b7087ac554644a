"""Risk at work: what is objected to opens no attempt, until a challenge is met or somebody decided; all is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from payments.account import Withdraw
from payments.channels.sandbox import shape
from payments.guards.guarded import NotSetUp
from payments.guards.risk import RiskRequest, RuleBook, read_rules
from payments.guards.risk_desk import KEPT_DAYS, MOST_ANSWERS, ChallengeFailed, DemoFace, ReviewRefused
from payments.guards.second_factor import CONFIRMED_S, CodeWrong, SecondFactorNeeded
from payments.guards.second_factor_act import Act, GivenCode
from payments.money import Fen
from payments.port import Refund, RiskJudged, SwitchRefused, UnknownIntent, WithdrawalRefused
from payments.store.risk_tables import risk_verdicts
from tests.payments_desk import sqlite_desk
from tests.payments_guards import GuardedDesk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[GuardedDesk]:
    """On SQLite; the contract of the port tries the same statements on both databases."""
    async with GuardedDesk(f"sqlite:///{tmp_path}/payments.db", f"sqlite:///{tmp_path}/bank.db") as desk:
        yield desk


async def _fourth_small_payment(desk: GuardedDesk, amount_fen: int = 500) -> str:
    for name in ("a", "b", "c"):
        await desk.ask(name, amount_fen)
        assert await desk.pay(name) == "paid"
        assert await desk.risk(name) is None
        desk.at += timedelta(seconds=10)
    return await desk.ask("d", amount_fen)


async def test_the_fourth_small_payment_within_a_minute_asks_for_a_face(desk: GuardedDesk) -> None:
    intent_id = await _fourth_small_payment(desk)
    view = await desk.view("d")
    assert (view.state, view.attempts, view.credential) == ("pending", (), None)
    assert view.risk is not None
    assert (view.risk.decision, view.risk.code, view.risk.challenge) == ("challenge", "small_payments", "face")
    [judged] = await desk.told("d")
    assert isinstance(judged, RiskJudged)
    assert (judged.decision, judged.challenge, judged.parameters["count"]) == ("challenge", "face", 4)
    with pytest.raises(SwitchRefused):
        await desk.payments.switch_channel(intent_id, "sandbox_backup")
    with pytest.raises(ChallengeFailed):
        await desk.payments.answer_challenge(intent_id, "demo-face:int_a")
    assert (await desk.payments.answer_challenge(intent_id, f"demo-face:{intent_id}")).decision == "allow"
    assert (await desk.payments.answer_challenge(intent_id, "again")).decision == "allow"
    await desk.settle_down()
    assert await desk.pay("d") == "paid"
    assert await desk.kinds("d") == ["RiskJudged", "RiskJudged", "IntentReady", "Paid"]
    await desk.assert_books()


async def test_a_minute_later_or_for_more_nobody_is_asked(desk: GuardedDesk) -> None:
    for name in ("a", "b", "c"):
        await desk.ask(name, 500)
    await desk.ask("d", 501)
    assert (await desk.view("d")).credential is not None
    desk.at += timedelta(seconds=61)
    await desk.ask("e", 500)
    assert (await desk.view("e")).credential is not None


async def test_a_face_that_was_shown_before_is_not_asked_for_again(desk: GuardedDesk) -> None:
    for name in ("a", "b", "c"):
        await desk.ask(name, 100)
    await desk.ask("d", 100, challenge_token="demo-face:int_d")
    assert await desk.risk("d") is None
    assert (await desk.view("d")).credential is not None
    await desk.ask("e", 100, challenge_token="a photo of somebody else")
    assert await desk.risk("e") == ("challenge", "small_payments")


async def test_wrong_answers_run_out(desk: GuardedDesk) -> None:
    intent_id = await _fourth_small_payment(desk)
    for _ in range(MOST_ANSWERS):
        with pytest.raises(ChallengeFailed):
            await desk.payments.answer_challenge(intent_id, "wrong")
    assert await desk.risk("d") == ("refuse", "small_payments")
    assert (await desk.payments.answer_challenge(intent_id, f"demo-face:{intent_id}")).decision == "refuse"
    await desk.settle_down()
    assert (await desk.view("d")).state == "failed"
    assert await desk.kinds("d") == ["RiskJudged", "RiskJudged", "IntentFailed"]
    with pytest.raises(SwitchRefused):
        await desk.payments.switch_channel(intent_id, "sandbox")
    with pytest.raises(UnknownIntent):
        await desk.payments.answer_challenge("int_nobody", "x")


async def test_a_large_payment_is_held_and_the_account_with_it(desk: GuardedDesk) -> None:
    await desk.ask("a", 200_001)
    assert await desk.risk("a") == ("hold", "large_payment")
    assert (await desk.payments.answer_challenge("int_a", "x")).decision == "hold"
    await desk.ask("b", 900)
    assert await desk.risk("b") == ("refuse", "account_frozen")
    assert (await desk.view("b")).reason == "risk:account_frozen"
    await desk.ask("c", 900, payer="somebody else")
    assert (await desk.view("c")).credential is not None
    [held] = await desk.payments.risk_cases("nu", only_open=True)
    assert (held.code, held.account, held.amount_fen, held.standing) == ("large_payment", "student", 200_001, "open")
    for by, reason in (("", "fine"), ("operator", " ")):
        with pytest.raises(ReviewRefused):
            await desk.payments.review_risk(held.id, True, by, reason)
    assert (await desk.payments.review_risk(held.id, True, "operator", "called her")).decision == "allow"
    assert (await desk.payments.review_risk(held.id, True, "operator", "called her")).decision == "allow"
    with pytest.raises(ReviewRefused, match="released"):
        await desk.payments.review_risk(held.id, False, "another", "no")
    with pytest.raises(ReviewRefused):
        await desk.payments.review_risk("risk_none", True, "operator", "x")
    await desk.settle_down()
    assert await desk.pay("a") == "paid"
    await desk.ask("d", 900)
    assert (await desk.view("d")).credential is not None
    cases = await desk.payments.risk_cases("nu")
    assert [(case.code, case.standing) for case in cases] == [
        ("account_frozen", "closed"),
        ("large_payment", "released"),
    ]
    assert (cases[1].decided_by, cases[1].decided_because) == ("operator", "called her")
    assert await desk.payments.risk_cases("nu", limit=1, before_seq=cases[0].seq) == cases[1:]
    assert await desk.payments.risk_cases("elsewhere") == []


async def test_what_a_reviewer_refuses_fails(desk: GuardedDesk) -> None:
    await desk.ask("a", 200_001)
    [held] = await desk.payments.risk_cases("nu")
    assert (await desk.payments.review_risk(held.id, False, "operator", "stolen phone")).decision == "refuse"
    await desk.settle_down()
    view = await desk.view("a")
    assert (view.state, view.reason, view.attempts) == ("failed", "risk:large_payment", ())


async def test_what_nobody_decides_in_time_expires_and_can_be_cancelled(desk: GuardedDesk) -> None:
    await desk.ask("a", 200_001, for_s=60)
    await desk.ask("b", 200_001, payer="b")
    await desk.release("b")
    assert await desk.kinds("b") == ["RiskJudged", "Released"]
    await desk.advance(61)
    assert await desk.kinds("a") == ["RiskJudged", "IntentFailed"]
    view = await desk.view("a")
    assert (view.state, view.reason, view.attempts) == ("failed", "expired", ())
    for held in await desk.payments.risk_cases("nu", only_open=True):
        await desk.payments.review_risk(held.id, True, "operator", "too late")
    await desk.settle_down()
    assert (await desk.view("a")).attempts == (await desk.view("b")).attempts == ()


async def test_the_same_command_is_judged_once(desk: GuardedDesk) -> None:
    for _ in range(3):
        await desk.ask("a", 200_001)
    assert await desk.kinds("a") == ["RiskJudged"]
    assert len(await desk.payments.risk_cases("nu")) == 1


async def test_a_new_device_asks_for_a_code_that_fits_this_payment(desk: GuardedDesk) -> None:
    await desk.ask("a", 900, device_id="phone one", ip="10.0.0.1")
    await desk.ask("b", 15_000, device_id="phone two", ip="10.0.0.1")
    assert await desk.risk("b") == ("challenge", "new_device")
    act = Act(kind="pay", account_ref="student", amount_fen=15_000, target="int_b")
    for wrong in (Act(kind="pay", account_ref="student", amount_fen=15_000, target="int_a"), act):
        sent = await desk.payments.ask_code(wrong)
        answer = f"{sent.code_id}:{desk.messages[-1][1]}"
        if wrong is not act:
            with pytest.raises(ChallengeFailed):
                await desk.payments.answer_challenge("int_b", answer)
    assert (await desk.payments.answer_challenge("int_b", answer)).decision == "allow"
    await desk.settle_down()
    assert await desk.pay("b") == "paid"
    rows = await desk.payments._store.database.read(lambda c: str(c.execute(sa.select(risk_verdicts)).all()))
    assert "phone" not in rows and "10.0.0.1" not in rows


async def test_coupons_once_per_incident_and_within_a_days_budget(desk: GuardedDesk) -> None:
    def coupon(ref: str, account: str, incident: str = "outage", amount_fen: int = 9000) -> RiskRequest:
        return RiskRequest(
            kind="coupon", ref=ref, campus_id="nu", account=account, amount_fen=amount_fen, incident=incident
        )

    first = await desk.payments.assess_risk(coupon("1", "a"))
    assert first.decision == "allow"
    assert await desk.payments.assess_risk(coupon("1", "a")) == first
    assert (await desk.payments.assess_risk(coupon("2", "a"))).code == "coupon_again"
    assert (await desk.payments.assess_risk(coupon("3", "a", "another"))).decision == "allow"
    assert (await desk.payments.assess_risk(coupon("4", "b"))).code == "coupon_budget"
    desk.at += timedelta(days=1)
    assert (await desk.payments.assess_risk(coupon("5", "b"))).decision == "allow"


async def test_who_lives_on_refunds_is_seen(desk: GuardedDesk) -> None:
    for index in range(6):
        await desk.ask(f"r{index}", 1000)
        await desk.pay(f"r{index}")
        await desk.settle(f"r{index}", runner=800, campus=50, platform=150)
        await desk.refund(f"r{index}", 100)
    [case] = await desk.payments.risk_cases("nu")
    assert (case.kind, case.code, case.account) == ("refund", "many_refunds", "student")
    assert (await desk.view("r5")).refunded_fen == 100
    await desk.payments.review_risk(case.id, False, "operator", "talked to them")
    await desk.assert_books()


async def test_what_is_old_goes_and_what_is_held_stays(desk: GuardedDesk) -> None:
    await desk.ask("a", 900)
    await desk.ask("b", 200_001, payer="b")
    await desk.advance((KEPT_DAYS + 1) * 86_400, step_s=86_400 * 31)
    left = await desk.payments._store.database.read(lambda c: c.execute(sa.select(risk_verdicts.c.ref)).scalars().all())
    assert list(left) == ["int_b"]
    await desk.ask("c", 900, payer="b")
    assert await desk.risk("c") == ("refuse", "account_frozen")


async def test_a_campus_may_have_rules_of_its_own(tmp_path: Path) -> None:
    rules = read_rules('{"nu": {"large_payment": {"above_fen": 10}}}')
    async with GuardedDesk(f"sqlite:///{tmp_path}/p.db", f"sqlite:///{tmp_path}/b.db", rules=rules) as desk:
        await desk.ask("a", 11)
        assert await desk.risk("a") == ("hold", "large_payment")


async def test_a_payment_in_parts_is_one_request_and_stopped_as_one(tmp_path: Path) -> None:

    limited = msgspec.structs.replace(shape("sandbox"), limit_fen=Fen(100_000))
    rules = RuleBook()
    async with GuardedDesk(f"sqlite:///{tmp_path}/p.db", f"sqlite:///{tmp_path}/b.db", (limited,), rules) as desk:
        await desk.open("a", 150_000, channels=("sandbox",))
        assert (await desk.view("a")).parts == 2 and (await desk.view("a")).credential is not None
        await desk.open("b", 250_000, channels=("sandbox",))
        view = await desk.view("b")
        assert view.attempts == () and view.risk is not None and view.risk.decision == "hold"
        await desk.advance(60)
        assert (await desk.view("b")).attempts == ()
        [held] = await desk.payments.risk_cases("nu")
        await desk.payments.review_risk(held.id, True, "operator", "called")
        await desk.settle_down()
        assert (await desk.view("b")).credential is not None


async def test_secrets_are_entrusted_and_revealed_for_a_call(desk: GuardedDesk) -> None:
    tokens = await desk.payments.entrust("student", {"contract_id": "first", "client_ip": "1.2.3.4"})
    desk.at += timedelta(seconds=1)
    newer = await desk.payments.entrust("student", {"contract_id": "second"})
    assert set(tokens) == {"contract_id", "client_ip"} and newer["contract_id"] != tokens["contract_id"]
    assert await desk.payments.reveal("student", ("contract_id", "client_ip", "card")) == {
        "contract_id": "second",
        "client_ip": "1.2.3.4",
    }
    desk.at += timedelta(seconds=1)
    assert await desk.payments.entrust("student", {"contract_id": "first"}) == {"contract_id": tokens["contract_id"]}
    assert (await desk.payments.reveal("student", ("contract_id",)))["contract_id"] == "first"
    for index in range(12):
        desk.at += timedelta(seconds=1)
        await desk.payments.entrust("student", {"contract_id": f"number {index}"})
    assert await desk.payments.forget("student") == 11
    for account, secrets in (
        ("", {}),
        ("a", {"x y": "s"}),
        ("a", {"contract_id": ""}),
        ("a", {"contract_id": "s" * 2000}),
    ):
        with pytest.raises(ValueError):
            await desk.payments.entrust(account, secrets)
    with pytest.raises(ValueError, match="at most"):
        await desk.payments.entrust("a", {f"k{index}": "s" for index in range(17)})


async def test_a_second_factor_is_asked_for_what_needs_one(desk: GuardedDesk) -> None:
    asked = Withdraw(id="w1", campus_id="nu", account_ref="run", amount_fen=20_000, requested_at=desk.at)
    with pytest.raises(SecondFactorNeeded):
        await desk.payments.submit(asked)
    act = Act(kind="withdraw", account_ref="run", amount_fen=20_000)
    given = await _code(desk, act)
    with pytest.raises(SecondFactorNeeded):
        await desk.payments.submit(msgspec.structs.replace(asked, code_id=given.code_id))
    with pytest.raises(CodeWrong):
        await desk.payments.confirm_code(act, msgspec.structs.replace(given, code="x"))
    for _ in range(2):
        await desk.payments.confirm_code(act, given)
    allowed = msgspec.structs.replace(asked, code_id=given.code_id)
    for other in ({"amount_fen": 20_001}, {"account_ref": "somebody"}):
        with pytest.raises(CodeWrong):
            await desk.payments.submit(msgspec.structs.replace(allowed, **other))
    # Refused for another reason, the command leaves nothing behind: the code is good still.
    with pytest.raises(WithdrawalRefused):
        await desk.payments.submit(allowed)
    await desk.ask("a", 30_000)
    await desk.pay("a")
    await desk.settle("a", runner=29_999, campus=0, platform=1)
    for _ in range(2):
        await desk.payments.submit(allowed)
    await desk.settle_down()
    assert (await desk.payments.balances("run")).withdrawn_fen == 20_000
    with pytest.raises(CodeWrong):
        await desk.payments.submit(msgspec.structs.replace(allowed, id="w2"))
    await desk.withdraw("w3", 9_999)
    assert (await desk.payments.balances("run")).withdrawn_fen == 29_999
    await desk.assert_books()


async def test_a_confirmed_code_waits_an_hour_for_its_command(desk: GuardedDesk) -> None:
    act = Act(kind="operator_refund", account_ref="operator", amount_fen=100, target="int_a")
    await desk.ask("a", 1000)
    await desk.pay("a")
    asked = Refund(id="r", intent_id="int_a", refund_id="refund-1", amount_fen=100, reason="cold", operator="operator")
    with pytest.raises(SecondFactorNeeded):
        await desk.payments.submit(asked)
    for waits_s, fits in ((CONFIRMED_S, False), (CONFIRMED_S - 1, True)):
        given = await _code(desk, act)
        await desk.payments.confirm_code(act, given)
        desk.at += timedelta(seconds=waits_s)
        command = msgspec.structs.replace(asked, code_id=given.code_id)
        if fits:
            await desk.payments.submit(command)
        else:
            with pytest.raises(CodeWrong):
                await desk.payments.submit(command)
    await desk.settle_down()
    assert (await desk.view("a")).refunded_fen + (await desk.view("a")).released_fen == 100


async def test_another_account_to_be_paid_to_needs_a_code(desk: GuardedDesk) -> None:
    first = await desk.payments.entrust("run", {"bank_account": "6222", "name": "n"})
    assert await desk.payments.entrust("run", {"bank_account": "6222"}) == {"bank_account": first["bank_account"]}
    with pytest.raises(SecondFactorNeeded):
        await desk.payments.entrust("run", {"bank_account": "6333"})
    act = Act(kind="change_payout_account", account_ref="run")
    given = await _code(desk, act)
    await desk.payments.confirm_code(act, given)
    desk.at += timedelta(seconds=1)
    for _ in range(2):
        await desk.payments.entrust("run", {"bank_account": "6333"}, given.code_id)
    with pytest.raises(CodeWrong):
        await desk.payments.entrust("run", {"bank_account": "6444"}, given.code_id)
    assert (await desk.payments.reveal("run", ("bank_account",)))["bank_account"] == "6333"


async def _code(desk: GuardedDesk, act: Act) -> GivenCode:
    sent = await desk.payments.ask_code(act)
    return GivenCode(code_id=sent.code_id, code=desk.messages[-1][1])


async def test_without_guards_nobody_is_judged_and_nothing_is_kept(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await desk.open("a", 10_000_00)
        assert (await desk.view("a")).credential is not None
        assert await desk.payments.risk_cases("nu") == []
        assert await desk.payments.reveal("student", ("openid",)) == {}
        for call in (
            desk.payments.entrust("a", {"openid": "x"}),
            desk.payments.assess_risk(RiskRequest(kind="pay", ref="1", campus_id="nu", account="a", amount_fen=1)),
            desk.payments.answer_challenge("int_a", ""),
        ):
            with pytest.raises(NotSetUp):
                await call
        act = Act(kind="pay", account_ref="a")
        for needs_codes in (
            desk.payments.ask_code(act),
            desk.payments.confirm_code(act, GivenCode(code_id="", code="")),
        ):
            with pytest.raises(ChallengeFailed):
                await needs_codes


def test_the_demonstration_of_faces_is_not_for_real_money() -> None:
    with pytest.raises(ValueError, match="live"):
        DemoFace("live")


async def test_without_somebody_to_verify_a_challenge_waits_for_a_review(tmp_path: Path) -> None:
    async with GuardedDesk(f"sqlite:///{tmp_path}/p.db", f"sqlite:///{tmp_path}/b.db") as desk:
        guards = desk.payments._guards
        assert guards is not None and "k1" not in repr(guards)

        desk.payments._second_factor = None
        desk.payments.guard(msgspec.structs.replace(guards, face=None, send_code=None))
        intent_id = await _fourth_small_payment(desk)
        with pytest.raises(ChallengeFailed, match="nobody"):
            await desk.payments.answer_challenge(intent_id, "x")
        with pytest.raises(NotSetUp):
            await desk.withdraw("w", 50_000)
        [case] = await desk.payments.risk_cases("nu")
        await desk.payments.review_risk(case.id, True, "operator", "knows him")
        await desk.settle_down()
        assert await desk.pay("d") == "paid"
