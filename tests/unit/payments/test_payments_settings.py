"""Payments' settings: every kind of channel from variables, what cannot be is named, and no secret is ever said."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from payments.__main__ import main as payments_command
from payments.assembly import assemble, certificates_of, guards_of, utc_now, vault_of
from payments.channel_settings import KINDS, config_type, field_names, kind_of
from payments.key_files import make_keys, read_keys, read_secret
from payments.port import OpenIntent, Release
from payments.settings import Settings, SettingsError, read_settings, setting_fields
from tests.payments_keys import certificate, pem
from tests.payments_variables import API_KEY, PASSWORD, live, simulated, write_key


def faults(told: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(told, env_file=None)
    text = str(caught.value)
    for hidden in (API_KEY, PASSWORD, "PRIVATE KEY", "22" * 32, "cards of the campus"):
        assert hidden not in text
    return text


def test_every_kind_of_channel_is_read(secret: Path) -> None:
    settings = read_settings(simulated(secret), env_file=None)
    by_code = {channel.code: channel for channel in settings.channels}
    assert list(by_code) == list(settings.channel_names)
    assert by_code["wechat_native"].config.trade_type == "native"
    assert by_code["wechat_native"].config.mchid == by_code["wechat"].config.mchid
    assert by_code["wechat_native"].config.code == "wechat_native"
    assert by_code["edupay"].config.merchant.code == "edupay"
    assert by_code["alipay"].config.accounts == {"nu": "2088000000000001"}
    assert by_code["alipay"].config.limit_fen == 100_000
    assert by_code["alipay"].config.disabled_pay_channels == ("creditCard", "pcredit")
    assert by_code["sandbox"].config is None
    assert all(API_KEY not in repr(each) for each in settings.channels)
    assert {each.name for each in certificates_of(settings.channels)} == {
        "wechat",
        "wechat_native",
        "edupay",
        "unionpay",
    }


async def test_channels_are_assembled_as_they_are_set_up(secret: Path, tmp_path: Path) -> None:
    told = simulated(secret) | {"PAYMENTS_DATA_DIR": str(tmp_path / "data")}
    payments = assemble(read_settings(told, env_file=None))
    codes = [channel.code for channel in payments.channels()]
    assert codes == told["PAYMENTS_CHANNELS"].split(",")
    await payments.migrate()
    assert await payments.first_written("nothing") is None
    await payments.entrust("run", {"openid": "o1", "name": "n"})
    assert await payments.find_account("run") == {"openid": "o1", "name": "n"}
    for channel in payments._channels.values():
        await channel.stop()
    await payments.stop()


async def test_what_channels_ask_of_the_books_is_answered(tmp_path: Path) -> None:
    payments = assemble(read_settings({"PAYMENTS_DATA_DIR": str(tmp_path)}, env_file=None))
    await payments.start()
    at = utc_now()
    await payments.submit(
        OpenIntent(
            id="open", intent_id="int_a", campus_id="nu", order_ref="ord_a", payer_ref="p", amount_fen=500,
            description="", channels=("sandbox",), expires_at=at + timedelta(minutes=5),
        )
    )  # fmt: skip
    while await payments.work():
        pass
    view = await payments.view("int_a")
    assert view is not None and view.credential is not None and payments.bank is not None
    written = await payments.first_written(view.attempts[0].attempt_id)
    assert written is not None and written >= at
    assert await payments.bank.pay(view.credential["token"]) == "paid"
    await payments.submit(Release(id="release", intent_id="int_a", reason="x"))
    [order] = await payments._store.read(lambda uow: uow.instructions.of("int_a"))
    assert await payments.first_written(order.id) == order.created_at
    await payments.stop()


async def test_live_payments_have_neither_a_bank_nor_a_demonstration_of_faces(secret: Path) -> None:
    settings = read_settings(live(secret, PAYMENTS_CHANNELS="wechat"), env_file=None)
    assert guards_of(settings).face is None
    payments = assemble(settings)
    await payments.migrate()
    assert payments.bank is None
    await payments.entrust("run", {"openid": "o1"})
    for channel in payments._channels.values():
        assert await channel._money._find_account("run") == {"openid": "o1"}  # type: ignore[attr-defined]
        await channel.stop()
    await payments.stop()


def test_without_settings_the_sandbox_is_set_up(tmp_path: Path) -> None:
    settings = read_settings({"PAYMENTS_DATA_DIR": str(tmp_path / "new")}, env_file=None)
    assert settings.environment == "sandbox" and [each.code for each in settings.channels] == list(
        settings.channel_names
    )
    assert settings.effective_database_url == f"sqlite:///{tmp_path}/new/payments.db"
    keys = settings.keys("vault_keys")
    assert keys == settings.keys("vault_keys") and len(keys["k1"]) == 32
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    assert (tmp_path / "new/secrets/vault_keys").stat().st_mode & 0o077 == 0


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("PAYMENTS_PORT=1\nPAYMENTS_LOG_LEVEL=debug\nOTHER\n")
    settings = read_settings({"PAYMENTS_PORT": "2"}, env_file=env_file)
    assert (settings.port, settings.log_level) == (2, "debug")
    assert read_settings({}, env_file=tmp_path / "none").port == 8890


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"PAYMENTS_WECHAT_BASE_URL": "http://127.0.0.1:9700"}, "PAYMENTS_WECHAT_BASE_URL"),
        ({"PAYMENTS_WECHAT_NOTIFY_URL": "http://errands.example.org/x"}, "PAYMENTS_WECHAT_NOTIFY_URL"),
        ({"PAYMENTS_WECHAT_ALGORITHM": "guess"}, "PAYMENTS_WECHAT_ALGORITHM"),
        ({"PAYMENTS_WECHAT_ENVIRONMENT": "simulator"}, "PAYMENTS_WECHAT"),
        ({"PAYMENTS_WECHAT_PRIVATE_KEY": "keys/wechat.pem"}, "PAYMENTS_WECHAT_PRIVATE_KEY: .*absolute"),
        ({"PAYMENTS_WECHAT_PRIVATE_KEY": "/no/such/file.pem"}, "PAYMENTS_WECHAT_PRIVATE_KEY"),
        ({"PAYMENTS_WECHAT_SERIAL_NO": "00AA00AA"}, "PAYMENTS_WECHAT_SERIAL_NO"),
        ({"PAYMENTS_WECHAT_LIMIT_FEN": "plenty"}, "PAYMENTS_WECHAT_LIMIT_FEN: is not what it must be"),
        ({"PAYMENTS_WECHAT_API_V3_KEY_FILE": "relative"}, "PAYMENTS_WECHAT_API_V3_KEY_FILE: must be an absolute path"),
        ({"PAYMENTS_WECHAT_MCHD": "1"}, "did you mean PAYMENTS_WECHAT_MCHID"),
        ({"PAYMENTS_NONSENSE": "1"}, "there is no such setting"),
        ({"PAYMENTS_LOG_LEVEL": "debug"}, "debugging"),
        ({"PAYMENTS_LOG_LEVEL": "loud"}, "must be debug, info, warning or error"),
        ({"PAYMENTS_VAULT_KEYS_FILE": ""}, "must be named in live"),
        ({"PAYMENTS_CHANNELS": "wechat,sandbox"}, "sandbox is of the sandbox environment"),
        ({"PAYMENTS_CHANNELS": "cowries"}, "no such channel"),
        ({"PAYMENTS_CHANNELS": "wechat,wechat"}, "each once"),
        ({"PAYMENTS_ENVIRONMENT": "test"}, "must be live, sandbox or simulator"),
        ({"PAYMENTS_HOST": "0.0.0.0"}, "PAYMENTS_HOST=0.0.0.0: needs"),
        ({"PAYMENTS_PORT": "70000"}, "65535"),
        ({"PAYMENTS_TLS_CERT": "/x"}, "both or neither"),
        ({"PAYMENTS_TLS_CERT": "/x", "PAYMENTS_TLS_KEY": "/no/key"}, "PAYMENTS_TLS_KEY: cannot be read"),
        ({"PAYMENTS_DATABASE_URL": "mysql://x"}, "PAYMENTS_DATABASE_URL: must be"),
        ({"PAYMENTS_WEBHOOK_URL": "https://a.example.org"}, "both or neither"),
        ({"PAYMENTS_CODE_URL": "http://a.example.org"}, "must be https"),
        ({"PAYMENTS_CODE_URL": "nowhere"}, "must be an address"),
        ({"PAYMENTS_RISK_RULES_FILE": "/no/rules"}, "PAYMENTS_RISK_RULES_FILE"),
        ({"PAYMENTS_SECOND_FACTOR": '{"withdraw": 3}'}, "PAYMENTS_SECOND_FACTOR"),
        ({"PAYMENTS_INTERNAL_KEYS_FILE": "/no/keys"}, "PAYMENTS_INTERNAL_KEYS_FILE: cannot be read"),
    ],
)
def test_what_cannot_be_is_named(secret: Path, change: dict[str, str], fault: str) -> None:
    assert re.search(fault, faults(live(secret, **change)))


def test_a_live_start_needs_nothing_more(secret: Path) -> None:
    settings = read_settings(live(secret), env_file=None)
    assert settings.is_live and vault_of(settings).current == "v2"
    assert settings.channels[0].config.api_v3_key == API_KEY
    assert repr(settings) == "Settings(live, wechat)"


def test_all_faults_are_told_at_once(secret: Path) -> None:
    text = faults({"PAYMENTS_CHANNELS": "wechat", "PAYMENTS_PORT": "x", "PAYMENTS_WECHAT_MCHID": "1"})
    assert len(text.splitlines()) >= 6


def test_faults_of_channels_and_of_settings_come_together(secret: Path) -> None:
    text = faults(
        live(
            secret,
            PAYMENTS_WECHAT_TRADE_TYPE="22" * 32,
            PAYMENTS_VAULT_KEYS_FILE="",
            PAYMENTS_HOST="0.0.0.0",
            PAYMENTS_TLS_CERT="relative.pem",
        )
    )
    assert "PAYMENTS_WECHAT_TRADE_TYPE: must be one of jsapi, native, h5, app" in text
    assert "PAYMENTS_VAULT_KEYS_FILE: must be named in live" in text
    assert "PAYMENTS_TLS_CERT: must be an absolute path" in text
    # What only follows from the certificate's path is not held against anybody.
    assert len(text.splitlines()) == 3


@pytest.mark.parametrize("command", ["serve", "doctor", "vault rotate", "reconcile --channel sandbox"])
def test_a_file_of_settings_that_is_named_has_to_be_there(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAYMENTS_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(SystemExit) as end:
        payments_command([*command.split(), "--env-file", "/nope"])
    assert end.value.code == 2 and "no such file: /nope" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_keys_that_others_could_read_are_refused(secret: Path) -> None:
    (secret / "wechat.pem").chmod(0o644)
    assert "PAYMENTS_WECHAT_PRIVATE_KEY: is open to other users: chmod 600" in faults(live(secret))
    (secret / "wechat.pem").chmod(0o600)
    (secret / "vault").chmod(0o640)
    assert "PAYMENTS_VAULT_KEYS_FILE: is open to other users" in faults(live(secret))


def test_a_certificate_that_ended_stops_the_start(secret: Path) -> None:
    ended = certificate("merchant", "wechat", "1900000109", begins=datetime.now(UTC) - timedelta(days=100), days=99)
    assert "PAYMENTS_WECHAT_CERTIFICATE: expired" in faults(live(secret, PAYMENTS_WECHAT_CERTIFICATE=pem(ended)))


def test_debugging_is_not_for_live(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    assert "debugging" in faults(live(secret))


def test_kinds_and_fields() -> None:
    assert kind_of("wechat_h5") == "wechat" and kind_of("campus_card_east") == "campus_card"
    assert config_type("sandbox") is None and field_names("sandbox") == set()
    assert {"MCHID", "SCHOOL_ID"} <= field_names("edupay")
    assert {variable for variable, _, _ in setting_fields()} >= {"PAYMENTS_ENVIRONMENT", "PAYMENTS_CHANNELS"}
    assert set(KINDS) == {"wechat", "edupay", "alipay", "unionpay", "campus_card", "sandbox"}
    assert Settings().port == 8890


@pytest.mark.parametrize(
    "text", ["", "k1", "k1 zz", f"k1 {'00' * 16}", f"k1 {'00' * 32}\nk1 {'11' * 32}", f"two words {'00' * 32}"]
)
def test_files_that_hold_no_keys_are_refused(tmp_path: Path, text: str) -> None:
    write_key(tmp_path / "keys", text.encode())
    with pytest.raises(ValueError):
        read_keys(tmp_path / "keys")


def test_files_of_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys"
    made = make_keys(path)
    assert make_keys(path) == made == read_keys(path)
    for wrong, reason in ((Path("relative"), "absolute"), (tmp_path, "no file"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(ValueError, match=reason):
            read_secret(wrong)
    write_key(tmp_path / "binary", b"\xff\xfe")
    with pytest.raises(ValueError, match="no text"):
        read_secret(tmp_path / "binary")
    monkeypatch.setattr("payments.key_files.MOST_BYTES", 3)
    with pytest.raises(ValueError, match="too large"):
        read_secret(path)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if path.stat().st_uid != 0:
        with pytest.raises(ValueError, match="another user"):
            read_secret(path)
