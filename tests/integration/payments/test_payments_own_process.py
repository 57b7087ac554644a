"""Payments as a real process of their own: taking money over the signed interface, and saying no secret anywhere."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from payments.guards.code_post import CodeNotSent, CodePost, CodeToSend
from payments.guards.risk_desk import ChallengeFailed
from payments.guards.second_factor_act import Act
from payments.key_files import read_keys
from payments.port import AnyEvent, IntentReady, OpenIntent, Paid, PaymentsPort, RiskJudged
from payments.service.internal_signing import Gate, Keys
from payments.service.remote import PaymentsUnreachable, RemotePayments, as_port
from payments.service.serve import main, vault_main
from payments.simulator.house import House, Plan
from tests.simulator_house import Merchant, merchant_server, running, state_with_keys, until

ROOT = Path(__file__).resolve().parents[3]
PAYER = "student_7"
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
BANK_ACCOUNT = "6222021234567890123"
CARD = "4111111111111111"
DEVICE = "device-4f1c-of-one-student"
ADDRESS = "203.0.113.77"


class OwnProcess:
    """``python -m payments serve`` with settings of its own; everything it says is kept."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PAYMENTS_DATA_DIR": str(folder / "data"),
            "PAYMENTS_LOG_LEVEL": "debug",
            **{name: text for name, text in os.environ.items() if name.startswith("COVERAGE")},
            **environ,
        }
        self.port = 0

    async def __aenter__(self) -> OwnProcess:
        self._log = (self.folder / "log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "payments", "serve", "--port", "0", cwd=self.folder, env=self.environ,
            stdout=asyncio.subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        found = re.search(rb":(\d+)$", line.strip())
        assert found, (self.folder / "log").read_text()
        self.port = int(found[1])
        self.keys = Keys(read_keys(self.folder / "data/secrets/internal_keys"))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self._process.wait(), 30) == 0
        self._log.close()

    @asynccontextmanager
    async def port_for(self, keys: Keys | None = None) -> AsyncIterator[PaymentsPort]:
        remote = RemotePayments(f"http://127.0.0.1:{self.port}", keys or self.keys)
        await remote.start()
        try:
            yield as_port(remote)
        finally:
            await remote.stop()

    def left_behind(self) -> Iterator[tuple[str, bytes]]:
        """Every file that the process wrote but its keys."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and "secrets" not in path.parts:
                yield str(path.relative_to(self.folder)), path.read_bytes()


class Codes:
    """Who sends messages to people: proves each post, and remembers the codes."""

    def __init__(self) -> None:
        self.keys: Keys | None = None
        self.heard: list[CodeToSend] = []
        self.status = 204

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert self.keys is not None
        gate = Gate(self.keys, lambda: datetime.now(UTC).timestamp() - 10)
        assert gate.fault_of(request.headers, "POST", request.path, body) is None
        self.heard.append(msgspec.json.decode(body, type=CodeToSend))
        return web.Response(status=self.status)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/codes", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/codes"
        await runner.cleanup()


async def _until_told(payments: PaymentsPort, kind: type[AnyEvent], intent_id: str) -> Any:
    for _ in range(500):
        for event in await payments.events(1000):
            if isinstance(event, kind) and event.intent_id == intent_id:
                return event
        await asyncio.sleep(0.02)
    raise AssertionError(f"{kind.__name__} of {intent_id} was not told")


def _intent(name: str, amount_fen: int = 1000, channel: str = "wechat", **more: Any) -> OpenIntent:
    return OpenIntent(
        id=f"open:{name}",
        intent_id=f"int_{name}",
        campus_id="nu",
        order_ref=f"ord_{name}",
        payer_ref=PAYER,
        amount_fen=amount_fen,
        description="errand",
        channels=(channel,),
        expires_at=datetime.now(UTC) + timedelta(minutes=15),
        device_id=DEVICE,
        ip=ADDRESS,
        **more,
    )


def _environ(house: House, merchant: Merchant, codes_url: str) -> dict[str, str]:
    wechat = {**house.settings()["wechat"], "notify_url": merchant.url, "trade_type": "jsapi", "sub_mchid": ""}
    fields = {name: text if isinstance(text, str) else json.dumps(text) for name, text in wechat.items()}
    return {
        "PAYMENTS_ENVIRONMENT": "simulator",
        "PAYMENTS_CHANNELS": "wechat,sandbox",
        "PAYMENTS_CODE_URL": codes_url,
        **{f"PAYMENTS_WECHAT_{name.upper()}": text for name, text in fields.items() if name != "environment"},
    }


async def test_money_is_taken_and_no_secret_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    folder = tmp_path / "own"
    folder.mkdir()
    codes, plan = Codes(), Plan(state=state_with_keys(tmp_path), options={"wechat": {}}, work_s=0.02, rate=100)
    async with running(plan) as house, merchant_server() as merchant, codes.served() as codes_url:
        environ = _environ(house, merchant, codes_url)
        async with OwnProcess(folder, environ) as process, process.port_for() as payments:
            codes.keys = process.keys
            await payments.entrust(PAYER, {"openid": OPENID, "card": CARD})
            await payments.entrust("run", {"bank_account": BANK_ACCOUNT})
            await payments.submit(_intent("a"))
            ready = await _until_told(payments, IntentReady, "int_a")
            attempt = (await payments.view("int_a")).attempts[0]  # type: ignore[union-attr]
            order = house.books.orders_of_number("wechat", attempt.attempt_id)[0]
            assert house.desk.pay(order, OPENID) == "paid"
            await until(lambda: merchant.heard, "the callback")
            headers, body = merchant.heard[0]
            spoiled = await payments.callback("wechat", headers, body.replace(b"resource", b"resourse", 1))
            assert spoiled.status >= 400
            assert (await payments.callback("wechat", headers, body)).status in (200, 204)
            assert (await _until_told(payments, Paid, "int_a")).amount_fen == 1000

            said.append(repr(await payments.timeline("ord_a")) + repr(ready) + repr(await payments.view("int_a")))
            said += await _go_wrong(process, payments, codes)
        left = dict(process.left_behind())
    assert {"log", "data/payments.db", "data/bank.db"} <= set(left) and b"payments of the simulator" in left["log"]
    hidden = _secrets(environ, process, codes)
    assert b"tok_" in left["data/payments.db"] and all(len(text) >= 8 for text in hidden.values())
    for name, text in hidden.items():
        for file, raw in left.items():
            assert text.encode() not in raw, f"{name} is in {file}"
        assert not [each for each in said if text in each], f"{name} was said"
        # What the test itself holds in its hands is no leak, so only records of the client are looked at.
        ours = [record.getMessage() for record in caplog.records if record.name.startswith(("payments", "aiohttp"))]
        assert not [line for line in ours if text in line], f"{name} was logged"


async def _go_wrong(process: OwnProcess, payments: PaymentsPort, codes: Codes) -> list[str]:
    """Everything that can be refused or fail with a secret in hand; what was said of it."""
    said: list[str] = []
    unknown = msgspec.structs.replace(_intent("b"), payer_ref="stranger", channels=("wechat",))
    await payments.submit(unknown)
    stranger = Keys({"k1": secrets.token_bytes(32)})
    async with process.port_for(stranger) as closed:
        for call in (closed.view("int_a"), closed.entrust("x", {"openid": OPENID}), closed.submit(_intent("z"))):
            with pytest.raises(PaymentsUnreachable) as turned_away:
                await call
            said.append(repr(turned_away.value))
    # A large sum from another device asks for a code, and is held.
    await payments.submit(msgspec.structs.replace(_intent("c", 15_000, "sandbox"), device_id="another " + DEVICE))
    judged = await _until_told(payments, RiskJudged, "int_c")
    assert (judged.code, judged.challenge) == ("new_device", "code")
    sent = await payments.ask_code(Act(kind="pay", account_ref=PAYER, amount_fen=15_000, target="int_c"))
    with pytest.raises(ChallengeFailed) as wrong:
        await payments.answer_challenge("int_c", f"{sent.code_id}:nonsense{CARD}")
    said.append(repr(wrong.value))
    assert (await payments.answer_challenge("int_c", f"{sent.code_id}:{codes.heard[0].code}")).decision == "allow"
    codes.status = 500
    with pytest.raises(PaymentsUnreachable) as unsent:
        await payments.ask_code(Act(kind="pay", account_ref=PAYER, amount_fen=1, target="int_c"))
    said.append(repr(unsent.value))
    for broken in ({"openid": ""}, {"bad kind": OPENID}, {"openid": OPENID * 100}):
        with pytest.raises(ValueError) as refused:
            await payments.entrust(PAYER, broken)
        said.append(repr(refused.value))
    with pytest.raises(ValueError) as another:
        await payments.submit(_intent("a", challenge_token=f"face of {OPENID}"))
    said.append(repr(another.value) + repr(_intent("a", challenge_token=OPENID)))
    said.append(repr(await payments.risk_cases("nu")))
    await _until_no_credential(payments, "int_b")
    said.append(repr(await payments.timeline("ord_b")))
    return said


async def _until_no_credential(payments: PaymentsPort, intent_id: str) -> None:
    for _ in range(500):
        view = await payments.view(intent_id)
        if view is not None and view.attempts and view.attempts[-1].state != "creating":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nothing was tried")


def _secrets(environ: dict[str, str], process: OwnProcess, codes: Codes) -> dict[str, str]:
    private = re.sub(r"-----[A-Z ]+-----|\\n|\s", "", environ["PAYMENTS_WECHAT_PRIVATE_KEY"])
    found = {
        "openid": OPENID,
        "bank account": BANK_ACCOUNT,
        "card": CARD,
        "device": DEVICE,
        "address": ADDRESS,
        "APIv3 key": environ["PAYMENTS_WECHAT_API_V3_KEY"],
        "private key": private[100:140],
    }
    for path in (process.folder / "data/secrets").iterdir():
        for key_id, key in read_keys(path).items():
            found[f"{path.name} {key_id}"] = key.hex()
    assert codes.heard and all(len(each.code) == 6 for each in codes.heard)
    assert all(each.code not in repr(each) for each in codes.heard)
    return found


# -- codes are handed over ----------------------------------------------------------------------------------------


async def test_a_code_that_nobody_takes_over_is_a_fault_that_does_not_say_it(free_port: int) -> None:
    keys = Keys({"k1": b"k" * 32})
    with pytest.raises(CodeNotSent, match="ClientConnector") as caught:
        await CodePost(f"http://127.0.0.1:{free_port}", keys)(Act(kind="pay", account_ref="a"), "123456")
    assert "123456" not in repr(caught.value)


# -- the command line ---------------------------------------------------------------------------------------------


def test_wrong_settings_stop_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAYMENTS_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["--host", "0.0.0.0"]) == 2
    assert "needs PAYMENTS_TLS_CERT" in capsys.readouterr().err
    monkeypatch.setenv("PAYMENTS_CHANNELS", "cowries")
    assert main([]) == 2 and vault_main(["rotate"]) == 2
    assert "no such channel" in capsys.readouterr().err


def test_keys_of_the_vault_are_rotated_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from payments.assembly import assemble
    from payments.settings import read_settings

    monkeypatch.setenv("PAYMENTS_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = read_settings(env_file=None)

    async def entrust() -> None:
        payments = assemble(settings)
        await payments.migrate()
        await payments.entrust("a", {"openid": OPENID})
        await payments.stop()

    asyncio.run(entrust())
    with settings.key_file("vault_keys").open("a") as file:
        file.write(f"k2 {'55' * 32}\n")
    assert vault_main(["keys"]) == 0
    assert "k1: 1" in capsys.readouterr().out
    assert vault_main(["rotate"]) == 0
    shown = capsys.readouterr().out
    assert "sealed anew" in shown and "k2: 1" in shown and "k1:" not in shown

    async def reveal() -> None:
        payments = assemble(settings)
        await payments.migrate()
        assert await payments.reveal("a", ("openid",)) == {"openid": OPENID}
        await payments.stop()

    asyncio.run(reveal())
