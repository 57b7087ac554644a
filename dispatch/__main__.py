"""The `dispatch` command: serve, demo, campus, admin, link, sandbox, migrate, doctor."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

from dispatch import __version__, parse
from dispatch.settings import Settings, SettingsError, gather_environ, read_settings

# A flag of the command line is a setting given for this one time: it stands above the environment.
FLAGS = {
    "data_dir": "DISPATCH_DATA_DIR",
    "host": "DISPATCH_HOST",
    "port": "DISPATCH_PORT",
    "workers": "DISPATCH_WORKERS",
    "roles": "DISPATCH_ROLES",
    "time_scale": "DISPATCH_TIME_SCALE",
}
EXIT_WRONG_SETTING = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code (0 well, 1 failed, 2 wrong command line or setting)."""
    told = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = told.run
    try:
        code = run(told)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing must be written to them at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SettingsError as fault:
        for line in fault.faults:
            print(f"dispatch: {line}", file=sys.stderr)
        return EXIT_WRONG_SETTING
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
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
    _add_internal(commands)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
T = TypeVar("T")


def _reader(read: parse.Reader[T]) -> parse.Reader[T]:
    """A reader of a flag's text: what is legal is said beside the flag's name."""

    def of_flag(said: str) -> T:
        try:
            return read(said)
        except ValueError as fault:
            raise argparse.ArgumentTypeError(f"{said!r} {fault}") from None

    return of_flag


def _command(
    commands: Commands, name: str, about: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=about, description=about)
    command.set_defaults(run=run)
    command.add_argument("--data-dir", metavar="FOLDER", help="folder of the databases and secrets")
    return command


def _add_serve(commands: Commands) -> None:
    serve = _command(
        commands, "serve", "Run the server until Ctrl-C or SIGTERM; SIGHUP replaces its processes.", _serve
    )
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", help="port to listen on (8888)")
    serve.add_argument("--workers", help="processes that serve pages and sockets (1)")
    serve.add_argument("--roles", help="parts that this machine runs (web,planner,jobs)")
    serve.add_argument("--time-scale", help="how fast business time runs; sandbox channels only (1)")


def _add_demo(commands: Commands) -> None:
    about = "Start everything with a made-up campus and simulated people; Ctrl-C ends it and leaves nothing behind."
    demo = commands.add_parser("demo", help=about, description=about)
    demo.set_defaults(run=_demo)
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
    bring = _command(actions, "import", about, _campus_import)
    bring.add_argument("file", type=Path, metavar="FILE")
    bring.add_argument("--name", required=True, type=_reader(parse.spoken(80)), help="what people call the campus")
    bring.add_argument(
        "--timezone", default="Asia/Shanghai", type=_reader(parse.time_zone), help="where its clocks are (%(default)s)"
    )
    made_up = _command(actions, "demo", "Add the made-up campus of the demonstration.", _campus_demo)
    made_up.add_argument("--name", type=_reader(parse.spoken(80)), help="another name than its own")
    _command(actions, "list", "List the campuses.", _campus_list)
    show = _command(actions, "show", "Show one campus: boundary, buildings, paths, settings.", _campus_show)
    show.add_argument("campus", metavar="ID", help="id or name")


def _add_admin(commands: Commands) -> None:
    about = "Manage administrators."
    admin = commands.add_parser("admin", help=about, description=about)
    actions = admin.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = _command(actions, "create", "Create an administrator and print a one-time link to sign in.", _admin_create)
    create.add_argument("--phone", required=True, type=_reader(parse.phone), help="mobile number, 11 digits")
    create.add_argument("--name", required=True, type=_reader(parse.spoken(40)), help="what colleagues see")
    create.add_argument("--campus", help="id or name of the campus; needed when there are several")

    about = "Print a one-time link that signs an account in: for whoever forgot a password and gets no text messages."
    link = _command(commands, "link", about, _link)
    link.add_argument("--phone", required=True, type=_reader(parse.phone), help="the account's mobile number")
    link.add_argument("--campus", help="id or name of the campus; needed when the account has several")


