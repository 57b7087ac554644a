"""The load test against a real server: the people carry orders from placing to settlement, and every report adds up."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loadtest.__main__ import main
from loadtest.own_server import OwnServer
from loadtest.tracks import box_campus

pytestmark = [pytest.mark.usefixtures("uncounted"), pytest.mark.slow, pytest.mark.timeout(300)]
SCALE = 30.0
README = Path(__file__).resolve().parents[2] / "README.md"


def campus_file(folder: Path) -> Path:
    """A small campus: a street with eight houses."""
    south, west = 30.5, 114.4
    features = json.loads(box_campus((south, west, south + 0.008, west + 0.008)))["features"]
    for i in range(8):
        lat, lon = south + 0.0038, west + 0.0008 + i * 0.0008
        ring = [[lon, lat], [lon + 3e-4, lat], [lon + 3e-4, lat + 2e-4], [lon, lat + 2e-4], [lon, lat]]
        tags = {"building": "dormitory", "name": f"House {i}"}
        features.append({"type": "Feature", "properties": tags, "geometry": {"type": "Polygon", "coordinates": [ring]}})
    path = folder / "campus.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A running server with a campus and people who may sign in."""
    folder = tmp_path_factory.mktemp("load")
    made = OwnServer(folder / "d", SCALE)
    made.prepare(campus_file(folder), "Street", students=8, runners=6, operators=2)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dispatch", "serve"],
            env=made.environ(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until_ready(made, process, folder / "log")
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def wait_until_ready(made: OwnServer, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{made.url}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def plan_of(server: OwnServer) -> str:
    return str(server.folder / "plan.json")


def readme_words(about: str) -> list[str]:
    """The arguments of the README's line for one command of the load test."""
    line = next(line for line in README.read_text().splitlines() if line.startswith(f"python -m loadtest {about} "))
    return shlex.split(line, comments=True)[3:]


def test_a_lunch_peak_on_a_server_of_its_own_ends_with_right_books(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html, figures = tmp_path / "peak.html", tmp_path / "peak.json"
    # What the README says, with less of everything: a later flag stands above an earlier one.
    words = [*readme_words("lunch-peak"), "--profile", "XS", "--minutes", "0.25", "--time-scale", "60"]
    words += ["--data-dir", str(tmp_path / "own")]
    code = main([*words, "--html", str(html), "--json", str(figures)])
    printed, faults = capsys.readouterr()
    assert code == 0, printed + faults
    told = json.loads(figures.read_text())
    assert told["counts"]["placed"] >= 4 and told["counts"]["handed_over"] >= 1, printed
    assert told["holes"] == {"holes": 0, "out_of_order": 0, "doubled": 0, "new_epochs": 0}
    assert told["ages_ms"]["n"] > 100
    assert all(not finding["faults"] for finding in told["findings"])
    assert "settled" in told["findings"][0]["note"], printed
    assert html.read_text().count("<svg") == 6
    assert main(["check", "--data-dir", str(tmp_path / "own")]) == 0


def test_a_peak_against_a_running_server_needs_its_plan(server: OwnServer, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["lunch-peak", "--profile", "XS", "--minutes", "0.1", "--url", server.url]
    assert main(words) == 2
    assert "--plan" in capsys.readouterr().err
    code = main([*words, "--plan", plan_of(server), "--processes-url", server.processes_url])
    printed = capsys.readouterr().out
    assert code == 0 and "planner" in printed and "Offers" in printed


def test_the_people_of_the_demonstration_come_and_go(server: OwnServer, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["demo", "--plan", plan_of(server), "--url", server.url, "--seconds", "6", "--seed", "1"]
    assert main(words) == 0
    assert "refused" not in capsys.readouterr().err


def test_locust_drives_the_same_people(server: OwnServer, tmp_path: Path) -> None:
    # Locust replaces the standard library's sockets, so it has a process of its own.
    words = ["-f", "loadtest/locustfile.py", "--host", server.url, "--headless", "--json-file", str(tmp_path / "table")]
    words += ["-u", "20", "-r", "20", "-t", "10s", "--stop-timeout", "2", "--exit-code-on-error", "1"]
    environ = os.environ | {"LOADTEST_PLAN": plan_of(server)}
    done = subprocess.run(
        [sys.executable, "-m", "locust", *words], cwd=README.parent, env=environ,
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    table = {row["name"]: row["num_requests"] for row in json.loads((tmp_path / "table.json").read_text())}
    # Twelve, seven and one by weight; the plan has accounts for eight, six and one of them.
    assert table["sign_in"] == 15 and table["socket_token"] >= 15, table
    assert table["fix to viewer"] > 0, table


@pytest.mark.parametrize("how", ["cut", "drain"])
def test_everybody_comes_back_and_has_missed_nothing(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["storm", "reconnect", "--how", how, "--connections", "54", "--watchers", "6", "--runners", "3"]
    words += ["--within-s", "60", "--age-ms", "20000", "--json", str(tmp_path / "figures.json")]
    code = main(words)
    assert code == 0, capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["back"], figures["recovered"], figures["for_good"]) == (54, 54, 0)
    assert figures["age_storm"]["count"] > 0 and figures["events_handed_on"]["given"] > 0


@pytest.mark.parametrize("kind", ["spikes", "backlog"])
def test_storms_pass(server: OwnServer, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["storm", kind, "--url", server.url, "--plan", plan_of(server), "--connections", "6", "--seconds", "3"]
    code = main(words)
    assert code == 0, capsys.readouterr().out


def test_recorded_tracks_are_delivered_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = datetime(2008, 10, 23, 5, 53, 5, tzinfo=UTC)
    rows = ["lat,lng,datetime,uid"]
    for who in range(3):
        for i in range(60):
            at = began + timedelta(seconds=6 * i)
            jump = 0.02 if i == 30 else 0.0
            rows.append(f"{40.0 + i * 3e-5 + who * 1e-3 + jump * 0.5:.6f},116.32,{at:%Y-%m-%d %H:%M:%S},{who:03}")
    tracks = tmp_path / "tracks.txt.gz"
    tracks.write_bytes(gzip.compress("\n".join(rows).encode()))
    words = [
        "replay",
        "--tracks",
        str(tracks),
        "--watchers",
        "2",
        "--spread-s",
        "1",
        "--data-dir",
        str(tmp_path / "own"),
    ]
    # Beside other tests and under coverage the hub may now and then need two fixes' time for one flush.
    code = main([*words, "--least-share", "0.9"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "sent                         180" in printed
    assert "impossible_jump            3" in printed
    assert "index at each track's end    3 asked" in printed and ", 0 wrong" in printed


def test_wrong_words_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        (["lunch-peak", "--profile", "Z"], "no profile 'Z'"),
        (
            ["lunch-peak", "--profile", "XS", "--campus", str(tmp_path / "none"), "--data-dir", str(tmp_path / "x")],
            "none",
        ),
        (["replay", "--tracks", str(tmp_path / "none.gz")], "none.gz"),
        (["check", "--data-dir", str(tmp_path)], "no such database"),
        (["demo", "--plan", str(tmp_path / "plan.json"), "--url", "http://127.0.0.1:1"], "plan.json"),
    ):
        assert main(words) == 2
        assert says in capsys.readouterr().err
