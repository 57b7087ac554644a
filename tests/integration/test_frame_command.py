"""The `dispatch` command from the outside: help, wrong settings, wrong use."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from dispatch import __version__
from dispatch.__main__ import ACTS, main
from dispatch.command_line import command_line
from dispatch.flow.sign_in import exchange_link
from dispatch.model.requests import ExchangeLink
from dispatch.parts import open_parts
from dispatch.settings import read_settings
from payments.channels.sandbox_books import OrderNotTaken
from payments.outcomes import OrderToCreate


def run(*arguments: str, cwd: object = None, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("DISPATCH_")}
    command = [sys.executable, "-m", "dispatch", *arguments]
    root = os.getcwd()
    return subprocess.run(
        command, cwd=cwd, env={**clean, "PYTHONPATH": root, **environ}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_help_names_every_command_and_no_internal_one(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    for command in ("serve", "demo", "campus", "admin", "link", "sandbox", "migrate", "doctor", "load-accounts"):
        assert f"\n    {command}" in shown
    assert "worker" not in shown
    assert "demo-setup" not in shown


@pytest.mark.parametrize("command", [["serve"], ["demo"], ["campus", "import"], ["admin", "create"], ["doctor"]])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    assert "usage: dispatch" in capsys.readouterr().out


def commands_of(parser: argparse.ArgumentParser) -> set[str]:
    below = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        return {parser.get_default("command")}
    return {name for choices in below for command in choices.values() for name in commands_of(command)}


def test_every_command_of_the_command_line_does_something_and_nothing_else_is_done():
    assert commands_of(command_line()) == set(ACTS)


def test_the_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"dispatch {__version__}\n"


def test_a_wrong_setting_stops_the_start_and_is_named(tmp_path):
    done = run("serve", "--port", "many", cwd=tmp_path, DISPATCH_WORKER="2")
    assert done.returncode == 2
    assert "DISPATCH_PORT='many': must be a whole number from 0 to 65535" in done.stderr
    assert "DISPATCH_WORKER: there is no such setting; did you mean DISPATCH_WORKERS?" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_env_file_of_the_folder_is_read(tmp_path):
    (tmp_path / ".env").write_text("DISPATCH_PORT=many\n")
    done = run("serve", cwd=tmp_path)
    assert done.returncode == 2
    assert "DISPATCH_PORT='many'" in done.stderr


def test_the_demo_does_not_empty_a_folder_that_it_did_not_make(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    done = run("demo", "--data-dir", str(tmp_path), "--seconds", "1")
    assert done.returncode == 1
    assert "holds something that no demo made" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_the_demo_wants_a_certificate_with_its_key(tmp_path):
    done = run("demo", "--lan", "--tls-cert", "cert.pem", cwd=tmp_path)
    assert done.returncode == 2
    assert "or neither" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["campus", "import", "x.osm", "--name", "X", "--timezone", "Nonsense"],
            "--timezone: 'Nonsense' must be a time",
        ),
        (["campus", "import", "x.osm", "--name", "X", "--timezone", "America"], "--timezone: 'America' must be a time"),
        (["campus", "import", "x.osm", "--name", " "], "--name: ' ' must be a name"),
        (["admin", "create", "--phone", "abc", "--name", "X"], "--phone: 'abc' must be a phone number"),
        (["admin", "create", "--phone", "123", "--name", "X"], "--phone: '123' must be a phone number"),
        (["admin", "create", "--phone", "13800000000", "--name", ""], "--name: '' must be a name"),
    ],
)
def test_a_wrong_flag_is_refused_by_name(words, says, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert says in capsys.readouterr().err


def test_no_command_shows_how_it_is_used():
    done = run()
    assert done.returncode == 2
    assert "usage: dispatch" in done.stderr


def test_a_campus_of_a_real_map_and_its_first_administrator(tmp_path, campus_data):
    told = {"DISPATCH_DATA_DIR": str(tmp_path / "data")}
    osm = campus_data / "osm_campus" / "nu_campus.osm.gz"
    made = run("campus", "import", str(osm), "--name", "Lakeside", "--timezone", "America/Chicago", **told)
    assert made.returncode == 0, made.stderr
    campus_id = made.stdout.split()[0]
    assert run("campus", "list", **told).stdout == f"{campus_id}  Lakeside\n"
    shown = run("campus", "show", "Lakeside", **told).stdout
    assert "America/Chicago" in shown
    assert "buildings" in shown
    created = run("admin", "create", "--phone", "13800000001", "--name", "Root", **told)
    assert created.returncode == 0, created.stderr
    assert "http://127.0.0.1:8888/console#code=" in created.stdout
    again = run("admin", "create", "--phone", "13800000001", "--name", "Root", "--campus", "nowhere", **told)
    assert again.returncode == 1
    assert "there is no campus 'nowhere'" in again.stderr
    plan = tmp_path / "plan.json"
    loaded = run("load-accounts", "--students", "2", "--runners", "1", "--plan", str(plan), **told)
    assert loaded.returncode == 0, loaded.stderr
    assert plan.stat().st_mode & 0o077 == 0
    assert run("migrate", **told).stdout == "the databases are up to date\n"
    data_dir = tmp_path / "data"
    found = [data_dir, *data_dir.glob("*.db"), *(data_dir / "secrets").iterdir()]
    assert len(found) >= 8
    assert [path for path in found if path.stat().st_mode & 0o077] == [], "nobody else reads people, money or secrets"


def test_a_reader_that_has_seen_enough_is_no_fault(told):
    environ = {name: text for name, text in os.environ.items() if not name.startswith("DISPATCH_")} | told
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "dispatch", "campus", "list"]
    done = subprocess.run(
        command, env=environ, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=30, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a server that has the made-up campus."""
    told = {"DISPATCH_DATA_DIR": str(tmp_path_factory.mktemp("told") / "data")}
    made = run("campus", "demo", "--name", "Lakeside", **told)
    assert made.returncode == 0 and made.stdout.endswith("  Lakeside\n"), made.stderr
    return told


