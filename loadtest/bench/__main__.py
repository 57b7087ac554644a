"""The command ``python -m loadtest.bench``: measure the hub and the optimizer beside their baselines."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dispatch.assign import Params

from ..mdrp.parameters import Setup, with_changes
from ..own_server import ServerFailed
from . import assign, written
from .busy_ticks import Size
from .crew import CrewFault
from .errands import ErrandFailed
from .lanes import Load
from .machine import Cores, allow_many_files, description, pin, share_out
from .rows import ROWS, Options, about, failed_row
from .servers import NotMeasured
from .table import Report

_ABOUT = """\
Every row starts its own servers, connects everything, warms up, and then measures all servers in turn, round after
round; the figure is the median. The server under test has one core, the generator, Redis and every helper process
another. A row counts only if its conditions hold; they are printed with it. Rows:
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """0: measured; 1: a bound is missed and ``--check`` was given; 2: it could not be measured."""
    told = _parser().parse_args(arguments)
    if told.command == "hub":
        return _hub(told)
    if told.command == "assign":
        return _assign(told)
    try:
        body = json.loads(told.report.read_text(encoding="utf-8"))
        if told.command == "table":
            print(written.markdown(body))
        elif not written.picture(body, told.picture):
            raise ValueError("there is nothing to draw in it")
    except (OSError, ValueError, KeyError, TypeError) as fault:
        print(f"bench: {told.report}: {fault}", file=sys.stderr)
        return 2
    return 0