def _add_sandbox(commands: Commands) -> None:
    about = "Let the sandbox's institution misbehave; refused unless every channel is the sandbox."
    sandbox = commands.add_parser("sandbox", help=about, description=about)
    actions = sandbox.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="action")
    script = _command(actions, "script", "Let a fault happen to an order, or to any.", _sandbox)
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
    _command(actions, "list", "List the faults still to happen.", _sandbox)
    _command(actions, "clear", "Let no more faults happen.", _sandbox)


def _fault(said: str) -> str:
    from payments.channels.sandbox_books import FAULTS

    return parse.one_of(*FAULTS)(said)


def _add_upkeep(commands: Commands) -> None:
    _command(commands, "migrate", "Bring the databases to this version's tables.", _migrate)
    doctor = _command(
        commands, "doctor", "Check the set-up and say what to do; exit code 1 when something fails.", _doctor
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    about = "Create accounts for a load test; refused unless every channel is the sandbox."
    load = _command(commands, "load-accounts", about, _load_accounts)
    load.add_argument("--students", type=int, default=100, help="(%(default)s)")
    load.add_argument("--runners", type=int, default=20, help="(%(default)s)")
    load.add_argument("--operators", type=int, default=1, help="(%(default)s)")
    load.add_argument("--campus", help="id or name of the campus; needed when there are several")
    load.add_argument("--plan", type=Path, required=True, metavar="FILE", help="where phones and passwords are written")


def _add_internal(commands: Commands) -> None:
    """Commands that a server gives to its own processes; not shown."""
    worker = commands.add_parser("worker")
    worker.set_defaults(run=_worker)
    worker.add_argument("--role", required=True)
    worker.add_argument("--index", type=int, default=0)
    worker.add_argument("--parent", type=int, required=True)
    worker.add_argument("--listen-fd", type=int)
    worker.add_argument("--ready-fd", type=int, required=True)
    setup = commands.add_parser("demo-setup")
    setup.set_defaults(run=_demo_setup)
    setup.add_argument("--plan", type=Path, required=True)
    setup.add_argument("--students", type=int, required=True)
    setup.add_argument("--runners", type=int, required=True)


def _environ(told: argparse.Namespace) -> dict[str, str]:
    environ = dict(os.environ) if told.inherit else gather_environ(os.environ, Path(".env"))
    for flag, name in FLAGS.items():
        if (said := getattr(told, flag, None)) is not None:
            environ[name] = str(said)
    return environ


def _settings(told: argparse.Namespace, process_name: str) -> Settings:
    from dispatch.logs import set_up_logs

    settings = read_settings(_environ(told), env_file=None)
    set_up_logs(settings.log_level, settings.log_format, process_name)
    return settings


def _serve(told: argparse.Namespace) -> int:
    from dispatch.supervisor import Supervisor

    settings = _settings(told, "supervisor")
    return asyncio.run(Supervisor(settings, _environ(told)).run())


def _demo(told: argparse.Namespace) -> int:
    from dispatch.demo import DemoOptions, run_demo
    from dispatch.logs import set_up_logs
    from dispatch.supervisor import StartFailed

    if (told.tls_cert is None) != (told.tls_key is None):
        print("dispatch demo: give --tls-cert and --tls-key, or neither", file=sys.stderr)
        return EXIT_WRONG_SETTING
    set_up_logs("info" if told.verbose else "warning", "auto", "supervisor")
    options = DemoOptions(
        data_dir=told.data_dir,
        port=told.port,
        metrics_port=told.metrics_port,
        time_scale=told.time_scale,
        students=told.students,
        runners=told.runners,
        seconds=told.seconds,
        is_kept=told.keep,
        is_lan=told.lan,
        is_peopled=not told.no_people,
        is_verbose=told.verbose,
        tls_cert=told.tls_cert,
        tls_key=told.tls_key,
    )
    try:
        return asyncio.run(run_demo(options))
    except StartFailed as fault:
        print(f"dispatch demo: {fault}", file=sys.stderr)
        return 1


def _campus_import(told: argparse.Namespace) -> int:
    from dispatch import app

    if not told.file.is_file():
        print(f"dispatch campus import: there is no file {told.file}", file=sys.stderr)
        return EXIT_WRONG_SETTING
    return _say(lambda: app.campus_import(_settings(told, "import"), told.file, told.name, told.timezone))


def _campus_demo(told: argparse.Namespace) -> int:
    from dispatch import administration

    return _say(lambda: administration.campus_demo(_settings(told, "campus"), told.name))


def _campus_list(told: argparse.Namespace) -> int:
    from dispatch import app

    return _say(lambda: app.campus_list(_settings(told, "campus")))


def _campus_show(told: argparse.Namespace) -> int:
    from dispatch import app

    return _say(lambda: app.campus_show(_settings(told, "campus"), told.campus))


def _admin_create(told: argparse.Namespace) -> int:
    from dispatch import app

    return _say(lambda: app.admin_create(_settings(told, "admin"), told.phone, told.name, told.campus))


def _link(told: argparse.Namespace) -> int:
    from dispatch import administration

    return _say(lambda: administration.make_link(_settings(told, "link"), told.phone, told.campus))


def _sandbox(told: argparse.Namespace) -> int:
    from dispatch import administration

    settings = _settings(told, "sandbox")
    if not _is_sandboxed(settings, "sandbox"):
        return 1
    if told.action != "script":
        act = administration.sandbox_list if told.action == "list" else administration.sandbox_clear
        return _say(lambda: act(settings))
    said = {"order_id": told.order, "count": told.count, "value": told.value, "channel": told.channel}
    return _say(lambda: administration.sandbox_script(settings, told.fault, **said))


def _is_sandboxed(settings: Settings, command: str) -> bool:
    if not settings.is_sandbox_only:
        print(f"dispatch {command}: refused, because a real payment channel is set", file=sys.stderr)
    return settings.is_sandbox_only


def _migrate(told: argparse.Namespace) -> int:
    from dispatch import app

    def act() -> str:
        said = app.migrate(_settings(told, "migrate"))
        # To whoever started a server it is news only when it fails.
        return "" if told.inherit else said

    return _say(act)


def _load_accounts(told: argparse.Namespace) -> int:
    from dispatch import app

    settings = _settings(told, "accounts")
    if not _is_sandboxed(settings, "load-accounts"):
        return 1
    counts = {"students": told.students, "runners": told.runners, "operators": told.operators}
    return _say(lambda: _write_plan(told.plan, app.load_accounts(settings, campus=told.campus, **counts)))


def _demo_setup(told: argparse.Namespace) -> int:
    from dispatch import app

    settings = _settings(told, "demo-setup")
    plan = app.demo_setup(settings, students=told.students, runners=told.runners)
    _write_plan(told.plan, plan)
    return 0


def _write_plan(path: Path, plan: dict[str, object]) -> str:
    """A plan holds passwords: nobody else may read it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(plan, out, ensure_ascii=False, indent=1)
    return f"wrote {path}"


def _say(act: Callable[[], str]) -> int:
    """Print what a command has to say; a refusal is one line and exit code 1."""
    from dispatch.model.errors import Refusal

    try:
        said = act()
    except (Refusal, ValueError, OSError) as fault:
        if isinstance(fault, SettingsError):
            raise
        print(f"dispatch: {fault}", file=sys.stderr)
        return 1
    if said:
        print(said)
    return 0


def _doctor(told: argparse.Namespace) -> int:
    from dispatch.doctor import examine, show

    settings = _settings(told, "doctor")
    return show(asyncio.run(examine(settings)), as_json=told.json)


def _worker(told: argparse.Namespace) -> int:
    from dispatch.processes import follow_parent, raise_open_files

    follow_parent(told.parent)
    raise_open_files()
    settings = _settings(told, f"{told.role}-{told.index}")
    from dispatch import app

    def ready() -> None:
        os.write(told.ready_fd, b"1")
        os.close(told.ready_fd)

    app.run_child(settings, role=told.role, index=told.index, listen_fd=told.listen_fd, ready=ready)
    return 0


if __name__ == "__main__":
    sys.exit(main())
