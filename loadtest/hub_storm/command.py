"""The command line of the storm: run one, or check the history of one again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .. import fast_loop
from .faults import ALL, HARD, SOFT
from .histories import History, keep, read
from .report import as_json, as_text, check, faults_of
from .storm import Options, Outcome, storm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``hub-faults``."""
    given = Options()
    parser.add_argument("--runners", type=int, default=given.runners, help="who stream (%(default)s)")
    parser.add_argument("--watchers", type=int, default=given.watchers, help="who watch (%(default)s)")
    parser.add_argument("--minutes", type=float, default=0.0, help="round after round for so long; 0: each fault once")
    parser.add_argument("--report-s", type=float, default=given.report_s, help="between two fixes (%(default)g)")
    parser.add_argument("--events-per-s", type=float, default=given.events_per_s, help="(%(default)g)")
    parser.add_argument("--workers", type=int, default=given.workers)
    parser.add_argument("--steady-s", type=float, default=given.steady_s, help="rest between faults (%(default)g)")
    parser.add_argument("--quiet-s", type=float, default=given.quiet_s, help="rest before the last look (%(default)g)")
    parser.add_argument("--seed", type=int, default=given.seed)
    parser.add_argument(
        "--fault",
        action="append",
        choices=[*ALL],
        help="only these (repeat it); two at once comes in the long form only",
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the server (a temporary one)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--again", type=Path, help="run nothing: check the history.bin of an earlier storm again")


def run(told: argparse.Namespace) -> int:
    """Exit code 1 when the checker found a fault."""
    if told.again is not None:
        return _show(read(told.again), told.again.parent, told.json)
    outcome = run_storm(
        Options(
            runners=told.runners,
            watchers=told.watchers,
            minutes=told.minutes,
            report_s=told.report_s,
            events_per_s=told.events_per_s,
            workers=told.workers,
            steady_s=told.steady_s,
            quiet_s=told.quiet_s,
            seed=told.seed,
            faults=tuple(told.fault or (ALL if told.minutes else (*SOFT, *HARD))),
            folder=told.data_dir.absolute() if told.data_dir else None,
        )
    )
    keep(outcome.history, outcome.data_dir / "history.bin")
    print(f"seconds: {outcome.seconds}; the server's folder: {outcome.data_dir}")
    return _show(outcome.history, outcome.data_dir, told.json)


def run_storm(options: Options) -> Outcome:
    """Run it whole; the server is down again when this returns."""
    return fast_loop.run(storm(options))


def _show(history: History, data_dir: Path, json: Path | None) -> int:
    findings = check(history, data_dir)
    print(as_text(history, findings))
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_bytes(as_json(history, findings))
    return 1 if faults_of(findings) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest hub-faults", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(arguments))
