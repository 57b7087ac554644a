"""The fault plan: what is written down, what fires, and that the same seed goes wrong in the same way."""

from __future__ import annotations

import pytest

from payments.simulator.faults import FAULTS, MAX_RULES, MEANINGS, BadFault, Fault, FaultPlan, checked, read


def test_every_fault_says_what_it_does() -> None:
    assert list(MEANINGS) == list(FAULTS)


def test_a_rule_is_read_as_it_is_written() -> None:
    assert read("delay op=create channel=wechat order=A0* p=0.25 count=3 skip=2 ms=1500") == Fault(
        fault="delay",
        channel="wechat",
        operation="create",
        order="A0*",
        probability=0.25,
        count=3,
        skip=2,
        value="1500",
    )
    assert read("error status=503").number == 503
    assert read("error").number == 500
    assert read("refuse code=RULE_LIMIT").word == "RULE_LIMIT"
    assert read("refuse").word == "SYSTEM_ERROR"
    assert read("drop_after").number == 0
    assert read("drop_after").word == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no fault ''"),
        ("explode", "there is no fault 'explode'"),
        ("delay op=lunch", "there is no operation 'lunch'"),
        ("delay sometimes", "'sometimes'"),
        ("delay often=yes", "'often=yes'"),
        ("delay p=0", "above 0"),
        ("delay p=1.5", "at most 1"),
        ("delay p=nan", "at most 1"),
        ("delay p=often", "could not convert"),
        ("delay count=0", "from 1"),
        ("delay skip=-1", "from 0"),
        ("delay ms=soon", "whole number from 0 to 600000"),
        ("delay ms=600001", "whole number from 0 to 600000"),
        ("error status=200", "whole number from 400 to 599"),
        ("refund_pending s=-1", "whole number from 0 to 1000000"),
        ("drop_after value=1", "takes no value"),
        ("refuse code=a/b", "letters, digits"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(BadFault, match=why.replace("'", ".")):
        read(text)


def test_a_rule_is_about_its_channel_operation_and_order() -> None:
    plan = FaultPlan(1)
    plan.add(read("drop_after channel=wechat op=refund order=A01*"))
    assert plan.fires("drop_after", "wechat", "refund", "A0100") is not None
    assert plan.fires("drop_after", "alipay", "refund", "A0100") is None
    assert plan.fires("drop_after", "wechat", "create", "A0100") is None
    assert plan.fires("drop_after", "wechat", "refund", "B0100") is None
    assert plan.fires("drop_before", "wechat", "refund", "A0100") is None
    plan.add(read("drop_before order=A0100"))
    assert plan.fires("drop_before", "wechat", "close", "A0100") is not None
    assert plan.fires("drop_before", "wechat", "close", "A01001") is None


def test_a_rule_lets_some_pass_and_is_used_up() -> None:
    plan = FaultPlan(1)
    rule = plan.add(read("error skip=2 count=3"))
    fired = [plan.fires("error", "wechat", "query") is not None for _ in range(8)]
    assert fired == [False, False, True, True, True, False, False, False]
    assert rule.is_spent


def test_the_same_seed_goes_wrong_in_the_same_way() -> None:
    def course(seed: int, *before: str) -> list[bool]:
        plan = FaultPlan(seed)
        plan.add(read("error p=0.3"))
        for text in before:
            plan.add(read(text))
        return [plan.fires("error", "wechat", "query") is not None for _ in range(200)]

    assert course(7) == course(7) == course(7, "delay p=0.5")
    assert course(7) != course(8)
    assert 30 < sum(course(7)) < 90


def test_a_plan_is_put_back_as_it_stood() -> None:
    plan = FaultPlan(1)
    plan.add(read("error count=2"))
    plan.add(read("delay ms=5"))
    plan.fires("error", "wechat", "query")
    again = FaultPlan(1)
    again.load(plan.dump())
    assert again.rules() == plan.rules()
    assert again.fires("error", "wechat", "query") is not None
    assert again.fires("error", "wechat", "query") is None
    assert again.add(read("delay ms=6")).id == 3


def test_rules_are_taken_away_and_bounded() -> None:
    plan = FaultPlan(1)
    first = plan.add(read("error"))
    plan.add(read("delay"))
    assert plan.remove(first.id) == 1
    assert plan.remove(first.id) == 0
    assert [rule.fault.fault for rule in plan.rules()] == ["delay"]
    assert plan.remove() == 1
    for _ in range(MAX_RULES):
        plan.add(read("error"))
    with pytest.raises(BadFault, match="stand already"):
        plan.add(read("error"))


def test_a_rule_that_does_not_come_from_text_is_checked_too() -> None:
    with pytest.raises(BadFault):
        checked(Fault(fault="delay", value="x"))
