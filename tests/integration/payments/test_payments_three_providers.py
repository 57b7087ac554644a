"""The whole machine with Alipay, UnionPay and a campus card on loopback: opened, paid, settled, given back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from payments.channels import alipay_signing
from payments.channels import campus_card_signing as card_signing
from payments.channels.alipay import AlipayChannel
from payments.channels.alipay_config import AlipayConfig
from payments.channels.base import Channel
from payments.channels.campus_card import CARD_TOKEN, CampusCardChannel
from payments.channels.campus_card_config import CampusCardConfig
from payments.channels.unionpay import UnionpayChannel
from payments.channels.unionpay_config import UnionpayConfig
from payments.embedded import EmbeddedPayments
from payments.port import CallbackReply, IntentView, OpenIntent, Release, Settle, Share
from tests.payments_keys import certificate, pem, pfx, private_pem, public_pem, rsa_key
from tests.payments_providers import Alipay, Unionpay, denied, served

MERCHANT = "777290058110048"
SELLER = "2088123412341234"


class House:
    """Payments on SQLite with one channel, and its clock."""

    def __init__(self, folder: Path, channel: Channel, payer: Mapping[str, str] | None = None) -> None:
        self.at = datetime.now(UTC)
        self._numbers = 0
        self._payer = payer or {}
        self.channel = channel
        self.payments = EmbeddedPayments(
            f"sqlite:///{folder}/payments.sqlite", lambda: self.at, self._new_id, [channel], reveal=self._reveal
        )

    def _new_id(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}_{self._numbers}"

    async def _reveal(self, payer_ref: str, names: tuple[str, ...]) -> Mapping[str, str]:
        return {name: self._payer[name] for name in names if name in self._payer}

    async def first_written(self, number: str) -> datetime | None:
        view = await self.payments.view("int_a")
        found = [each.created_at for each in view.attempts if each.attempt_id == number] if view else []
        return found[0] if found else self.at

    async def open(self, for_s: float = 300) -> str:
        """Open an order of 10.00; the number of its attempt."""
        await self.payments.submit(
            OpenIntent(
                id="open",
                intent_id="int_a",
                campus_id="nu",
                order_ref="ord_a",
                payer_ref="student_a",
                amount_fen=1000,
                description="errand",
                channels=(self.channel.shape.code,),
                expires_at=self.at + timedelta(seconds=for_s),
            )
        )
        await self.settle_down()
        return (await self.view()).attempts[-1].attempt_id

    async def settle_down(self) -> None:
        for _ in range(20):
            if not await self.payments.work():
                return
        raise AssertionError("it never comes to rest")

    async def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        await self.settle_down()

    async def view(self) -> IntentView:
        view = await self.payments.view("int_a")
        assert view is not None
        return view

    async def told(self, body: bytes, headers: Mapping[str, str] | None = None) -> CallbackReply:
        reply = await self.payments.callback(self.channel.shape.code, headers or {}, body)
        await self.settle_down()
        return reply


@asynccontextmanager
async def running(house: House) -> AsyncIterator[House]:
    await house.payments.start()
    try:
        yield house
    finally:
        await house.payments.stop()


# -- Alipay ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def alipay() -> AsyncIterator[Alipay]:
    provider = Alipay()
    async with served(provider.handle) as provider.base_url:
        yield provider


def with_alipay(folder: Path, alipay: Alipay) -> House:
    config = AlipayConfig(
        environment="simulator",
        product="qr",
        app_id="2021000000000001",
        seller_id=SELLER,
        app_private_key=private_pem("merchant"),
        alipay_public_key=public_pem("alipay"),
        notify_url="http://127.0.0.1/callbacks/alipay",
        algorithm="RSA2",
        base_url=alipay.base_url,
        parts_paid_by="alipay",
    )
    return House(folder, AlipayChannel(config))


QUERY = "alipay.trade.query"


async def test_an_alipay_code_is_paid_settled_and_its_rest_given_back(tmp_path: Path, alipay: Alipay) -> None:
    async with running(with_alipay(tmp_path, alipay)) as house:
        trade = {"trade_no": "T1", "trade_status": "TRADE_SUCCESS", "total_amount": "10.00"}
        alipay.answers = {
            "alipay.trade.precreate": {"out_trade_no": "", "qr_code": "https://qr.alipay.com/bax1"},
            QUERY: denied("ACQ.TRADE_NOT_EXIST"),
        }
        number = await open_alipay(house, alipay)
        await house.advance(20)
        assert (await house.view()).state == "pending", "nobody has scanned it, which proves nothing"
        alipay.answers[QUERY] = {"out_trade_no": number, **trade}
        notice = {"notify_id": "N1", "notify_type": "trade_status_sync", "app_id": "2021000000000001",
                  "seller_id": SELLER, "out_trade_no": number, **trade}  # fmt: skip
        body = urlencode(alipay_signing.signed_notice(notice, rsa_key("alipay"))).encode()
        assert (await house.told(body)).body == b"success"
        assert (await house.told(body)).body == b"success", "a second time is heard and changes nothing"
        assert (await house.view()).state == "success"
        alipay.answers["alipay.trade.order.settle"] = {}
        alipay.answers["alipay.trade.refund"] = {"out_trade_no": number, "fund_change": "Y"}
        shares = (
            Share(party="runner", account_ref="run_1", amount_fen=700),
            Share(party="platform", account_ref="platform", amount_fen=100),
        )
        await house.payments.submit(Settle(id="settle", intent_id="int_a", shares=shares, at=house.at))
        await house.settle_down()
        view = await house.view()
        assert (view.captured_fen, view.released_fen) == (800, 200)
        assert [each["refund_amount"] for each in alipay.of("alipay.trade.refund")] == ["2.00"]
        assert await house.payments.check() == []


async def open_alipay(house: House, alipay: Alipay) -> str:
    # The number is known before the order is sent: it is the intent's and the attempt's.
    from payments.attempt import attempt_id

    number = attempt_id("int_a", 1)
    alipay.answers["alipay.trade.precreate"]["out_trade_no"] = number
    assert await house.open() == number
    assert (await house.view()).credential == {"kind": "qr", "code_url": "https://qr.alipay.com/bax1"}
    return number


async def test_a_code_that_nobody_scans_is_dead_only_after_its_end(tmp_path: Path, alipay: Alipay) -> None:
    async with running(with_alipay(tmp_path, alipay)) as house:
        alipay.answers = {
            "alipay.trade.precreate": {"out_trade_no": "", "qr_code": "https://qr.alipay.com/bax1"},
            QUERY: denied("ACQ.TRADE_NOT_EXIST"),
        }
        await open_alipay(house, alipay)
        await house.advance(310)
        assert [each.state for each in (await house.view()).attempts] == ["closing"]
        await house.advance(100)
        assert [each.state for each in (await house.view()).attempts] == ["closing"]
        await house.advance(60)
        assert [each.state for each in (await house.view()).attempts] == ["closed"]
        assert (await house.view()).state == "failed"
        assert alipay.of("alipay.trade.close") == []


# -- UnionPay -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def unionpay() -> AsyncIterator[Unionpay]:
    provider = Unionpay()
    async with served(provider.handle) as provider.base_url:
        yield provider


def with_unionpay(folder: Path, unionpay: Unionpay) -> House:
    path = folder / "acp_sign.pfx"
    path.write_bytes(pfx("merchant", certificate("merchant", "cfca", "merchant"), "000000"))
    path.chmod(0o600)
    config = UnionpayConfig(
        environment="simulator",
        product="wap",
        mer_id=MERCHANT,
        sign_pfx=str(path),
        sign_pfx_password="000000",
        issuers=(pem(certificate("cfca", "cfca", "cfca")),),
        notify_url="http://127.0.0.1/callbacks/unionpay",
        algorithm="5.1.0/01",
        base_url=unionpay.base_url,
        file_url=f"{unionpay.base_url}/files",
        parts_paid_by="merchant",
    )
    houses: list[House] = []

    async def first_written(number: str) -> datetime | None:
        return await houses[0].first_written(number)

    houses.append(House(folder, UnionpayChannel(config, first_written)))
    return houses[0]


async def test_unionpays_message_counts_once_a_query_says_the_same(tmp_path: Path, unionpay: Unionpay) -> None:
    async with running(with_unionpay(tmp_path, unionpay)) as house:
        number = await house.open()
        credential = (await house.view()).credential
        assert credential is not None and credential["fields"]["orderId"] == number
        sent_at = credential["fields"]["txnTime"]

        def notice(**changes: str) -> bytes:
            told: dict[str, Any] = {
                "merId": MERCHANT, "orderId": number, "txnTime": sent_at, "txnType": "01", "respCode": "00",
                "queryId": "Q1", "txnAmt": "1000", **changes,
            }  # fmt: skip
            return urlencode(unionpay.signed(told)).encode()

        unionpay.answers["00"] = {"respCode": "00", "origRespCode": "05"}
        assert (await house.told(notice())).status != 200
        assert (await house.view()).state == "pending"
        paid = {"respCode": "00", "origRespCode": "00", "queryId": "Q1", "txnAmt": "1000"}
        unionpay.answers["00"] = paid
        assert (await house.told(notice())).status == 200
        assert (await house.view()).state == "success"
        assert {each["txnTime"] for each in unionpay.of("00")} == {sent_at}

        # The order is cancelled: what was paid a moment ago is undone.
        unionpay.answers["00"] = [paid, {"respCode": "34"}, paid, {**paid, "queryId": "Q2"}]
        unionpay.answers["31"] = {"respCode": "00"}
        await house.payments.submit(Release(id="release", intent_id="int_a", reason="cancelled"))
        await house.settle_down()
        await house.advance(60)
        assert (await house.view()).hold_state == "released"
        kinds = [kind for kind, _ in unionpay.heard if kind != "00"]
        assert kinds in (["31"], ["04"]), "once; after ten in the evening it is a refund"
        assert await house.payments.check() == []


# -- the campus card ------------------------------------------------------------------------------------------------


class CardCentre:
    """A card centre that loses its answer to every debit, and reverses what it is told to."""

    def __init__(self) -> None:
        self.signer = card_signing.HmacSigner(b"a secret of the tests, of 32 bytes or more")
        self.states: dict[str, str] = {}
        self.base_url = ""

    async def handle(self, request: Any) -> Any:
        import json

        from aiohttp import web

        parts = request.path.split("/")[3:]
        if request.method == "POST" and not parts:
            self.states[(await request.json())["number"]] = "processing"
            return web.Response(status=502)
        number = parts[0]
        if parts[-1] == "reverse":
            self.states[number] = "reversed"
        raw = json.dumps({"number": number, "state": self.states[number]}).encode()
        subject = card_signing.reply_subject(200, request.headers[card_signing.NONCE])
        now = datetime.now(UTC).timestamp()
        headers = card_signing.signed_headers(self.signer, subject, "campus-errands", raw, now, "0123456789abcdef")
        return web.Response(body=raw, headers=headers)


async def test_a_debit_without_an_answer_is_asked_about_and_reversed_before_anything_else(tmp_path: Path) -> None:
    centre = CardCentre()
    async with served(centre.handle) as centre.base_url:
        config = CampusCardConfig(
            environment="simulator",
            merchant="campus-errands",
            base_url=f"{centre.base_url}/v1",
            notify_url="http://127.0.0.1/callbacks/campus_card",
            algorithm="HMAC-SHA256",
            secret="a secret of the tests, of 32 bytes or more",
            parts_paid_by="merchant",
        )
        async with running(House(tmp_path, CampusCardChannel(config), {CARD_TOKEN: "card-1"})) as house:
            number = await house.open()
            assert [each.state for each in (await house.view()).attempts] == ["unknown"]
            assert (await house.view()).state == "processing"
            for _ in range(12):
                await house.advance(10)
            assert centre.states == {number: "reversed"}
            assert [each.state for each in (await house.view()).attempts] == ["closed"]
            assert (await house.view()).state == "failed"
