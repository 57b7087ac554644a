"""Secrets, logs, metrics, the clock's file, certificates and what is asked about processes."""

from __future__ import annotations

import json
import logging
import os
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from dispatch.certificate import days_left, local_addresses, make_certificate
from dispatch.clock import ScaledClock
from dispatch.clock_file import ClockFile, is_scaled
from dispatch.keys import load_secrets, prepare_data_dir, secrets_folder, unsafe_modes
from dispatch.logs import JsonFormatter, TextFormatter, redact, set_up_logs
from dispatch.metrics import FOLDER_VARIABLE, ProcessReport, add_counts, forget_process, fresh_folder, merged_page
from dispatch.processes import command_of, usage, usage_by_ps, watch_parent
from dispatch.settings import Settings, SettingsError

# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path):
    made = Settings(data_dir=tmp_path / "data")
    prepare_data_dir(made)
    return made


def test_secrets_are_made_once_and_closed_to_others(settings):
    first, again = load_secrets(settings), load_secrets(settings)
    assert first == again
    assert len({first.token_key, first.data_keys[1], first.lookup_key, first.sandbox_key}) == 4
    assert all(len(key) == 32 for key in (first.token_key, first.lookup_key, first.sandbox_key))
    assert unsafe_modes(settings) == []
    assert first.token_key.hex() not in repr(first)


def test_processes_that_start_at_once_get_the_same_secrets(settings):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_secrets(settings), range(16)))
    assert all(each == made[0] for each in made)
    assert not list(secrets_folder(settings).glob(".new-*"))


def test_a_second_line_rotates_a_key_and_keeps_the_first(settings):
    first = load_secrets(settings)
    path = secrets_folder(settings) / "data_key"
    path.write_text(path.read_text() + f"2 {'ab' * 32}\n")
    rotated = load_secrets(settings)
    assert rotated.current_data_key == 2
    assert rotated.data_keys == {1: first.data_keys[1], 2: bytes.fromhex("ab" * 32)}


def test_a_secret_that_others_may_read_stops_the_start(settings):
    load_secrets(settings)
    path = secrets_folder(settings) / "token_key"
    path.chmod(0o644)
    with pytest.raises(SettingsError, match=f"chmod 600 {path}"):
        load_secrets(settings)
    assert unsafe_modes(settings) == [f"{path} is open to other users: chmod 600 {path}"]


@pytest.mark.parametrize("text", ["", "1 abc", "key", f"1 {'ab' * 31}", f"one {'ab' * 32}"])
def test_a_spoilt_secret_is_named(settings, text):
    load_secrets(settings)
    (secrets_folder(settings) / "lookup_key").write_text(text)
    with pytest.raises(SettingsError, match="lookup_key"):
        load_secrets(settings)


def test_a_secret_may_be_kept_elsewhere(settings, tmp_path):
    elsewhere = tmp_path / "token"
    elsewhere.write_text(f"1 {'cd' * 32}\n")
    elsewhere.chmod(0o444)
    told = Settings(data_dir=settings.data_dir, token_key_file=elsewhere)
    assert load_secrets(told).token_key == bytes.fromhex("cd" * 32)
    assert not (secrets_folder(settings) / "token_key").exists()


