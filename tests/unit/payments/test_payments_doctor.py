"""The doctor: a checklist without secrets, and what makes it fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from payments.assembly import assemble
from payments.doctor import examine, main, masked
from payments.settings import read_settings
from payments.ulid import new_id
from tests.payments_variables import API_KEY, PASSWORD, simulated


async def test_the_doctor_prints_a_checklist_without_secrets(
    secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in simulated(secret).items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("PAYMENTS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PAYMENTS_VAULT_KEYS_FILE", str(secret / "vault"))
    found = await examine(None)
    text = "\n".join(f"{each.en}\n{each.zh}" for each in found)
    assert {each.check for each in found} >= {"settings", "wechat", "alipay", "certificate", "vault_keys", "database"}
    assert "mchid 190*****09" in text and "1900000109" not in text and "RSA2" in text and "1000.00" in text
    for hidden in (API_KEY, PASSWORD, "PRIVATE", "22" * 32, "cards of the campus", "2088123412341234"):
        assert hidden not in text
    assert not [each for each in found if each.level == "fail"]


def test_every_variable_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--variables"]) == 0
    shown = capsys.readouterr().out
    assert "#PAYMENTS_ENVIRONMENT=" in shown and "#PAYMENTS_EDUPAY_SCHOOL_ID=" in shown
    assert "#PAYMENTS_CAMPUS_CARD_SECRET=" in shown and "PAYMENTS_WECHAT_CODE=" not in shown


def test_the_doctor_fails_where_something_must_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAYMENTS_DATA_DIR", str(tmp_path / "data"))
    env_file = tmp_path / "payments.env"
    env_file.write_text("PAYMENTS_LOG_LEVEL=warning\n")
    told = ["--env-file", str(env_file)]
    assert main([*told, "--language", "en"]) == 0
    assert "demonstration" in capsys.readouterr().out
    (tmp_path / "data").chmod(0o755)
    assert main([*told, "--language", "zh"]) == 1
    shown = capsys.readouterr().out
    assert "其他用户可以读取" in shown and "open to other users" not in shown
    monkeypatch.setenv("PAYMENTS_CHANNELS", "nothing")
    assert main(told) == 1
    shown = capsys.readouterr().out
    assert "✗ settings" in shown and shown.count("no such channel") == 1


async def test_the_doctor_looks_at_the_database_and_at_keys_that_are_still_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYMENTS_DATA_DIR", str(tmp_path / "data"))
    settings = read_settings(env_file=None)
    payments = assemble(settings)
    await payments.migrate()
    await payments.entrust("a", {"openid": "o"})
    await payments.stop()
    with settings.key_file("vault_keys").open("a") as file:
        file.write(f"k2 {'55' * 32}\n")
    found = {each.check: each for each in await examine(None)}
    assert found["database"].level == "ok" and "version" in found["database"].en
    assert found["vault"].level == "warn" and "1 secrets need an older key" in found["vault"].en
    assert found["vault_keys"].level == "warn"
    (tmp_path / "data/payments.db").write_bytes(b"no database at all, but long enough to look like one" * 100)
    found = {each.check: each for each in await examine(None)}
    assert found["database"].level == "fail" and "no database" not in found["database"].en


def test_ids_are_masked_and_new_ones_sort_by_time() -> None:
    assert (masked("1900000109"), masked("wx12"), masked("")) == ("190*****09", "****", "")
    first, second = new_id("int"), new_id("int")
    assert len(first) == 30 and first.startswith("int_") and first[:10] == second[:10] and first != second
