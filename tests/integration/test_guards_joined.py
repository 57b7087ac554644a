"""The shipped server joins its guards by itself: with the sandbox, with channels of its own, in every process alike."""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from dispatch.administration import migrate
from dispatch.clock import ScaledClock, real_clock
from dispatch.keys import load_secrets, unsafe_modes
from dispatch.model.ids import make_id
from dispatch.parts import code_door_of, open_parts
from dispatch.paying import DEMO_RULES, paying_of
from dispatch.settings import Settings, SettingsError, read_settings
from payments.embedded import EmbeddedPayments
from payments.guards.guarded import Guards
from payments.guards.risk import DEFAULT_RULES
from payments.guards.risk_desk import DemoFace
from payments.guards.second_factor_act import NO_CODES, Act, Thresholds
from payments.key_files import make_keys


async def nowhere(act: Act, code: str) -> None:
    """Codes that nobody gets."""


def guards_in(settings: Settings, *, sends: bool = True, clock: ScaledClock | None = None) -> Guards:
    """What guards the payments of a process with these settings."""
    at = clock or real_clock()
    made = paying_of(
        settings, load_secrets(settings), at, lambda kind: make_id(kind, at.now(), os.urandom(10)),
        nowhere if sends else None,
    )  # fmt: skip
    assert isinstance(made.body, EmbeddedPayments) and made.body._guards is not None
    return made.body._guards


def test_the_sandbox_is_guarded_without_a_word(tmp_path: Path) -> None:
    guards = guards_in(Settings(data_dir=tmp_path))
    assert isinstance(guards.face, DemoFace) and guards.send_code is nowhere
    assert (guards.thresholds, guards.rules.default, guards.pace) == (Thresholds(), DEFAULT_RULES, 1.0)
    again = guards_in(Settings(data_dir=tmp_path))
    assert again.vault.fingerprint("a", "b") == guards.vault.fingerprint("a", "b"), "processes share their keys"
    assert again.salt_key == guards.salt_key and unsafe_modes(Settings(data_dir=tmp_path)) == []


def test_a_demonstration_keeps_its_people_apart_more_leniently_and_reads_at_its_own_pace(tmp_path: Path) -> None:
    clock = ScaledClock(real_clock().start, real_clock().origin_s, 60.0)
    guards = guards_in(Settings(data_dir=tmp_path, is_demo=True), clock=clock)
    assert guards.rules == DEMO_RULES and guards.pace == 60.0


def test_where_no_code_can_be_sent_none_is_asked_for(tmp_path: Path) -> None:
    assert guards_in(Settings(data_dir=tmp_path), sends=False).thresholds == NO_CODES


def test_channels_of_its_own_have_the_same_keys_and_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"*": {"small_payments": None}}))
    told = {
        "DISPATCH_DATA_DIR": str(tmp_path / "d"), "PAYMENTS_RISK_RULES_FILE": str(rules),
        "PAYMENTS_SECOND_FACTOR": '{"withdraw_from_fen": 5000}',
    }  # fmt: skip
    sandboxed = guards_in(read_settings(told, None))
    assembled = guards_in(read_settings(told | {"PAYMENTS_CHANNELS": "sandbox"}, None))
    for guards in (sandboxed, assembled):
        assert guards.thresholds.withdraw_from_fen == 5000
        assert all(rule.code != "small_payments" for rule in guards.rules.default)
    # Whoever turns from the demonstration to channels finds what was entrusted before.
    assert sandboxed.vault.fingerprint("a", "b") == assembled.vault.fingerprint("a", "b")


@pytest.mark.parametrize("wrong", ["no json", '{"*": {"small_payments": {"most": "many"}}}'])
def test_wrong_rules_stop_the_start_by_name(tmp_path: Path, wrong: str) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(wrong)
    with pytest.raises(SettingsError, match="PAYMENTS_RISK_RULES_FILE"):
        read_settings({"DISPATCH_DATA_DIR": str(tmp_path), "PAYMENTS_RISK_RULES_FILE": str(rules)}, None)


def test_processes_that_start_at_once_make_one_key(tmp_path: Path) -> None:
    at_once = Barrier(8)

    def make(path: Path) -> dict[str, bytes]:
        at_once.wait(10)
        return make_keys(path)

    with ThreadPoolExecutor(8) as pool:
        for number in range(60):
            made = list(pool.map(make, [tmp_path / f"key{number}"] * 8))
            assert all(each == made[0] for each in made), number
    assert len(list(tmp_path.iterdir())) == 60, "nothing is left beside them"


async def test_a_process_sends_codes_by_its_own_way_and_none_is_open_to_strangers(tmp_path: Path) -> None:
    await asyncio.to_thread(migrate, Settings(data_dir=tmp_path))
    async with open_parts(Settings(data_dir=tmp_path, is_demo=True, sms="print"), "test") as parts:
        assert isinstance(parts.paying.body, EmbeddedPayments)
        guards = parts.paying.body._guards
        assert guards is not None and guards.send_code is not None and parts.ctx.code_door is None
    async with open_parts(Settings(data_dir=tmp_path), "test") as parts:
        assert isinstance(parts.paying.body, EmbeddedPayments) and parts.paying.body._guards is not None
        assert parts.paying.body._guards.send_code is None
    keys = tmp_path / "internal"
    make_keys(keys)
    apart = Settings(data_dir=tmp_path, payments_url="http://127.0.0.1:1", payments_keys_file=keys)
    assert code_door_of(apart, nowhere) is not None
