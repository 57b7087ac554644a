"""A storm of faults against a whole server, its people over the real edges, and the checker's verdict."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.hub_storm.command import main, run_storm
from loadtest.hub_storm.faults import ALL
from loadtest.hub_storm.histories import keep
from loadtest.hub_storm.report import as_json, as_text, check, faults_of
from loadtest.hub_storm.storm import Options

#: The long form is for `make soak`: round after round of all faults.
IS_LONG = bool(os.environ.get("SOAK"))
SHORT = Options(runners=40, watchers=120, steady_s=2.0, quiet_s=1.0, events_per_s=4.0)
LONG = Options(
    runners=500,
    watchers=1500,
    minutes=8.0,
    steady_s=8.0,
    quiet_s=60.0,
    events_per_s=6.0,
    report_s=2.0,
    faults=tuple(ALL),
)


@pytest.mark.usefixtures("uncounted")
@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(3600 if IS_LONG else 300)
def test_hub_storm_of_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody misses an event or is told one twice, every dot is the last accepted fix, no process grows."""
    outcome = run_storm(replace(LONG if IS_LONG else SHORT, folder=tmp_path / "storm"))
    findings = check(outcome.history, outcome.data_dir)
    table = as_text(outcome.history, findings)
    with capsys.disabled():
        print(f"\n{table}\nseconds: {outcome.seconds}")
    if IS_LONG:
        reports = Path("reports")
        reports.mkdir(exist_ok=True)
        (reports / "hub-faults.json").write_bytes(as_json(outcome.history, findings))
    assert faults_of(findings) == []
    assert {one.fault for one in outcome.history.happened} == {*outcome.options.faults}
    counts = findings["events"].counts
    assert counts["events told"] > 1_000
    assert counts["recovered"] > 20
    assert counts["snapshot, new epoch"] > 20
    assert findings["positions"].counts["refused duplicate"] > 20
    # The same verdict from the file alone.
    keep(outcome.history, outcome.data_dir / "history.bin")
    assert main(["--again", str(outcome.data_dir / "history.bin"), "--json", str(tmp_path / "again.json")]) == 0
    assert (tmp_path / "again.json").stat().st_size > 1_000
