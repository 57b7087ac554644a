"""The ``python -m loadtest`` command: demo, lunch-peak, eta, replay, storm, hub-faults, payments, check."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import eta_tracks, reconnect_storm, storms
from .check import check, printed
from .demo import DemoOptions, demo
from .hub_storm import command
from .lunch_peak import Options, lunch_peak, profile_of
from .own_server import ServerFailed
from .payments import command as payments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code (0 well, 1 a fault was found, 2 wrong command line)."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    told = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = told.run
    try:
        return run(told)
    except (ServerFailed, ValueError, OSError) as fault:
        print(f"loadtest: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest", description="Simulated people over the real interfaces."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    live = commands.add_parser("demo", help="people for a running demonstration")
    live.add_argument("--plan", type=Path, required=True, help="accounts, as the server wrote them")
    live.add_argument("--url", required=True)
    live.add_argument("--seconds", type=float)
    live.add_argument("--seed", type=int)
    live.add_argument("--certificate", type=Path, help="the server's own, PEM: believed under any name")
    live.set_defaults(run=_demo)
    peak = commands.add_parser("lunch-peak", help="a lunch peak, with a report")
    peak.add_argument("--profile", default="S", help="XS, S, M or T (%(default)s)")
    peak.add_argument("--minutes", type=float, default=10.0, help="real minutes in which orders come (%(default)g)")
    peak.add_argument("--time-scale", type=float, default=10.0, help="of a server of its own (%(default)g)")
    peak.add_argument(
        "--campus", type=Path, help="map for a server of its own: .osm, .osm.gz or GeoJSON (a made-up one)"
    )
    peak.add_argument("--url", default="", help="a running server instead")
    peak.add_argument("--plan", type=Path, help="with --url: its accounts (dispatch load-accounts)")
    peak.add_argument("--processes-url", default="http://127.0.0.1:8889/processes", help="with --url (%(default)s)")
    peak.add_argument("--data-dir", type=Path, help="folder of its own server (a temporary one)")
    peak.add_argument("--seed", type=int, default=1)
    peak.add_argument("--no-settlement", action="store_true", help="end without the days on which money is settled")
    peak.add_argument("--coupons", action="store_true", help="every student gets a coupon with the first order")
    peak.add_argument("--html", type=Path, help="write the report with plots there")
    peak.add_argument("--json", type=Path, help="write the figures there")
    peak.add_argument("--check", action="store_true", help="exit with 1 when a figure misses its bounds")
    peak.set_defaults(run=_lunch_peak)
    arrivals = commands.add_parser("eta", help="arrival ranges on recorded tracks, judged on days of their own")
    arrivals.add_argument("--tracks", type=Path, required=True, help="CSV lat,lng,datetime,uid; .gz or plain")
    arrivals.set_defaults(run=_eta)
    _add_replay(commands)
    _add_storms(commands)
    faults = commands.add_parser("hub-faults", help="faults injected into a server of its own, and a checker of them")
    command.add_arguments(faults)
    faults.set_defaults(run=command.run)
    money = commands.add_parser("payments", help="a burst of orders, all paid at once, on a server of its own")
    payments.add_arguments(money)
    money.set_defaults(run=payments.run)
    look = commands.add_parser("check", help="check the books of a server, running or not")
    look.add_argument("--data-dir", type=Path, help="its data folder")
    look.add_argument("--database-url", default="", help="its PostgreSQL instead")
    look.add_argument("--payments-database-url", default="")
    look.set_defaults(run=_check)
    return parser


def _add_storms(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    storm = commands.add_parser("storm", help="a bad day")
    kinds = storm.add_subparsers(metavar="KIND", required=True)
    back = kinds.add_parser("reconnect", help="thousands lose a server of its own at once, and come back")
    reconnect_storm.add_arguments(back)
    back.set_defaults(run=reconnect_storm.run)
    for kind, text in storms.KINDS.items():
        bad = kinds.add_parser(kind, help=f"{text}, for a running server")
        bad.add_argument("--url", required=True)
        bad.add_argument("--plan", type=Path, required=True)
        bad.add_argument("--connections", type=int, default=100)
        bad.add_argument("--seconds", type=float, default=20.0)
        bad.set_defaults(run=_storm, kind=kind)


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    again = commands.add_parser("replay", help="recorded tracks as runners, with an account of every fix")
    again.add_argument("--tracks", type=Path, required=True, help="CSV lat,lng,datetime,uid; .gz or plain")
    again.add_argument("--speed", type=float, default=60.0, help="the server's time scale (%(default)g)")
    again.add_argument("--watchers", type=int, default=3, help="operators that follow every runner (%(default)s)")
    again.add_argument("--days", type=int, default=0, help="only the fullest person-days; 0: all")
    again.add_argument("--most-fixes", type=int, default=0, help="only so many fixes of each; 0: all")
    again.add_argument(
        "--longest-gap-s", type=float, default=300.0, help="pauses in a track are cut to this (%(default)g)"
    )
    again.add_argument(
        "--spread-s", type=float, default=240.0, help="real seconds within which the tracks begin (%(default)g)"
    )
    again.add_argument(
        "--least-share",
        type=float,
        default=0.99,
        help="so much of a slow runner's fixes must arrive one by one (%(default)g)",
    )
    again.add_argument("--url", default="", help="a running server instead of one of its own")
    again.add_argument("--plan", type=Path, help="with --url: its accounts (dispatch load-accounts)")
    again.add_argument("--data-dir", type=Path, help="the server's folder")
    again.set_defaults(run=_replay)


def _demo(told: argparse.Namespace) -> int:
    figures = asyncio.run(demo(DemoOptions(told.plan, told.url, told.seconds, told.seed, told.certificate)))
    for text, count in figures.errors.most_common(20):
        print(f"loadtest: {count} x {text}", file=sys.stderr)
    return 0


def _lunch_peak(told: argparse.Namespace) -> int:
    options = Options(
        profile=profile_of(told.profile),
        minutes=told.minutes,
        time_scale=told.time_scale,
        url=told.url.rstrip("/"),
        plan=told.plan,
        campus=told.campus,
        folder=told.data_dir.absolute() if told.data_dir else None,
        processes_url=told.processes_url if told.url else "",
        seed=told.seed,
        is_settled=not told.no_settlement,
        has_coupons=told.coupons,
    )
    outcome = asyncio.run(lunch_peak(options))
    from .report import as_html, as_json, as_text

    print("\n" + as_text(outcome))
    for path, write in ((told.html, as_html), (told.json, as_json)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(write(outcome), encoding="utf-8")
            print(f"wrote {path}")
    if outcome.folder is not None:
        print(f"the server's folder: {outcome.folder}")
    is_missed = any(check.verdict == "misses" for check in outcome.checks())
    return 1 if outcome.faults() or (told.check and is_missed) else 0


def _eta(told: argparse.Namespace) -> int:
    return eta_tracks.run(told.tracks)


def _replay(told: argparse.Namespace) -> int:
    from . import replay, replay_account

    options = replay.Options(
        tracks=told.tracks,
        speed=told.speed,
        watchers=told.watchers,
        days=told.days,
        longest_gap_s=told.longest_gap_s,
        spread_s=told.spread_s,
        most_fixes=told.most_fixes,
        url=told.url.rstrip("/"),
        plan=told.plan,
        data_dir=told.data_dir.absolute() if told.data_dir else None,
        least_share=told.least_share,
    )
    tally = asyncio.run(replay.replay(options))
    print(replay_account.printed(tally, options))
    return 1 if replay_account.faults_of(tally, options.least_share) else 0


def _storm(told: argparse.Namespace) -> int:
    options = storms.Options(told.kind, told.url.rstrip("/"), told.plan, told.connections, told.seconds)
    outcome = asyncio.run(storms.storm(options))
    print(storms.printed(outcome))
    return 1 if outcome.faults else 0


def _check(told: argparse.Namespace) -> int:
    findings = check(told.data_dir, told.database_url, told.payments_database_url)
    print(printed(findings))
    return 0 if all(finding.is_ok for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
