"""The command as people use it: its help, its mistakes, and a kill in the middle of things."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from dotenv import dotenv_values

from payments.channel_settings import read_channel
from payments.channels.china import BEIJING
from payments.channels.wechat import WechatChannel
from payments.channels.wechat_config import read_keys
from payments.money import Fen
from payments.outcomes import OrderToCreate
from payments.settings import read_settings
from payments.simulator.__main__ import as_variables, main, parser, plan_of, write_private
from payments.simulator.faults import FAULTS, Fault
from payments.simulator.house import Plan
from payments.simulator.people import Habits
from tests.simulator_house import merchant_server, running, state_with_keys, until

STARTED = "page and first domain"


def test_help_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"  {name} " in said for name in FAULTS)
    assert "--fault 'delay op=create p=0.1 ms=1500'" in said


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--fault", "explode"], "there is no fault 'explode'"),
        (["--faults", "/nowhere/at/all.json"], "all.json"),
        (["--channels", "wechat,paypal"], "there is no channel 'paypal'"),
        (["--option", "wechat"], "expected CHANNEL.NAME=VALUE"),
        (["--option", "wechat.colour=red"], "split_permille"),
        (["--students", "2"], "--students: from 0 to 1"),
        (["--think", "long"], "--think: seconds"),
        (["--port", "70000"], "a port is from 0 to 65535"),
        (["--rate", "0"], "a rate is above 0"),
        (["--calendar-start", "noon"], "a time of the day, as 10:30"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--port", "0", *arguments])
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


def test_the_command_line_makes_a_plan(tmp_path: Path) -> None:
    listed = tmp_path / "faults.json"
    listed.write_text('[{"fault": "drop_after", "count": 2}]')
    given = parser().parse_args(
        f"--port 9001 --channels wechat --rate 60 --seed 7 --students 0.5 --think 1-2 --fault error --faults {listed}"
        " --option wechat.split_permille=1000 --option wechat.sign_with=certificate --calendar-rate 5".split()
    )
    assert plan_of(given) == Plan(
        channels=("wechat",),
        port=9001,
        backup_port=9002,
        seed=7,
        rate=60,
        calendar_rate=5,
        faults=[Fault(fault="error"), Fault(fault="drop_after", count=2)],
        habits=Habits(pay_share=0.5, think_s=(1, 2)),
        options={"wechat": {"split_permille": "1000", "sign_with": "certificate"}},
    )
    assert plan_of(parser().parse_args(["--port", "0", "--think", "3"])).backup_port == 0
    assert plan_of(parser().parse_args(["--backup-port", "7"])).backup_port == 7
    assert plan_of(parser().parse_args([])).faults is None


async def test_what_it_writes_is_all_that_payments_need(tmp_path: Path) -> None:
    """Every channel is legal and offered, and the first one can be paid at a desktop."""
    given = parser().parse_args(["--port", "0", "--calendar-start", "10:30"])
    plan = msgspec.structs.replace(plan_of(given), state=state_with_keys(tmp_path))
    async with running(plan) as house:
        assert house.clock.now().astimezone(BEIJING).strftime("%H:%M") == "10:30"
        env = tmp_path / "payments.env"
        write_private(env, as_variables(house.settings(), given.notify))
        settings = read_settings({"PAYMENTS_DATA_DIR": str(tmp_path / "data")}, env)
    assert [each.code for each in settings.channels] == list(plan.channels) and len(plan.channels) == 5
    by_code = {each.code: each.config for each in settings.channels}
    assert by_code["wechat"].trade_type == "native"
    assert by_code["wechat"].notify_url == "http://127.0.0.1:8888/api/v1/payments/callbacks/wechat"
    assert {getattr(config, "parts_paid_by", "") for config in by_code.values()} == {"", "merchant"}


async def test_a_state_that_another_simulator_uses_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = state_with_keys(tmp_path)
    async with running(Plan(state=state)):
        status = await asyncio.to_thread(main, ["--port", "0", "--state", str(state)])
    assert status == 1
    assert f"another simulator uses {state}: end it" in capsys.readouterr().err


async def test_a_taken_port_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(Plan(state=state_with_keys(tmp_path))) as house:
        port = house.base_url.rpartition(":")[2]
        status = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "payments.simulator", "--port", port, "--backup-port", "0"],
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert status.returncode == 1
    assert f"port {port} is taken" in status.stderr
    assert "Traceback" not in status.stderr


class Command:
    """The simulator as a process of its own."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "payments.simulator", "--port", "0", "--state", str(state), *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line)
            if STARTED in line:
                self.url = line.split()[-1]
            if line.startswith("What the merchant"):
                break

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def commands() -> Iterator[list[Command]]:
    begun: list[Command] = []
    yield begun
    for command in begun:
        if command.process.poll() is None:
            command.end(signal.SIGKILL)


async def test_a_kill_loses_nothing_that_was_said(tmp_path: Path, commands: list[Command]) -> None:
    state, settings = state_with_keys(tmp_path), tmp_path / "settings.json"
    async with merchant_server() as merchant:
        written = ("--settings", str(settings), "--env", str(tmp_path / "payments.env"), "--notify", merchant.url)
        first = await asyncio.to_thread(Command, state, *written, "--students", "1", "--think", "0")
        commands.append(first)
        given = json.loads(settings.read_bytes())["wechat"]
        assert stat.S_IMODE(os.stat(settings).st_mode) == 0o600
        assert given["base_url"] == first.url
        told = {name: value or "" for name, value in dotenv_values(tmp_path / "payments.env").items()}
        channel, wrong = read_channel("wechat", told, told["PAYMENTS_ENVIRONMENT"])
        assert channel is not None and not wrong
        read_keys(channel.config)
        native = WechatChannel(msgspec.structs.replace(channel.config, trade_type="native"))
        await native.start()
        order = OrderToCreate(
            attempt_id="ATTEMPT1",
            amount_fen=Fen(1000),
            description="奶茶",
            order_ref="order_1",
            payer_ref="account_1",
            expires_at=datetime.now(UTC) + timedelta(minutes=15),
        )
        await native.create_credential(order)
        await until(lambda: merchant.heard, "the callback of a student's payment")
        await asyncio.to_thread(first.end, signal.SIGKILL)
        await native.stop()
    second = await asyncio.to_thread(Command, state, *written)
    commands.append(second)
    books = await asyncio.to_thread(second.ask, "/admin/books")
    assert [(o["number"], o["times_charged"], o["paid_fen"]) for o in books["orders"]] == [("ATTEMPT1", 1, 1000)]
    began = time.monotonic()
    assert await asyncio.to_thread(second.end, signal.SIGTERM) == 0
    assert time.monotonic() - began < 10
