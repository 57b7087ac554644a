"""The bench in its shortest form: the real servers, the real generator, the real report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtest.bench.__main__ import main

#: A quarter of the quick form's connections will do.
SHORT = ("--quick", "--runners", "12", "--rate", "120", "--seconds", "1")


def bench(folder: Path, *words: str) -> dict[str, Any]:
    """Run the command and read what it wrote."""
    path = folder / "bench.json"
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.bench", "hub", *SHORT, *words, "--json", str(path)],
        capture_output=True, text=True, check=False, timeout=280, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "wrote" in done.stdout
    body: dict[str, Any] = json.loads(path.read_text())
    return body


def servers_of(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (row,) = body["rows"]
    return {one["server"]: one for one in row["summaries"]}


@pytest.mark.slow
@pytest.mark.timeout(300)  # half a minute on a machine that does nothing else
def test_fixes_are_delivered_by_the_hub_and_by_plain_tornado(tmp_path: Path) -> None:
    body = bench(tmp_path, "--rows", "deliver", "--servers", "hub,tornado", "--fences", "3")
    found = servers_of(body)
    for name in ("dispatch serve", "plain Tornado"):
        figures = found[name]["figures"]
        assert figures["sent"] == 1.0
        assert figures["accepted"] == pytest.approx(1.0)
        assert figures["deliveries_per_fix"] == pytest.approx(3.0, rel=0.1)
        assert figures["members_per_fix"] == pytest.approx(1.0, rel=0.1)
        assert figures["age_p50_ms"] < 1_000
        assert found[name]["cpu_us"]["server"] > 0
        assert found[name]["cpu_us"]["redis"] > 0
    assert {"planner", "jobs (relay)", "supervisor"} <= set(found["dispatch serve"]["cpu_us"])
    # One short round is no measurement, and without nchan there is nothing to compare with.
    (of_nchan,) = [one for one in body["rows"][0]["figures"] if "nchan" in one["name"]]
    assert of_nchan["verdict"] == "not measured"
    assert "1 rounds, 5 are needed" in found["dispatch serve"]["faults"]
    assert any("geofences" in note for note in body["rows"][0]["notes"])


@pytest.mark.slow
@pytest.mark.timeout(300)  # half a minute on a machine that does nothing else
def test_the_baselines_receive_what_is_sent(tmp_path: Path) -> None:
    body = bench(tmp_path, "--rows", "idle", "--servers", "c,tornado,nchan")
    found = servers_of(body)
    (row,) = body["rows"]
    # Whoever has no compiler or no nchan is told so; nothing is passed over in silence.
    assert {*found, *row["missing"]} == {"C epoll loop", "plain Tornado", "nchan"}
    for one in found.values():
        assert one["figures"]["accepted"] == pytest.approx(1.0)
        assert one["cpu_us"]["server"] > 0
    assert found["plain Tornado"]["figures"]["members_per_fix"] == pytest.approx(1.0, rel=0.1)


def test_what_is_no_row_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hub", "--rows", "idle,speed"]) == 2
    assert "no such row: speed" in capsys.readouterr().err


def test_a_report_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "no.json"
    path.write_text("[]")
    assert main(["plot", str(path), str(tmp_path / "no.png")]) == 2
    assert main(["table", str(tmp_path / "missing.json")]) == 2
    assert str(path) in capsys.readouterr().err
