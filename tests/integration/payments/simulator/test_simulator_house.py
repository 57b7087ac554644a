"""A running house: its administration, its till, its callbacks on the ladder, its ports, and what a restart keeps."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from payments.simulator.channels import UnknownChannel
from payments.simulator.faults import read
from payments.simulator.house import House, Plan, PortTaken
from payments.simulator.journal import Journal, JournalUnreadable
from payments.simulator.people import Habits
from payments.simulator.protocol import BadOption
from payments.simulator.wechat import LADDER_S
from tests.simulator_house import Caller, Merchant, admin, merchant_server, running, state_with_keys, until, wrong

#: A provider that works and re-sends so fast that its whole ladder takes a second.
HASTE = 100_000


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(Plan(state=state_with_keys(tmp_path), work_s=0.02, rate=HASTE)) as house:
        yield house


@pytest.fixture
async def merchant() -> AsyncIterator[Merchant]:
    async with merchant_server() as merchant:
        yield merchant


def path_of(house: House, number: str) -> str:
    return f"/admin/orders/wechat/{house.settings()['wechat']['mchid']}/{number}"


# -- callbacks ------------------------------------------------------------------------------------------------------


async def test_a_callback_is_sent_on_the_whole_ladder_until_it_is_heard(house: House, merchant: Merchant) -> None:
    merchant.answers = [500] * 40
    await Caller(house).order("ORDER001", merchant.url)
    assert (await admin(house, f"{path_of(house, 'ORDER001')}/pay", "POST", {}))[1] == {"result": "paid"}
    await until(lambda: len(merchant.heard) == len(LADDER_S) + 1, "the whole ladder")
    _, told = await admin(house, "/admin/notices")
    notice = told["notices"][0]
    assert [t["status"] for t in notice["tries"]] == [500] * 16
    assert (notice["due_ms"], notice["is_heard"], notice["kind"]) == (None, False, "TRANSACTION.SUCCESS")
    assert len({json.loads(body)["id"] for _, body in merchant.heard}) == 1, "the same notice each time"
    assert len({headers["Wechatpay-Signature"] for headers, _ in merchant.heard}) == 16, "and signed anew"
    merchant.answers = [200]
    status, again = await admin(house, f"/admin/notices/{notice['notice_id']}/resend", "POST", {})
    assert (status, again["is_heard"]) == (200, True)
    assert (await admin(house, "/admin/notices/EV-0/resend", "POST", {}))[0] == 404


async def test_callbacks_are_lost_doubled_late_and_overtaken(house: House, merchant: Merchant) -> None:
    caller = Caller(house)
    wrong(
        house,
        "notice_lost order=ORDER001 count=1",
        "notice_doubled order=ORDER002 count=1",
        "notice_late order=ORDER003 s=5000 count=1",
        "notice_reordered order=ORDER004 count=1",
    )
    for number in ("ORDER001", "ORDER002", "ORDER003"):
        await caller.order(number, merchant.url)
        house.desk.pay(house.books.orders_of_number("wechat", number)[0], "oPayer")
    await until(lambda: len(merchant.heard) == 4, "all callbacks")
    _, told = await admin(house, "/admin/notices")
    tries = {n["number"]: [t["status"] for t in n["tries"]] for n in told["notices"]}
    assert tries == {"ORDER001": [0, 204], "ORDER002": [204], "ORDER003": [204]}
    house.set_clock(rate=1, calendar_rate=1, now_ms=None)
    for number in ("ORDER004", "ORDER005"):
        await caller.order(number, merchant.url)
        house.desk.pay(house.books.orders_of_number("wechat", number)[0], "oPayer")
        await asyncio.sleep(0)
    await until(lambda: len(merchant.heard) == 6, "both callbacks")
    keys = [n["number"] for n in (await admin(house, "/admin/notices?limit=2"))[1]["notices"]]
    assert keys == ["ORDER005", "ORDER004"]
    heard = [
        house.books.notices_of(house.books.orders_of_number("wechat", n)[0].key)[0] for n in ("ORDER004", "ORDER005")
    ]
    assert heard[0].tries[0].at > heard[1].tries[0].at


async def test_a_merchant_that_is_not_there_is_called_again(house: House, merchant: Merchant) -> None:
    await Caller(house).order("ORDER001", "http://127.0.0.1:1/notify")
    house.desk.pay(house.books.orders_of_number("wechat", "ORDER001")[0], "oPayer")
    notice = house.books.notices_of(house.books.orders_of_number("wechat", "ORDER001")[0].key)[0]
    await until(lambda: len(notice.tries) > 2, "three tries")
    assert {t.status for t in notice.tries} == {0}


async def test_a_callback_may_come_before_the_answer(house: House, merchant: Merchant) -> None:
    wrong(house, "notice_before_reply op=create count=1")
    status, said = await Caller(house).order("ORDER001", merchant.url)
    assert (status, len(merchant.heard)) == (200, 1)
    assert said["code_url"].startswith("weixin://")


# -- the administration ---------------------------------------------------------------------------------------------


async def test_the_books_are_read_order_by_order(house: House, merchant: Merchant) -> None:
    caller = Caller(house)
    for n in range(5):
        await caller.order(f"ORDER00{n}", merchant.url)
    _, first = await admin(house, "/admin/books?limit=3")
    _, rest = await admin(house, f"/admin/books?limit=3&after={first['next']}")
    assert [o["number"] for o in first["orders"] + rest["orders"]] == [f"ORDER00{n}" for n in range(5)]
    assert (first["total"], rest["next"]) == (5, None)
    assert (await admin(house, "/admin/books?channel=edupay"))[1]["orders"] == []
    await admin(house, f"{path_of(house, 'ORDER000')}/pay", "POST", {"payer": "oSomebody"})
    _, whole = await admin(house, path_of(house, "ORDER000"))
    assert (whole["times_charged"], whole["charges"][0]["payer"], len(whole["notices"])) == (1, "oSomebody", 1)
    _, newest = await admin(house, "/admin/newest?limit=1")
    assert newest["orders"][0]["number"] == "ORDER004"
    assert (await admin(house, path_of(house, "ORDER009")))[0] == 404
    assert (await admin(house, "/admin/books?limit=many"))[0] == 400
    assert (await admin(house, "/admin/books?limit=10001"))[0] == 400


async def test_faults_are_set_and_taken_away_live(house: House) -> None:
    status, rule = await admin(house, "/admin/faults", "POST", {"text": "error op=create count=1"})
    assert (status, rule["fault"]["operation"]) == (200, "create")
    assert (await Caller(house).order("ORDER001", "http://127.0.0.1:1/n"))[0] == 500
    status, _ = await admin(house, "/admin/faults", "POST", {"fault": "delay", "value": "1"})
    _, listed = await admin(house, "/admin/faults")
    assert [(r["id"], r["fired"]) for r in listed["rules"]] == [(1, 1), (2, 0)]
    assert set(listed["channels"]) == {"wechat", "edupay"}
    for wrong_one in ({"text": "explode"}, {"fault": "delay", "value": "soon"}, {"fault": "delay", "colour": "red"}):
        status, said = await admin(house, "/admin/faults", "POST", wrong_one)
        assert status == 400 and said["error"]
    assert (await admin(house, "/admin/faults/2", "DELETE"))[1] == {"removed": 1}
    assert (await admin(house, "/admin/faults/2", "DELETE"))[0] == 404
    assert (await admin(house, "/admin/faults/two", "DELETE"))[0] == 400
    assert (await admin(house, "/admin/faults", "DELETE"))[1] == {"removed": 1}


async def test_time_is_set_and_hastened(house: House) -> None:
    _, before = await admin(house, "/admin/clock")
    wish = {"rate": 60, "calendar_rate": 1000, "now_ms": before["now_ms"] + 86_400_000}
    _, after = await admin(house, "/admin/clock", "POST", wish)
    assert (after["rate"], after["calendar_rate"]) == (60, 1000)
    assert after["now_ms"] >= wish["now_ms"]
    _, kept = await admin(house, "/admin/clock", "POST", {})
    assert (kept["rate"], kept["calendar_rate"]) == (60, 1000)
    for wrong_one in ({"rate": 0}, {"calendar_rate": -1}, {"now_ms": -1}, {"speed": 2}):
        assert (await admin(house, "/admin/clock", "POST", wrong_one))[0] == 400


async def test_people_pay_what_is_put_before_them(house: House, merchant: Merchant) -> None:
    caller = Caller(house)
    await caller.order("ORDER000", merchant.url)
    status, _ = await admin(house, "/admin/people", "POST", {"pay_share": 1, "think_s": [0, 0.01]})
    assert status == 200
    await caller.order("ORDER001", merchant.url)
    await until(lambda: all(o.charges for o in house.books.orders.values()), "both payments")
    words = {
        "appid": caller.given["appid"],
        "out_bill_no": "TRANSFER1",
        "transfer_scene_id": "1005",
        "openid": "oRunner",
        "transfer_amount": 500,
        "transfer_remark": "跑腿",
    }
    wrong(house, "transfer_waits order=TRANSFER1 count=5")
    status, said, _ = await caller.ask("POST", "/v3/fund-app/mch-transfer/transfer-bills", words)
    assert (status, said["state"]) == (200, "WAIT_USER_CONFIRM")
    await until(lambda: next(iter(house.books.transfers.values())).standing == "done", "the transfer")
    assert (await admin(house, "/admin/people"))[1] == {"pay_share": 1, "think_s": [0, 0.01]}
    for wrong_one in ({"pay_share": 2}, {"think_s": [3, 1]}):
        assert (await admin(house, "/admin/people", "POST", wrong_one))[0] == 400


async def test_a_transfer_is_agreed_to_by_hand(house: House) -> None:
    caller = Caller(house)
    words = {
        "appid": caller.given["appid"],
        "out_bill_no": "TRANSFER1",
        "transfer_scene_id": "1005",
        "openid": "oRunner",
        "transfer_amount": 500,
        "transfer_remark": "跑腿",
    }
    await caller.ask("POST", "/v3/fund-app/mch-transfer/transfer-bills", words)
    path = f"/admin/transfers/wechat/{caller.given['mchid']}"
    assert (await admin(house, f"{path}/TRANSFER1/agree", "POST", {}))[1] == {"is_agreed": True}
    assert (await admin(house, f"{path}/TRANSFER9/agree", "POST", {}))[0] == 404
    _, listed = await admin(house, "/admin/transfers")
    assert listed["transfers"][0]["number"] == "TRANSFER1"


async def test_a_domain_is_shut_and_opened(house: House, merchant: Merchant) -> None:
    caller = Caller(house)
    assert (await admin(house, "/admin/ports"))[1] == {"open": ["backup", "main"]}
    _, said = await admin(house, "/admin/ports", "POST", {"port": "backup", "is_open": False})
    assert said == {"open": ["main"]}
    assert (await admin(house, "/admin/ports", "POST", {"port": "main", "is_open": False}))[0] == 409
    assert (await admin(house, "/admin/ports", "POST", {"port": "side", "is_open": False}))[0] == 400
    for _ in range(2):
        await admin(house, "/admin/ports", "POST", {"port": "backup", "is_open": True})
    assert await house.shut_port("nowhere")
    status, _, _ = await caller.ask("GET", "/v3/certificates", base=house.backup_url)
    assert status == 200
    _, calls = await admin(house, "/admin/exchanges?limit=1")
    assert (calls["exchanges"][0]["is_backup"], calls["exchanges"][0]["operation"]) == (True, "certificates")


async def test_a_certificate_is_rotated(house: House) -> None:
    _, said = await admin(house, "/admin/rotate/wechat", "POST", {})
    caller = Caller(house)
    for _ in range(2):
        status, listed, headers = await caller.ask("GET", "/v3/certificates")
        assert (status, headers["Wechatpay-Serial"]) == (200, said["serial"])
        assert listed["data"][0]["serial_no"] == said["serial"]
        assert len(listed["data"]) == 2
    assert (await admin(house, "/admin/rotate/bank", "POST", {}))[0] == 404


async def test_only_this_machines_own_names_are_served(house: House) -> None:
    async with ClientSession() as session:
        for path in ("/", "/admin/books", "/pay/x", "/pay/x/order"):
            async with session.get(house.base_url + path, headers={"Host": "evil.example:80"}) as response:
                assert response.status == 403, path
        async with session.post(house.base_url + "/admin/people", data="{}") as response:
            assert response.status == 400, "a form of another site"
        async with session.post(house.base_url + "/admin/people", json=[1]) as response:
            assert response.status == 400


# -- the till -------------------------------------------------------------------------------------------------------


async def test_a_student_pays_at_the_till(house: House, merchant: Merchant) -> None:
    await Caller(house).order("ORDER001", merchant.url)
    order = house.books.orders_of_number("wechat", "ORDER001")[0]
    till = f"/pay/wx{order.opened.token}"
    assert (await admin(house, f"{till}/order"))[1] == {
        "channel": "wechat",
        "number": "ORDER001",
        "description": "奶茶",
        "amount_fen": 1000,
        "standing": "open",
    }
    for how, result in (
        ("wrong_password", "wrong_password"),
        ("later", "later"),
        ("pay", "paid"),
        ("pay", "already_paid"),
    ):
        assert (await admin(house, till, "POST", {"how": how}))[1] == {"result": result}
    assert (await admin(house, till, "POST", {"how": "steal"}))[0] == 400
    assert (await admin(house, "/pay/unknown/order"))[0] == 404
    assert (await admin(house, "/static/secrets.txt"))[0] == 404
    async with ClientSession() as session:
        for path in ("/", till, "/static/till.js", "/static/style.css"):
            async with session.get(house.base_url + path) as response:
                assert response.status == 200, path
                assert "default-src 'self'" in response.headers["Content-Security-Policy"]


# -- what the provider refuses --------------------------------------------------------------------------------------


async def test_what_is_not_signed_rightly_is_refused(house: House) -> None:
    caller = Caller(house)
    target = f"/v3/pay/transactions/out-trade-no/ORDER001?mchid={caller.given['mchid']}"
    for twist, word in (
        ({"mchid": "1900000001"}, "1900000001"),
        ({"serial": "ABCD"}, "序列号"),
        ({"timestamp": str(int(house.clock.wall_s()) - 301)}, "5分钟"),
        ({"timestamp": "yesterday"}, "5分钟"),
        ({"nonce": ""}, "nonce_str"),
    ):
        status, said, headers = await caller.ask("GET", target, **twist)
        assert (status, said["code"]) == (401, "SIGN_ERROR"), twist
        assert word in said["message"]
        assert headers["Wechatpay-Signature"], "a refusal is signed, too"
    async with ClientSession() as session, session.get(house.base_url + target) as response:
        assert response.status == 401
    async with ClientSession() as session, session.get(house.base_url + "/nothing/here") as response:
        assert response.status == 404
    status, said, _ = await caller.ask("GET", "/v3/nothing")
    assert (status, said["code"]) == (404, "RESOURCE_NOT_EXISTS")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"mchid": "1900000001"}, "mchid"),
        ({"appid": "wx1"}, "appid"),
        ({"out_trade_no": "A-1"}, "out_trade_no"),
        ({"notify_url": "ftp://x"}, "notify_url"),
        ({"notify_url": "http://x/?y=1"}, "notify_url"),
        ({"amount": {"total": 0}}, "amount"),
        ({"amount": {"total": "12"}}, "int"),
        ({"amount": {"total": 1, "currency": "USD"}}, "amount"),
        ({"description": ""}, "description"),
        ({"description": "x" * 128}, "description"),
        ({"attach": "x" * 129}, "attach"),
        ({"time_expire": "tomorrow"}, "time_expire"),
        ({"time_expire": "2026-01-01T00:00:00"}, "zone"),
        ({"time_expire": "2020-01-01T00:00:00+08:00"}, "over already"),
    ],
)
async def test_a_wrong_field_is_named(house: House, more: dict[str, Any], field: str) -> None:
    status, said = await Caller(house).order("ORDER001", "http://127.0.0.1:1/n", **more)
    assert (status, said["code"]) == (400, "PARAM_ERROR")
    assert field in said["message"]


# -- starting and stopping ------------------------------------------------------------------------------------------


async def test_a_restart_loses_nothing(tmp_path: Path, merchant: Merchant) -> None:
    state = state_with_keys(tmp_path)
    merchant.answers = [500]
    async with running(Plan(state=state, faults=[read("error op=close count=2")])) as house:
        await Caller(house).order("ORDER001", merchant.url)
        house.desk.pay(house.books.orders_of_number("wechat", "ORDER001")[0], "oPayer")
        house.desk.refund(house.books.orders_of_number("wechat", "ORDER001")[0], "R1", 100)
        await until(lambda: merchant.heard, "the first try")
        settings = house.settings()["wechat"]
        notice = house.books.notices_of(house.books.orders_of_number("wechat", "ORDER001")[0].key)[0]
        await until(lambda: notice.tries, "its entry")
        assert house.faults.fires("error", "wechat", "close", "x")
    async with running(Plan(state=state, rate=HASTE)) as house:
        order = house.books.orders_of_number("wechat", "ORDER001")[0]
        again = house.settings()["wechat"]
        assert {n: v for n, v in again.items() if "url" not in n} == {
            n: v for n, v in settings.items() if "url" not in n
        }
        assert [(r.fault.fault, r.fired) for r in house.faults.rules()] == [("error", 1)]
        assert order.paid_fen == 1000
        await until(lambda: order.refunds["R1"].standing == "done", "the refund that was under way")
        assert house.books.notices_of(order.key)[0].due_at_s is not None, "and the callback is still due"
    async with running(Plan(state=state, faults=[])) as house:
        assert house.faults.rules() == [], "what a start is given replaces what was kept"


async def test_a_house_that_cannot_start_says_why(tmp_path: Path) -> None:
    state = state_with_keys(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        house = House(Plan(state=state, port=port))
        with pytest.raises(PortTaken, match=str(port)):
            await house.start()
    held = House(Plan(state=state))
    with pytest.raises(JournalUnreadable, match="simulator.db"):
        House(Plan(state=state))
    held.close()
    strange = tmp_path / "strange.db"
    strange.write_text("not a database, but long enough to be looked at " * 100)
    with pytest.raises(JournalUnreadable):
        House(Plan(state=strange))
    with pytest.raises(JournalUnreadable, match="nowhere"):
        House(Plan(state=tmp_path / "nowhere" / "state.db"))
    old = Journal(tmp_path / "old.db")
    assert (tmp_path / "old.db").stat().st_mode & 0o077 == 0, "keys are nobody else's business"
    old._file.execute('INSERT INTO journal (at_us, event) VALUES (1, \'{"what":"bygone"}\')')
    old.close()
    with pytest.raises(JournalUnreadable, match="another version"):
        House(Plan(state=tmp_path / "old.db"))
    with pytest.raises(UnknownChannel, match="paypal"):
        House(Plan(channels=("paypal",)))
    with pytest.raises(UnknownChannel, match="paypal"):
        House(Plan(options={"paypal": {"x": "1"}}))
    with pytest.raises(BadOption, match="split_permille"):
        House(Plan(options={"wechat": {"colour": "red"}}))


async def test_one_channel_alone(tmp_path: Path) -> None:
    async with running(
        Plan(channels=("wechat",), state=state_with_keys(tmp_path), habits=Habits(pay_share=1))
    ) as house:
        status, said, _ = await Caller(house).ask("GET", "/v3/eduschoolpay/users/oPayer/debt-state")
        assert (status, said["code"]) == (404, "RESOURCE_NOT_EXISTS")


async def test_a_stumble_does_not_end_the_house(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def stumble() -> int:
        raise RuntimeError("over a stone")

    house.people.act = stumble  # type: ignore[method-assign]
    await until(lambda: "stumbled" in caplog.text, "the stumble")
    assert (await admin(house, "/admin/ports"))[0] == 200
