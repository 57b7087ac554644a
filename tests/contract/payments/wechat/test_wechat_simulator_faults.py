"""What the WeChat Pay channel makes of everything that goes wrong at the simulator."""

from __future__ import annotations

from pathlib import Path

import pytest

from payments.channels import wechat_api
from payments.money import Fen
from payments.outcomes import BadNotice, Issued, NotIssued, PaidNotice, Refused
from tests.simulator_house import until, wrong
from tests.simulator_wechat import CAMPUS, PLATFORM, Rig, rig


@pytest.mark.parametrize("fault", ["delay op=create ms=3000", "drop_before op=create", "error op=create status=503"])
async def test_a_credential_that_did_not_come_in_time_is_not_issued(one: Rig, fault: str) -> None:
    wrong(one.house, f"{fault} count=1")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), NotIssued)


@pytest.mark.parametrize("fault", ["drop_after op=create", "delay_after op=create ms=3000", "bad_signature op=create"])
async def test_an_order_whose_answer_was_lost_exists_and_is_closed(one: Rig, fault: str) -> None:
    wrong(one.house, f"{fault} count=1")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), NotIssued)
    assert (await one.channel.query("ATTEMPT1")).standing == "unpaid"
    assert await one.channel.close("ATTEMPT1") == "asked"
    assert (await one.channel.query("ATTEMPT1")).standing == "closed"


async def test_a_verdict_ends_the_order_and_a_busy_provider_does_not(one: Rig) -> None:
    wrong(one.house, "refuse op=create code=RULE_LIMIT count=1", "refuse op=create code=FREQUENCY_LIMITED count=1")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), Refused)
    busy = await one.channel.create_credential(one.order("ATTEMPT2"))
    assert isinstance(busy, NotIssued) and busy.may_switch


async def test_the_backup_domain_serves_the_same_order(one: Rig) -> None:
    await one.house.shut_port("main")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), Issued)
    assert one.house.door.exchanges[-1].is_backup
    assert (await one.channel.query("ATTEMPT1")).standing == "unpaid"


async def test_close_without_effect_is_seen_by_asking_again(one: Rig) -> None:
    wrong(one.house, "no_effect op=close count=1")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), Issued)
    assert await one.channel.close("ATTEMPT1") == "asked"
    assert (await one.channel.query("ATTEMPT1")).standing == "unpaid"


async def test_a_payer_may_be_faster_than_the_close(one: Rig) -> None:
    wrong(one.house, "pay_before_close count=1")
    assert isinstance(await one.channel.create_credential(one.order("ATTEMPT1")), Issued)
    assert (await one.channel.query("ATTEMPT1")).standing == "unpaid"
    assert await one.channel.close("ATTEMPT1") == "paid"
    assert (await one.channel.query("ATTEMPT1")).standing == "paid"


async def test_an_order_may_be_paid_that_was_said_not_to_exist(one: Rig) -> None:
    wrong(one.house, "absent op=query count=1")
    await one.paid("ATTEMPT1")
    assert (await one.channel.query("ATTEMPT1")).standing == "absent"
    assert (await one.channel.query("ATTEMPT1")).standing == "paid"


async def test_another_amount_is_told_as_it_was_charged(one: Rig) -> None:
    wrong(one.house, "wrong_amount value=-100 count=1")
    await one.paid("ATTEMPT1")
    assert (await one.channel.query("ATTEMPT1")).amount_fen == 900


async def test_callbacks_are_proved_or_refused(one: Rig) -> None:
    wrong(
        one.house,
        "notice_probe count=1",
        "bad_signature op=notify count=1",
        "notice_other_key op=notify skip=1 count=1",
    )
    one.merchant.answers = [500, 500, 500, 204]
    await one.paid("ATTEMPT1")
    await until(lambda: len(one.merchant.heard) == 4, "four callbacks")
    notices = [one.channel.read_callback(*heard) for heard in one.merchant.heard]
    # A probe; a wrong signature; a certificate while only the public key is known; and then the usual one.
    assert [type(notice) for notice in notices] == [BadNotice, BadNotice, BadNotice, PaidNotice]
    assert notices[0] == BadNotice("probe")


async def test_a_rotated_certificate_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wechat_api, "CERTIFICATES_AT_LEAST_S", 0.0)
    options = {"sign_with": "certificate"}
    async with rig(tmp_path, options=options, sub_mchid="", public_key="", public_key_id="") as made:
        assert isinstance(await made.channel.create_credential(made.order("ATTEMPT1")), Issued)
        wrong(made.house, "certificate_rotated op=query count=1")
        assert (await made.channel.query("ATTEMPT1")).standing == "unpaid"
        operations = [exchange.operation for exchange in made.house.door.exchanges]
        assert operations[-2:] == ["query", "certificates"]


async def test_a_clock_that_is_wrong_proves_nothing(one: Rig) -> None:
    wrong(one.house, "clock_skewed op=query s=900 count=1")
    await one.paid("ATTEMPT1")
    assert (await one.channel.query("ATTEMPT1")).standing == "no_answer"
    assert (await one.channel.query("ATTEMPT1")).standing == "paid"


async def test_a_refund_whose_answer_was_lost_is_paid_once(one: Rig) -> None:
    # Twice: what is dropped on a connection that had served before is sent once more by itself.
    wrong(one.house, "drop_after op=refund count=2", "error_after op=refund count=1")
    book = await one.paid("ATTEMPT1")
    assert (await one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400))).standing == "no_answer"
    assert (await one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400))).standing == "no_answer"
    done = await one.settled(lambda: one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400)))
    assert (done.standing, book.refunded_fen, len(book.refunds)) == ("done", 400, 1)


@pytest.mark.parametrize("fault", ["refund_closed", "refund_abnormal"])
async def test_a_refund_that_fails_is_told_so(one: Rig, fault: str) -> None:
    wrong(one.house, f"{fault} count=1")
    await one.paid("ATTEMPT1")
    await one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400))
    failed = await one.settled(lambda: one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400)))
    assert failed.standing == "failed"


async def test_a_refund_may_take_its_time(one: Rig) -> None:
    wrong(one.house, "refund_pending s=86400 count=1")
    await one.paid("ATTEMPT1")
    for _ in range(3):
        assert (await one.channel.give_back("ATTEMPT1", "REFUND1", Fen(400))).standing == "pending"


async def test_a_part_of_a_split_may_fail_while_the_split_is_finished(one: Rig) -> None:
    wrong(one.house, "split_partly_failed value=2 count=1", "drop_after op=split count=2")
    book = await one.paid("ATTEMPT1")
    receivers = (PLATFORM, CAMPUS)
    assert (await one.channel.split("ATTEMPT1", "SPLIT1", receivers)).receivers == ()
    split = await one.settled(lambda: one.channel.split("ATTEMPT1", "SPLIT1", receivers))
    assert {o.party: o.standing for o in split.receivers} == {"platform": "paid", "campus": "closed"}
    assert (book.split_fen, book.frozen_fen) == (200, 800)


async def test_too_large_a_share_is_refused_as_a_whole(tmp_path: Path) -> None:
    async with rig(tmp_path, options={"split_permille": "100"}, sub_mchid="") as made:
        book = await made.paid("ATTEMPT1")
        split = await made.channel.split("ATTEMPT1", "SPLIT1", (PLATFORM, CAMPUS))
        assert {o.standing for o in split.receivers} == {"closed"}
        assert book.frozen_fen == 1000
