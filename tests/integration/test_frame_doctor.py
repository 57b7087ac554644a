"""The doctor on sound and unsound set-ups."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from dispatch import doctor
from dispatch.certificate import make_certificate
from dispatch.doctor import Finding, Level, examine, show
from dispatch.keys import load_secrets, prepare_data_dir
from dispatch.parts import store_of
from dispatch.settings import read_settings
from tests.nginx_proxy import nginx_before


def settings_of(tmp_path, **environ):
    told = {"DISPATCH_DATA_DIR": str(tmp_path / "data"), **environ}
    return read_settings(told, env_file=None)


async def findings_of(settings) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for each in await examine(settings):
        found.setdefault(each.check, []).append(each)
    return found


def set_up(settings) -> None:
    prepare_data_dir(settings)
    store_of(settings, load_secrets(settings), settings.clock()).migrate()


async def test_a_fresh_machine_has_no_failure_but_what_it_lacks_is_told(tmp_path, free_port):
    found = await findings_of(settings_of(tmp_path, DISPATCH_PORT=str(free_port)))
    assert found["redis"][0].text.startswith("the server will start a private one")
    assert found["upgrade"][0].level is Level.WARN
    assert "start the server" in found["upgrade"][0].advice
    assert found["sms"][0] == Finding("sms", Level.WARN, "nobody sends text messages", found["sms"][0].advice)
    assert found["channels"][0].level is Level.WARN
    for check in ("sql", "clock", "disk", "secrets"):
        assert {each.level for each in found[check]} == {Level.OK}, found[check]


async def test_real_servers_are_looked_at(tmp_path, redis_url, postgres_url):
    settings = settings_of(tmp_path, REDIS_URL=redis_url, DATABASE_URL=postgres_url)
    set_up(settings)
    found = await findings_of(settings)
    assert re.fullmatch(r"version \d+\.\d+\.\d+, answers in [\d.]+ ms", found["redis"][0].text)
    assert "orders: tables are at version" in found["sql"][0].text
    assert "payments: answers in" in found["sql"][1].text
    assert [each.text.split(" to ")[0] for each in found["clock"]] == ["agrees with Redis", "agrees with PostgreSQL"]


async def test_a_database_of_another_version_is_told(tmp_path):
    settings = settings_of(tmp_path)
    prepare_data_dir(settings)
    load_secrets(settings)
    (tmp_path / "data" / "dispatch.db").touch()
    found = await findings_of(settings)
    assert found["sql"][0].level is Level.WARN
    assert "dispatch migrate" in found["sql"][0].advice


def test_a_database_of_a_newer_program_is_a_failure():
    assert doctor._version_finding("orders", 9, 8).level is Level.FAIL


async def test_servers_that_do_not_answer_are_failures_with_advice(tmp_path, free_port):
    settings = settings_of(
        tmp_path,
        REDIS_URL=f"redis://127.0.0.1:{free_port}",
        DATABASE_URL=f"postgresql://me:geheim@127.0.0.1:{free_port}/x",
    )
    prepare_data_dir(settings)
    found = await findings_of(settings)
    assert found["redis"][0].level is Level.FAIL
    assert "REDIS_URL" in found["redis"][0].advice
    assert found["sql"][0].level is Level.FAIL
    assert "geheim" not in str(found)


async def test_open_secrets_are_a_failure(tmp_path):
    settings = settings_of(tmp_path)
    set_up(settings)
    path = tmp_path / "data" / "secrets" / "token_key"
    path.chmod(0o640)
    found = await findings_of(settings)
    assert found["secrets"] == [
        Finding("secrets", Level.FAIL, f"{path} is open to other users", f"chmod 600 {path}"),
    ]


async def test_a_scaled_clock_is_told(tmp_path):
    found = await findings_of(settings_of(tmp_path, DISPATCH_TIME_SCALE="15"))
    assert found["clock"][0].text == "business time runs 15 times as fast"


@pytest.mark.parametrize(
    ("age_days", "level"), [(0, Level.OK), (390, Level.WARN), (500, Level.FAIL)], ids=["new", "soon", "expired"]
)
async def test_a_certificate_s_end_is_told_before_it_comes(tmp_path, age_days, level, free_port):
    cert, key = make_certificate(tmp_path, [], datetime.now(UTC) - timedelta(days=age_days))
    settings = settings_of(
        tmp_path, DISPATCH_TLS_CERT=str(cert), DISPATCH_TLS_KEY=str(key), DISPATCH_PORT=str(free_port)
    )
    assert (await findings_of(settings))["tls"][0].level is level


async def test_a_proxy_s_tls_is_enough(tmp_path, free_port):
    settings = settings_of(tmp_path, DISPATCH_PUBLIC_URL=f"https://127.0.0.1:{free_port}")
    assert (await findings_of(settings))["tls"][0].level is Level.OK


@pytest.mark.parametrize(
    ("environ", "level"),
    [
        ({"DISPATCH_SMS": "print", "DISPATCH_DEMO": "1"}, Level.WARN),
        (
            {
                "DISPATCH_SMS": "aliyun",
                "DISPATCH_SMS_URL": "https://sms.example",
                "DISPATCH_SMS_ACCESS_KEY_ID": "id",
                "DISPATCH_SMS_ACCESS_KEY_SECRET_FILE": __file__,
                "DISPATCH_SMS_SIGN_NAME": "campus",
                "DISPATCH_SMS_CODE_TEMPLATE": "t1",
            },
            Level.OK,
        ),
    ],
    ids=["printed", "sent"],
)
async def test_text_messages(tmp_path, environ, level):
    assert (await findings_of(settings_of(tmp_path, **environ)))["sms"][0].level is level


async def test_a_little_disk_is_told(tmp_path, monkeypatch):
    for free_gib, level in ((0.1, Level.FAIL), (1, Level.WARN), (50, Level.OK)):
        sizes = shutil.disk_usage(tmp_path)._replace(free=int(free_gib * doctor.GIB))
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path, sizes=sizes: sizes)
        assert (await findings_of(settings_of(tmp_path)))["disk"][0].level is level


async def test_pages_that_are_not_built_are_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "STATIC", tmp_path)
    assert (await findings_of(settings_of(tmp_path)))["pages"][0].level is Level.FAIL


# --- the way through a proxy ------------------------------------------------------------------------------------------


async def upgrading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The server's side of an opening handshake, and nothing more."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    asked = {name.lower(): said.strip() for name, _, said in (line.partition(":") for line in head.splitlines()[1:])}
    if asked.get("upgrade") == "websocket" and "upgrade" in asked.get("connection", "").lower():
        accept = hashlib.sha1((asked["sec-websocket-key"] + doctor.WEBSOCKET_GUID).encode()).digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n"
        )
    else:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("without", "level"),
    [("", Level.OK), ("proxy_set_header Upgrade", Level.FAIL)],
    ids=["as documented", "upgrade forgotten"],
)
async def test_the_upgrade_through_nginx(tmp_path, free_port, without, level):
    backend = await asyncio.start_server(upgrading, "127.0.0.1", 0)
    async with nginx_before(backend.sockets[0].getsockname()[1], tmp_path, free_port, without) as url:
        (finding,) = (await findings_of(settings_of(tmp_path, DISPATCH_PUBLIC_URL=url)))["upgrade"]
    assert finding.level is level, finding
    if level is Level.FAIL:
        assert "answers 400 where 101 belongs" in finding.text
        assert "nginx.conf" in finding.advice
    backend.close()


# --- what is printed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "code"), [(Level.OK, 0), (Level.WARN, 0), (Level.FAIL, 1)])
def test_only_a_failure_fails(level, code, capsys):
    assert show([Finding("disk", level, "text", "advice" if code else "")]) == code
    shown = capsys.readouterr().out
    assert shown.startswith(f"{level:<5} disk")
    assert ("→ advice" in shown) is bool(code)


def test_the_command_prints_json(tmp_path):
    command = [sys.executable, "-m", "dispatch", "doctor", "--json", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert {each["check"] for each in json.loads(done.stdout)} >= {"redis", "sql", "upgrade", "clock", "disk", "pages"}