# --- logs -------------------------------------------------------------------------------------------------------------


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelno": logging.INFO, "levelname": "INFO", "name": "t", **extra})
    made.created = 1_772_420_400.25
    return made


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("sent to 13812345678", "sent to 138****5678"),
        ("order 113812345678", "order 113812345678"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [token]"),
        ("token eyJhbGci.eyJzdWIi.c2ln end", "token [token] end"),
        ("GET /x?code=SECRET1&a=1", "GET /x?code=[hidden]&a=1"),
        ("postgresql://me:geheim@db/x", "postgresql://me:[hidden]@db/x"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_and_phones_are_taken_out(told, shown):
    assert redact(told) == shown


def test_a_json_line_carries_what_was_given_with_it():
    line = json.loads(
        JsonFormatter("web-0").format(record("an order", order_id="ord_1", token="t", tries=2, at_x=None))
    )
    assert line["message"] == "an order"
    assert (line["process"], line["order_id"], line["tries"], line["at_x"]) == ("web-0", "ord_1", 2, None)
    assert line["token"] == "[hidden]"
    assert line["at"] == "2026-03-02T03:00:00.250+00:00"


@pytest.mark.parametrize("formatter", [JsonFormatter("p"), TextFormatter("p")])
def test_an_exception_is_shown_without_its_secrets(formatter):
    try:
        raise ValueError("phone 13812345678")
    except ValueError:
        shown = formatter.format(record("failed", exc_info=sys.exc_info()))
    assert "138****5678" in shown
    assert "Traceback" in shown


def test_a_text_line_is_readable():
    assert (
        TextFormatter("web-0")
        .format(record("an order", order_id="ord_1"))
        .endswith("web-0      an order order_id=ord_1")
    )


@pytest.mark.parametrize(
    ("log_format", "kind"), [("json", JsonFormatter), ("text", TextFormatter), ("auto", JsonFormatter)]
)
def test_the_format_is_chosen(log_format, kind):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        set_up_logs("debug", log_format, "web-0")
        assert isinstance(root.handlers[0].formatter, kind)
        assert root.level == logging.DEBUG
        assert logging.getLogger("asyncio").level == logging.WARNING
    finally:
        root.handlers[:] = before
        root.setLevel(level)


# --- metrics ----------------------------------------------------------------------------------------------------------

COUNTING = """
from prometheus_client import Counter, Gauge
Counter("orders", "…").inc(3)
Gauge("sockets", "…", multiprocess_mode="livesum").set(5)
"""


def test_the_page_sums_what_processes_counted(tmp_path):
    folder = fresh_folder(tmp_path)
    pids = []
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", COUNTING], env={**os.environ, FOLDER_VARIABLE: str(folder)})
        assert child.wait(30) == 0
        pids.append(child.pid)
    page = merged_page(folder, [ProcessReport("web", 1, 7, 2.5, 1024, 4, True)]).decode()
    assert "orders_total 6.0" in page
    assert "sockets 10.0" in page
    assert 'dispatch_process_restarts_total{index="1",role="web"} 4.0' in page
    forget_process(pids[0], folder)
    page = merged_page(folder, []).decode()
    assert "orders_total 6.0" in page
    assert "sockets 5.0" in page
    assert not list(fresh_folder(tmp_path).iterdir())


def test_plain_counts_become_a_histogram():
    registry = CollectorRegistry()
    ages = Histogram("age_seconds", "…", buckets=(0.1, 1.0), registry=registry)
    ages.observe(0.05)
    add_counts(ages, [2, 0, 1], 3.0)
    page = generate_latest(registry).decode()
    assert 'age_seconds_bucket{le="0.1"} 3.0' in page
    assert 'age_seconds_bucket{le="+Inf"} 4.0' in page
    assert "age_seconds_sum 3.05" in page
    with pytest.raises(ValueError, match="2 counts for 3 buckets"):
        add_counts(ages, [1, 1], 0.0)


# --- the clock's file -------------------------------------------------------------------------------------------------

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_business_time_never_goes_back_over_a_restart(tmp_path):
    file = ClockFile(tmp_path / "clock.json")
    clock = ScaledClock(NOON, 0.0, 15.0)
    file.keep(clock)
    shown = clock.now()
    after_kill = file.begin(15.0, NOON, 1000.0)
    assert shown <= after_kill.start <= shown + timedelta(seconds=15 * 5)
    file.keep(clock, is_last=True)
    assert file.begin(15.0, None, 1000.0).start >= shown
    assert file.begin(15.0, shown + timedelta(days=999), 0.0).start == shown + timedelta(days=999)


def test_a_real_clock_needs_no_file(tmp_path):
    file = ClockFile(tmp_path / "clock.json")
    clock = file.begin(1.0, None, 1_772_420_400.0)
    assert clock.start == datetime.fromtimestamp(1_772_420_400.0, UTC)
    assert not is_scaled(clock)
    file.path.write_text("{}")
    file.keep(clock)
    assert not file.path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"shown": "noon"}', '{"shown": "2030-01-01T00:00:00"}'])
def test_a_spoilt_clock_file_is_as_none(tmp_path, text):
    file = ClockFile(tmp_path / "clock.json")
    file.path.write_text(text)
    assert file.begin(1.0, NOON, 0.0).start == NOON


# --- certificates and processes ---------------------------------------------------------------------------------------


def test_a_self_signed_certificate_is_one_that_tls_can_use(tmp_path):
    cert, key = make_certificate(tmp_path / "tls", ["192.0.2.7", "192.0.2.7"])
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    ssl.create_default_context(cafile=str(cert))
    assert key.stat().st_mode & 0o077 == 0
    assert 390 < days_left(cert) < 400
    assert days_left(cert, datetime.now(UTC) + timedelta(days=500)) < 0


def test_local_addresses_are_not_loopback():
    assert not any(address.startswith("127.") for address in local_addresses())


def test_usage_of_a_process_both_ways():
    by_proc, by_ps = usage(os.getpid()), usage_by_ps(os.getpid())
    assert by_proc is not None
    assert by_ps is not None
    assert abs(by_proc.cpu_s - by_ps.cpu_s) < 2
    assert 0.5 < by_proc.rss_bytes / by_ps.rss_bytes < 2
    assert "python" in command_of(os.getpid())


def test_a_process_that_ended_has_no_usage():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert (usage(child.pid), usage_by_ps(child.pid), command_of(child.pid)) == (None, None, "")


def test_a_watched_parent_that_is_gone_is_noticed():
    gone = threading.Event()
    watch_parent(os.getppid() + 1, gone.set, every_s=0.01)
    assert gone.is_set()


def test_open_files_are_raised_to_what_is_allowed():
    code = (
        "import resource; from dispatch.processes import *; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128));"
        "raise_open_files(); print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "(128, 128)"
