"""The command line of `dispatch`: which commands there are, and what may be said to each."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias, TypeVar

from dispatch import __version__, parse

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
T = TypeVar("T")


def command_line() -> argparse.ArgumentParser:
    """What reads the words after `dispatch`; which command they name is told as `command`, such as "campus import"."""
    parser = argparse.ArgumentParser(
        prog="dispatch",
        description="A campus errand service: live runner tracking, dispatch, and money in escrow until delivery.",
        epilog="Settings come from the environment and .env (see .env.example); flags stand above them.",
    )
    parser.add_argument("--version", action="version", version=f"dispatch {__version__}")
    # For the processes that a server starts itself: their environment is complete, .env was read before.
    parser.add_argument("--inherit", action="store_true", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_demo(commands)
    _add_campus(commands)
    _add_admin(commands)
    _add_sandbox(commands)
    _add_upkeep(commands)
    _add_replay(commands)
    _add_internal(commands)
    return parser


def _reader(read: parse.Reader[T]) -> parse.Reader[T]:
    """A reader of a flag's text: what is legal is said beside the flag's name."""

    def of_flag(said: str) -> T:
        try:
            return read(said)
        except ValueError as fault:
            raise argparse.ArgumentTypeError(f"{said!r} {fault}") from None

    return of_flag


def _told(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Let what was read say which command it was: the words after `dispatch`, as in its usage line."""
    command.set_defaults(command=command.prog.removeprefix("dispatch "))
    return command


def _command(commands: Commands, name: str, about: str) -> argparse.ArgumentParser:
    command = _told(commands.add_parser(name, help=about, description=about))
    command.add_argument("--data-dir", metavar="FOLDER", help="folder of the databases and secrets")
    return command


def _add_serve(commands: Commands) -> None:
    about = "Run the server until Ctrl-C or SIGTERM; SIGHUP replaces its processes."
    serve = _command(commands, "serve", about)
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", help="port to listen on (8888)")
    serve.add_argument("--workers", help="processes that serve pages and sockets (1)")
    serve.add_argument("--roles", help="parts that this machine runs (web,planner,jobs)")
    serve.add_argument("--time-scale", help="how fast business time runs; only where no real money moves (1)")


def _add_demo(commands: Commands) -> None:
    about = "Start everything with a made-up campus and simulated people; Ctrl-C ends it and leaves nothing behind."
    more = (
        "It reads no .env. PAYMENTS_* that are exported reach it: set -a; . ./payments.env; set +a. Its students pay "
        "by the channel sandbox, so keep that one among PAYMENTS_CHANNELS, or start it with --no-people."
    )
    demo = _told(commands.add_parser("demo", help=about, description=about, epilog=more))
    demo.add_argument("--port", type=int, default=8888, help="port to listen on (%(default)s)")
    demo.add_argument("--metrics-port", type=int, default=8889, help="port of the operators' figures; 0: none")
    demo.add_argument("--time-scale", type=float, default=15.0, help="how fast business time runs (%(default)g)")
    demo.add_argument("--students", type=int, default=24, help="simulated students (%(default)s)")
    demo.add_argument("--runners", type=int, default=10, help="simulated runners (%(default)s)")
    demo.add_argument("--no-people", action="store_true", help="start without simulated people")
    demo.add_argument("--seconds", type=float, help="end by itself after so many seconds")
    demo.add_argument("--data-dir", type=Path, default=Path("var/demo"), metavar="FOLDER", help="(%(default)s)")
    demo.add_argument("--keep", action="store_true", help="go on with what the demo before left")
    demo.add_argument("--lan", action="store_true", help="serve the local network over TLS, so that phones may join")
    demo.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate for it, PEM (self-signed)")
    demo.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key, PEM")
    demo.add_argument("--verbose", action="store_true", help="show what the server logs")


def _add_campus(commands: Commands) -> None:
    about = "Import a campus from a map, or show those there are."
    campus = commands.add_parser("campus", help=about, description=about)
    actions = campus.add_subparsers(title="commands", metavar="COMMAND", required=True)
    about = "Import a campus from OpenStreetMap XML (.osm, .osm.gz) or GeoJSON."
    bring = _command(actions, "import", about)
    bring.add_argument("file", type=Path, metavar="FILE")
    bring.add_argument("--name", required=True, type=_reader(parse.spoken(80)), help="what people call the campus")
    bring.add_argument(
        "--timezone", default="Asia/Shanghai", type=_reader(parse.time_zone), help="where its clocks are (%(default)s)"
    )
    made_up = _command(actions, "demo", "Add the made-up campus of the demonstration.")
    made_up.add_argument("--name", type=_reader(parse.spoken(80)), help="another name than its own")
    _command(actions, "list", "List the campuses.")
    show = _command(actions, "show", "Show one campus: boundary, buildings, paths, settings.")
    show.add_argument("campus", metavar="ID", help="id or name")


