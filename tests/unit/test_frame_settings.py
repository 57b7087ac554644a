"""Settings: every kind of fault is named with what would be legal, and nothing wrong gets through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatch.settings import Settings, SettingsError, example_env, read_settings, setting_fields
from payments.settings import Settings as PaymentsSettings


def read(**environ: str) -> Settings:
    return read_settings(environ, env_file=None)


def test_without_settings_the_server_is_local_and_sandboxed():
    settings = read()
    assert (settings.host, settings.port, settings.channels) == ("127.0.0.1", 8888, ("sandbox", "sandbox_backup"))
    assert settings.roles == ("web", "planner", "jobs")
    assert settings.effective_public_url == "http://127.0.0.1:8888"
    assert not settings.is_tls


@pytest.mark.parametrize(
    ("name", "text", "legal"),
    [
        ("DISPATCH_PORT", "eighty", "a whole number from 0 to 65535"),
        ("DISPATCH_PORT", "65536", "a whole number from 0 to 65535"),
        ("DISPATCH_WORKERS", "0", "from 1 to 64"),
        ("DISPATCH_TIME_SCALE", "nan", "a number from 0.1 to 1000"),
        ("DISPATCH_TIME_SCALE", "fast", "a number from 0.1 to 1000"),
        ("DISPATCH_DEMO", "maybe", "1 or 0"),
        ("DISPATCH_ROLES", "web,cook", "web, planner or jobs"),
        ("DISPATCH_ROLES", "web,hub", "web, planner or jobs"),
        ("DISPATCH_ROLES", "web,web", "the same twice"),
        ("DISPATCH_ROLES", ",", "at least one"),
        ("DISPATCH_CHANNELS", "gold", "sandbox"),
        ("DISPATCH_LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("DISPATCH_TIME_START", "2026-03-02T11:00:00", "with its offset"),
        ("DISPATCH_TIME_START", "noon", "with its offset"),
        ("DISPATCH_PUBLIC_URL", "errands.example.edu", "https://errands.example.edu"),
        ("DISPATCH_PUBLIC_URL", "https://errands.example.edu/app", "without a path"),
        ("DISPATCH_ALLOWED_ORIGINS", "https://a.example,ftp://b.example", "without a path"),
        ("DISPATCH_TRUSTED_PROXIES", "nginx", "an address or network"),
        ("DISPATCH_TLS_CERT", "cert.pem", "an absolute path"),
        ("DISPATCH_TLS_CERT", "/nowhere/cert.pem", "there is no such file"),
        ("DATABASE_URL", "mysql://u:geheim@h/db", "postgresql://"),
        ("DATABASE_URL", "sqlite:///relative.db", "sqlite:////absolute"),
        ("REDIS_URL", "localhost:6379", "redis://"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_legal(name, text, legal):
    with pytest.raises(SettingsError) as caught:
        read(**{name: text})
    (fault,) = caught.value.faults
    assert fault.startswith(f"{name}=")
    assert legal in fault
    assert "geheim" not in fault


def test_all_faults_are_told_at_once():
    with pytest.raises(SettingsError) as caught:
        read(DISPATCH_PORT="x", DISPATCH_WORKERS="x", REDIS_URL="x")
    assert len(caught.value.faults) == 3


def test_an_unknown_setting_is_refused_with_the_nearest_known_one():
    with pytest.raises(SettingsError, match="DISPATCH_PROT: there is no such setting; did you mean DISPATCH_PORT"):
        read(DISPATCH_PROT="1")
    with pytest.raises(SettingsError, match="no such setting$"):
        read(DISPATCH_ZZZZZZZZ="1")


def test_the_environment_wins_over_the_file(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("DISPATCH_PORT=9001\nDISPATCH_HOST='0.0.0.0'\n# DISPATCH_WORKERS=7\n")
    settings = read_settings({"DISPATCH_PORT": "9002"}, env_file)
    assert (settings.port, settings.host, settings.workers) == (9002, "0.0.0.0", 1)


def test_an_empty_value_counts_as_not_set():
    assert read(DISPATCH_PORT=" ").port == 8888


def test_a_data_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="must be a folder"):
        read(DISPATCH_DATA_DIR=str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("environ", "legal"),
    [
        ({"DISPATCH_SMS": "print"}, "only with DISPATCH_DEMO=1"),
        ({"DISPATCH_SMS": "aliyun", "DISPATCH_SMS_URL": "https://sms.example"}, "DISPATCH_SMS_ACCESS_KEY_ID"),
        ({"DISPATCH_METRICS_PORT": "8888"}, "must differ"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ, legal):
    with pytest.raises(SettingsError, match=legal):
        read(**environ)


def test_a_certificate_needs_its_key(tmp_path):
    cert = tmp_path / "cert.pem"
    cert.touch()
    with pytest.raises(SettingsError, match="both or neither"):
        read(DISPATCH_TLS_CERT=str(cert))


@pytest.mark.parametrize("name", ["DISPATCH_TIME_SCALE", "DISPATCH_TIME_START", "DISPATCH_DEMO"])
def test_with_real_money_time_is_real(name, tmp_path):
    given = {"time_scale": 2.0, "time_start": datetime(2026, 3, 2, tzinfo=UTC), "is_demo": True}
    field = next(each for each in setting_fields() if each.metadata["env"] == name)
    live = PaymentsSettings(environment="live", channel_names=("wechat",))
    apart = {"payments_url": "https://payments.internal", "payments_keys_file": tmp_path / "keys"}
    for real in ({"payments": live}, apart):
        settings = Settings(**real, **{field.name: given[field.name]})
        assert any(fault.startswith(name) for fault in settings.contradictions())
        assert not list(Settings(**real).contradictions())
    rehearsed = PaymentsSettings(environment="simulator", channel_names=("wechat",))
    assert not list(Settings(payments=rehearsed, **{field.name: given[field.name]}).contradictions())


def test_payments_have_settings_of_their_own_that_are_read_with_the_others(tmp_path):
    given = {"DISPATCH_DATA_DIR": str(tmp_path), "PAYMENTS_CHANNELS": "sandbox_backup,sandbox"}
    settings = read(**given)
    assert settings.payments is not None and settings.channel_names == ("sandbox_backup", "sandbox")
    assert settings.is_sandbox_only and not settings.may_move_money
    assert settings.payments.data_dir == tmp_path / "payments"
    assert settings.payments.effective_database_url == f"sqlite:///{tmp_path}/payments.db"
    with pytest.raises(SettingsError, match="PAYMENTS_CHANNELS"):
        read(**given | {"PAYMENTS_CHANNELS": "dogecoin"})
    with pytest.raises(SettingsError, match="PAYMENTS_WECHAT_"):
        read(**given | {"PAYMENTS_CHANNELS": "wechat", "PAYMENTS_ENVIRONMENT": "live"})
    plain = read(DISPATCH_DATA_DIR=str(tmp_path))
    assert plain.payments is None and plain.channel_names == ("sandbox", "sandbox_backup")


def test_payments_apart_need_their_key_and_no_channels_here(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("1 " + "ab" * 32)
    apart = {"DISPATCH_PAYMENTS_URL": "http://127.0.0.1:8890", "DISPATCH_PAYMENTS_KEYS_FILE": str(keys)}
    settings = read(**apart)
    assert (settings.channel_names, settings.is_sandbox_only, settings.may_move_money) == ((), False, True)
    with pytest.raises(SettingsError, match="give both or neither"):
        read(DISPATCH_PAYMENTS_URL="http://127.0.0.1:8890")
    with pytest.raises(SettingsError, match="DISPATCH_PAYMENTS_URL: must be https"):
        read(**apart | {"DISPATCH_PAYMENTS_URL": "http://pay.example.edu:8890"})
    with pytest.raises(SettingsError, match="DISPATCH_PAYMENTS_URL: PAYMENTS_CHANNELS"):
        read(**apart, PAYMENTS_CHANNELS="sandbox", DISPATCH_DATA_DIR=str(tmp_path))


def test_databases_follow_from_the_data_folder_unless_told(tmp_path):
    settings = read(DISPATCH_DATA_DIR=str(tmp_path))
    assert settings.effective_database_url == f"sqlite:///{tmp_path}/dispatch.db"
    assert settings.effective_payments_database_url == f"sqlite:///{tmp_path}/payments.db"
    told = read(DATABASE_URL="postgresql://h/d")
    assert told.effective_payments_database_url == "postgresql://h/d"
    apart = read(DATABASE_URL="postgresql://h/d", PAYMENTS_DATABASE_URL="postgresql://h/p")
    assert apart.effective_payments_database_url == "postgresql://h/p"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"DISPATCH_HOST": "0.0.0.0", "DISPATCH_PORT": "80"}, "http://127.0.0.1:80"),
        ({"DISPATCH_HOST": "fd00::1"}, "http://[fd00::1]:8888"),
        ({"DISPATCH_PUBLIC_URL": "https://Errands.example.edu/"}, "https://errands.example.edu"),
    ],
)
def test_the_address_that_people_use(environ, url):
    assert read(**environ).effective_public_url == url


def test_the_clock_follows_the_settings():
    start = datetime(2026, 3, 2, 3, tzinfo=UTC)
    clock = read(DISPATCH_TIME_SCALE="15", DISPATCH_TIME_START=start.isoformat()).clock()
    assert clock.rate == 15.0
    assert timedelta() <= clock.now() - start < timedelta(minutes=10)
    shared = read(DISPATCH_CLOCK_START=start.isoformat(), DISPATCH_CLOCK_ORIGIN_S="1000.5").clock()
    assert (shared.start, shared.origin_s) == (start, 1000.5)


def test_the_example_file_names_every_setting_and_is_up_to_date():
    root = Path(__file__).resolve().parents[2]
    assert (root / ".env.example").read_text() == example_env(), "renew .env.example with dispatch.settings.example_env"
    for each in setting_fields():
        is_internal = each.metadata["about"] == "internal"
        assert (f"#{each.metadata['env']}=" in example_env()) is not is_internal


def test_what_the_example_file_shows_is_what_holds_without_it(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text(example_env().replace("\n#DISPATCH", "\nDISPATCH"))
    shown = read_settings({"HOME": str(tmp_path)}, env_file)
    for each in setting_fields():
        if each.name != "data_dir":
            assert getattr(shown, each.name) == getattr(read(), each.name)