def _hub(told: argparse.Namespace) -> int:
    names = [name.strip() for name in told.rows.split(",")] if told.rows else list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        print(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    allow_many_files()
    cores = share_out()
    pin(os.getpid(), cores.others)
    try:
        report = asyncio.run(_measure(told, names, cores))
    except OSError as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print("\n" + report.as_text())
    if told.json is not None:
        told.json.parent.mkdir(parents=True, exist_ok=True)
        told.json.write_text(report.as_json(), encoding="utf-8")
        print(f"\nwrote {told.json}")
    if told.plot is not None and written.picture(json.loads(report.as_json()), told.plot):
        print(f"wrote {told.plot}")
    return 1 if told.check and report.missed() else 0


def _assign(told: argparse.Namespace) -> int:
    try:
        sizes = [Size.parsed(text) for text in told.sizes.split(",")]
        if told.rounds is not None and told.rounds < 1:
            raise ValueError(f"--rounds {told.rounds}: must be at least 1")
        if told.quick:
            sizes, told.rounds = [Size(40, 60)], 3
        bench = assign.Bench(assign.campus_of(told.map), with_changes(Setup(Params()), told.param).params)
    except (OSError, ValueError) as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 2
    about = description() | {"map": str(told.map) if told.map else "the demo campus"}
    print("\n".join(f"  {name:<14} {value}" for name, value in about.items()) + "\n\n" + assign.heading())
    outcomes = [bench.measure(size, told.rounds, lambda text: print(text, flush=True)) for size in sizes]
    if told.json is not None:
        told.json.parent.mkdir(parents=True, exist_ok=True)
        told.json.write_text(json.dumps(assign.body(outcomes, about), indent=1) + "\n", encoding="utf-8")
        print(f"\nwrote {told.json}")
    return 1 if told.check and any(one.is_missed for one in outcomes) else 0


def _parser() -> argparse.ArgumentParser:
    rows = "\n".join(f"  {name:<10} {about(name)}" for name in ROWS)
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench", description="What the hub and the optimizer cost, beside plain baselines."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    table = commands.add_parser("table", help="a written report as tables for a document")
    table.add_argument("report", type=Path)
    plot = commands.add_parser("plot", help="a written report as a picture")
    plot.add_argument("report", type=Path)
    plot.add_argument("picture", type=Path)
    ticks = commands.add_parser("assign", help="measure a tick of the planner")
    ticks.add_argument("--sizes", default=",".join(map(str, assign.SIZES)), help="tasks x runners (%(default)s)")
    ticks.add_argument("--rounds", type=int, help="ticks of each size, each of its own seed (100, 40, 12; else 20)")
    ticks.add_argument("--map", type=Path, help="an OpenStreetMap extract of a campus (the demo campus)")
    ticks.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a setting of the optimizer")
    ticks.add_argument("--quick", action="store_true", help="three small ticks: does it work at all?")
    ticks.add_argument("--json", type=Path, help="write everything there")
    ticks.add_argument("--check", action="store_true", help="end with 1 when a bound is missed")
    hub = commands.add_parser(
        "hub", help="measure the hub", description=_ABOUT + rows, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    hub.add_argument("--rows", default="", help="only these, separated by commas (all)")
    hub.add_argument("--servers", default="hub,c,tornado,nchan", help="only these (%(default)s)")
    hub.add_argument("--rounds", type=int, default=5, help="rounds of each server (%(default)s; 5 are needed to count)")
    hub.add_argument("--seconds", type=float, default=8.0, help="measured part of a round (%(default)g)")
    hub.add_argument("--warm-s", type=float, default=2.0, help="unmeasured beginning of a round (%(default)g)")
    hub.add_argument("--runners", type=int, default=500, help="connections that send (%(default)s)")
    hub.add_argument("--rate", type=float, default=5000.0, help="fixes a second, of all together (%(default)g)")
    hub.add_argument(
        "--together", type=int, default=1, help="fixes of different runners due at once (%(default)s: evenly spaced)"
    )
    hub.add_argument("--fences", type=int, default=50, help="geofences on the campus (%(default)s)")
    hub.add_argument("--connections", type=int, default=9000, help="of the rows about many of them (%(default)s)")
    hub.add_argument("--acks", action="store_true", help="runners ask for acknowledgements, as their page does")
    hub.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the server")
    hub.add_argument("--quick", action="store_true", help="50 connections, 2 seconds, 1 round: does it work at all?")
    hub.add_argument("--json", type=Path, help="write everything there")
    hub.add_argument("--plot", type=Path, help="draw processor time per fix there (PNG or SVG)")
    hub.add_argument("--check", action="store_true", help="end with 1 when a bound is missed")
    return parser


async def _measure(told: argparse.Namespace, names: list[str], cores: Cores) -> Report:
    load = Load(told.runners, told.rate, told.seconds, told.warm_s, told.rounds, together=told.together)
    if told.quick:
        load = Load(min(told.runners, 50), min(told.rate, 500.0), min(told.seconds, 2.0), 1.0, 1)
        told.connections = min(told.connections, 300)
    options = Options(
        cores=cores, load=load, fences=told.fences, acks=told.acks,
        connections=told.connections,
        servers=frozenset(told.servers.split(",")), settings=dict(one.split("=", 1) for one in told.set),
        say=lambda text: print(text, flush=True),
    )  # fmt: skip
    rows = []
    for name in names:
        print(f"{name}: {about(name)}", flush=True)
        try:
            rows.append(await ROWS[name](options))
        except (ServerFailed, CrewFault, ErrandFailed, NotMeasured) as fault:
            print(f"  not measured: {fault}", flush=True)
            rows.append(failed_row(name, str(fault)))
    return Report(description(), _conditions(options), " ".join(["python -m loadtest.bench", *sys.argv[1:]]), rows)


def _conditions(options: Options) -> dict[str, str]:
    load, cores = options.load, options.cores
    apart = f"server on core {sorted(cores.server)}, everybody else on {sorted(cores.others)}"
    return {
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load": f"{load.runners} connections, {load.rate:g} fixes/s, {load.seconds:g} s after {load.warm_s:g} s",
        "arrivals": "evenly spaced" if load.together == 1 else f"{load.together} at once",
        "rounds": f"{load.rounds}, servers in turn, median",
        "pinned": apart if cores.are_apart else "one core for all: figures are not comparable",
        "acks": "asked for" if options.acks else "not asked for",
    }


if __name__ == "__main__":
    sys.exit(main())