def _add_admin(commands: Commands) -> None:
    about = "Manage administrators."
    admin = commands.add_parser("admin", help=about, description=about)
    actions = admin.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = _command(actions, "create", "Create an administrator and print a one-time link to sign in.")
    create.add_argument("--phone", required=True, type=_reader(parse.phone), help="mobile number, 11 digits")
    create.add_argument("--name", required=True, type=_reader(parse.spoken(40)), help="what colleagues see")
    create.add_argument("--campus", help="id or name of the campus; needed when there are several")

    about = "Print a one-time link that signs an account in: for whoever forgot a password and gets no text messages."
    link = _command(commands, "link", about)
    link.add_argument("--phone", required=True, type=_reader(parse.phone), help="the account's mobile number")
    link.add_argument("--campus", help="id or name of the campus; needed when the account has several")


def _add_sandbox(commands: Commands) -> None:
    about = "Let the sandbox's institution misbehave; refused unless every channel is the sandbox."
    sandbox = commands.add_parser("sandbox", help=about, description=about)
    actions = sandbox.add_subparsers(title="commands", metavar="COMMAND", required=True)
    script = _command(actions, "script", "Let a fault happen to an order, or to any.")
    script.add_argument(
        "fault", metavar="FAULT", type=_reader(_fault), help="as slow, late, lost; a wrong one lists all"
    )
    whose = script.add_mutually_exclusive_group(required=True)
    whose.add_argument("--order", metavar="ORD", help="only to this order")
    whose.add_argument("--all", action="store_const", dest="order", const="*", help="to whichever order comes next")
    counted = _reader(parse.integer(1, 1000))
    script.add_argument("--count", type=counted, default=1, help="how many times (%(default)s)")
    script.add_argument("--value", default="", help="seconds of slow and late, party of split_fails")
    script.add_argument("--channel", default="*", help="only on this channel (all)")
    _command(actions, "list", "List the faults still to happen.")
    _command(actions, "clear", "Let no more faults happen.")


def _fault(said: str) -> str:
    from payments.channels.sandbox_books import FAULTS

    return parse.one_of(*FAULTS)(said)


def _add_upkeep(commands: Commands) -> None:
    _command(commands, "migrate", "Bring the databases to this version's tables.")
    about = "Check the set-up and say what to do; exit code 1 when something fails."
    doctor = _command(commands, "doctor", about)
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    about = "Create accounts for a load test; refused where real money may move."
    load = _command(commands, "load-accounts", about)
    load.add_argument("--students", type=int, default=100, help="(%(default)s)")
    load.add_argument("--runners", type=int, default=20, help="(%(default)s)")
    load.add_argument("--operators", type=int, default=1, help="(%(default)s)")
    load.add_argument("--campus", help="id or name of the campus; needed when there are several")
    load.add_argument("--plan", type=Path, required=True, metavar="FILE", help="where phones and passwords are written")


def _add_replay(commands: Commands) -> None:
    replay = _command(commands, "replay", "Plan recorded ticks again, also under other settings, side by side.")
    about = "a .ticks file, or a folder of them (what this server recorded)"
    replay.add_argument("where", type=Path, nargs="?", metavar="FILE|FOLDER", help=about)
    replay.add_argument("--params", nargs="+", default=[], metavar="NAME=VALUE", help="settings to plan with instead")
    replay.add_argument("--method", choices=("optimizer", "greedy"), help="method to plan with instead")
    replay.add_argument("--campus", metavar="ID", help="whose ticks, where the folder holds several campuses'")
    replay.add_argument("--from", dest="from_at", metavar="TIME", help="first tick, as 2026-03-02T11:00:00+08:00")
    replay.add_argument("--until", dest="until_at", metavar="TIME", help="only the ticks before this time")
    replay.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth tick (%(default)s)")
    replay.add_argument("--most", type=int, metavar="N", help="at most so many ticks")
    about = "also play the day on: runners do what each plan says, instead of what they did"
    replay.add_argument("--closed", action="store_true", help=about)
    about = "fail unless every recorded plan comes out again, byte for byte"
    replay.add_argument("--check", action="store_true", help=about)
    replay.add_argument("--out", type=Path, metavar="FILE.html", help="write a page with the tables and the plot")
    replay.add_argument("--plot", type=Path, metavar="FILE", help="write the plot (png, svg, pdf); needs matplotlib")
    replay.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_internal(commands: Commands) -> None:
    """Commands that a server gives to its own processes; not shown."""
    worker = _told(commands.add_parser("worker"))
    worker.add_argument("--role", required=True)
    worker.add_argument("--index", type=int, default=0)
    worker.add_argument("--parent", type=int, required=True)
    worker.add_argument("--listen-fd", type=int)
    worker.add_argument("--ready-fd", type=int, required=True)
    setup = _told(commands.add_parser("demo-setup"))
    setup.add_argument("--plan", type=Path, required=True)
    setup.add_argument("--students", type=int, required=True)
    setup.add_argument("--runners", type=int, required=True)