def test_a_link_opens_a_session_of_an_account_that_exists(told):
    assert run("admin", "create", "--phone", "13800000001", "--name", "Root", **told).returncode == 0
    unknown = run("link", "--phone", "13800000002", **told)
    assert unknown.returncode == 1 and "no account has this phone" in unknown.stderr
    elsewhere = run("link", "--phone", "13800000001", "--campus", "nowhere", **told)
    assert elsewhere.returncode == 1 and "there is no campus 'nowhere'" in elsewhere.stderr
    linked = run("link", "--phone", "+8613800000001", "--campus", "Lakeside", **told)
    assert linked.returncode == 0, linked.stderr
    code = re.search(r"http://127\.0\.0\.1:8888/console#code=(\S+)", linked.stdout)[1]
    settings = read_settings(told, env_file=None)

    async def exchange() -> str:
        async with open_parts(settings, "test", announce=lambda: None) as parts:
            return (await exchange_link(parts.ctx, ExchangeLink(code=code))).account.name

    assert asyncio.run(exchange()) == "Root"


def test_the_sandbox_misbehaves_as_the_command_line_says(told):
    def sandbox(*words: str) -> str:
        done = run("sandbox", *words, **told)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert sandbox("list") == "no fault waits\n"
    sandbox("script", "declined", "--all", "--channel", "sandbox")
    sandbox("script", "late", "--all", "--count", "2", "--value", "60")
    waiting = "declined x 1  order *  channel sandbox\nlate=60 x 2  order *  channel *\n"
    assert sandbox("list") == waiting
    settings = read_settings(told, env_file=None)
    order = OrderToCreate(
        attempt_id="ATT", amount_fen=500, description="parcel", order_ref="ORD", payer_ref="P",
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )  # fmt: skip

    async def create() -> None:
        async with open_parts(settings, "test", announce=lambda: None) as parts:
            bank = parts.paying.bank
            assert bank is not None
            with pytest.raises(OrderNotTaken, match="declined"):
                await bank.create("sandbox", order)

    asyncio.run(create())
    assert sandbox("list") == "late=60 x 2  order *  channel *\n"
    assert sandbox("clear") == sandbox("list") == "no fault waits\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["script", "clumsy", "--all"], 2, "FAULT: 'clumsy' must be slow, declined"),
        (["script", "slow"], 2, "one of the arguments --order --all is required"),
        (["script", "slow", "--all", "--count", "0"], 2, "--count: '0' must be a whole number from 1 to 1000"),
        (["script", "slow", "--all", "--channel", "gold"], 1, "no such channel: there are sandbox, sandbox_backup"),
        (["script", "slow", "--order", "ord_1"], 1, "there is no order 'ord_1'"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(told, words, code, says):
    done = run("sandbox", *words, **told)
    assert done.returncode == code
    assert says in done.stderr


@pytest.mark.parametrize(
    ("file", "text"),
    [("missing.osm", None), ("broken.osm", "<osm><node"), ("empty.geojson", "{}"), ("plain.json", "not json")],
)
def test_a_map_that_is_none_is_refused_in_a_sentence(tmp_path, file, text):
    if text is not None:
        (tmp_path / file).write_text(text)
    done = run("campus", "import", str(tmp_path / file), "--name", "X", DISPATCH_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("dispatch")
    assert "Traceback" not in done.stderr
