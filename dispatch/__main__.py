"""The `dispatch` command: serve, demo, campus, admin, link, sandbox, migrate, doctor, replay."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dispatch.command_line import command_line
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
    told = command_line().parse_args(arguments)
    try:
        code = ACTS[told.command](told)
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
    if told.command != "sandbox script":
        act = administration.sandbox_list if told.command == "sandbox list" else administration.sandbox_clear
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
    if settings.may_move_money:
        print("dispatch load-accounts: refused, because real money may move here", file=sys.stderr)
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


def _replay(told: argparse.Namespace) -> int:
    from dispatch.ticks import command

    # Without a word it is this server's own record.
    told.where = told.where or _settings(told, "replay").effective_record_dir
    return command.run(told)


# What each command of the command line does.
ACTS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "demo": _demo,
    "campus import": _campus_import,
    "campus demo": _campus_demo,
    "campus list": _campus_list,
    "campus show": _campus_show,
    "admin create": _admin_create,
    "link": _link,
    "sandbox script": _sandbox,
    "sandbox list": _sandbox,
    "sandbox clear": _sandbox,
    "migrate": _migrate,
    "doctor": _doctor,
    "load-accounts": _load_accounts,
    "replay": _replay,
    "worker": _worker,
    "demo-setup": _demo_setup,
}

if __name__ == "__main__":
    sys.exit(main())
