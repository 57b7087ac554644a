"""`dispatch demo`: a server with a made-up campus and simulated people, started, shown and ended by one command."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from dispatch.certificate import local_addresses, make_certificate
from dispatch.processes import die_with_parent
from dispatch.settings import PREFIX, read_settings
from dispatch.supervisor import StartFailed, Supervisor

# Only a folder with this file in it is ever emptied.
MARKER = ".campus-dispatch-demo"
FIRST_HOUR = 11
CAMPUS_ZONE = timezone(timedelta(hours=8))
PEOPLE_GRACE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the command line asked for."""

    data_dir: Path = Path("var/demo")
    port: int = 8888
    metrics_port: int = 8889
    time_scale: float = 15.0
    students: int = 24
    runners: int = 10
    seconds: float | None = None
    is_kept: bool = False
    is_lan: bool = False
    is_peopled: bool = True
    is_verbose: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None


async def run_demo(options: DemoOptions) -> int:
    """Run the demo until Ctrl-C, SIGTERM or ``seconds`` have passed; gives the exit code."""
    _prepare_folder(options.data_dir, options.is_kept)
    environ = demo_environ(options, os.environ)
    supervisor = Supervisor(read_settings(environ, env_file=None), environ)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def on_signal() -> None:
        stopped.set()
        supervisor.ask_to_stop()

    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, on_signal)
    people: asyncio.subprocess.Process | None = None
    try:
        print("Starting …", flush=True)
        plan_path = options.data_dir.absolute() / "plan.json"
        await supervisor.start()
        counts = ("--students", str(options.students), "--runners", str(options.runners))
        await supervisor.run_once("demo-setup", "--plan", str(plan_path), *counts)
        await supervisor.wait_ready()
        _show(json.loads(plan_path.read_text()), options)
        if options.is_peopled:
            people = await _start_people(plan_path, supervisor)
        await _until_the_end(stopped, supervisor, people, options.seconds)
        return 0
    except StartFailed as fault:
        if stopped.is_set():
            return 0
        print(f"dispatch demo: {fault}", file=sys.stderr)
        return 1
    finally:
        print("Ending …", flush=True)
        await _end_people(people)
        await supervisor.stop()


def demo_environ(options: DemoOptions, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the demo's server. Settings of a real server are left out, so that a demo never writes made-up
    people into its databases."""
    foreign = ("DATABASE_URL", "PAYMENTS_DATABASE_URL", "REDIS_URL")
    told = {name: text for name, text in environ.items() if not name.startswith(PREFIX) and name not in foreign}
    lunch = datetime.now(CAMPUS_ZONE).replace(hour=FIRST_HOUR, minute=0, second=0, microsecond=0)
    told |= {
        "DISPATCH_DATA_DIR": str(options.data_dir.absolute()),
        "DISPATCH_PORT": str(options.port),
        "DISPATCH_METRICS_PORT": str(options.metrics_port),
        "DISPATCH_DEMO": "1",
        "DISPATCH_SMS": "print",
        "DISPATCH_TIME_SCALE": f"{options.time_scale:g}",
        "DISPATCH_TIME_START": lunch.isoformat(),
        "DISPATCH_LINK_TTL_S": "86400",
        # Whoever plays the runner has 15 seconds of their own time to answer, as on a real campus.
        "DISPATCH_OFFER_TTL_S": f"{min(600.0, max(15.0, 15 * options.time_scale)):g}",
        "DISPATCH_LOG_LEVEL": "info" if options.is_verbose else "warning",
    }
    addresses = local_addresses() if options.is_lan else []
    cert, key = options.tls_cert, options.tls_key
    if options.is_lan and cert is None:
        cert, key = make_certificate(options.data_dir.absolute() / "tls", addresses)
    if cert is not None and key is not None:
        told |= {"DISPATCH_TLS_CERT": str(cert.absolute()), "DISPATCH_TLS_KEY": str(key.absolute())}
    if options.is_lan:
        here = [f"https://{name}:{options.port}" for name in [*addresses, "127.0.0.1", "localhost"]]
        told |= {
            "DISPATCH_HOST": "0.0.0.0",  # noqa: S104 - asked for by --lan
            "DISPATCH_PUBLIC_URL": here[0],
            "DISPATCH_ALLOWED_ORIGINS": ",".join(here),
        }
    return told


def _prepare_folder(folder: Path, is_kept: bool) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise StartFailed(f"{folder} holds something that no demo made: give another folder with --data-dir")
        if _is_in_use(folder):
            raise StartFailed(f"another demo uses {folder}: end it, or give another folder with --data-dir")
        if not is_kept:
            shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / MARKER).touch()


def _is_in_use(folder: Path) -> bool:
    try:
        with (folder / "run" / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _show(plan: Mapping[str, object], options: DemoOptions) -> None:
    """Print the addresses of the pages, ready to open."""
    links = plan["links"]
    assert isinstance(links, dict)
    print("\nThe campus is open. Business time runs " + (
        f"{options.time_scale:g} times as fast.\n" if options.time_scale != 1 else "as fast as yours.\n"))  # fmt: skip
    names = {"console": "Console  控制台", "track": "Student  学生端", "runner": "Runner   骑手端"}
    for page, name in names.items():
        print(f"  {name}   {links[page]}")
    print("\nEach link signs in once. Ctrl-C ends everything.\n", flush=True)


async def _start_people(plan: Path, supervisor: Supervisor) -> asyncio.subprocess.Process:
    certificate = supervisor.child_environ.get("DISPATCH_TLS_CERT")
    url = f"{'https' if certificate else 'http'}://127.0.0.1:{supervisor.port}"
    command = [sys.executable, "-m", "loadtest", "demo", "--plan", str(plan), "--url", url]
    if certificate:
        # Who issued it, and for which name, is the visitors' concern: the people come to this very server.
        command += ["--certificate", certificate]
    return await asyncio.create_subprocess_exec(
        *command, env=supervisor.child_environ, start_new_session=True, preexec_fn=die_with_parent
    )


async def _until_the_end(
    stopped: asyncio.Event,
    supervisor: Supervisor,
    people: asyncio.subprocess.Process | None,
    seconds: float | None,
) -> None:
    """Until somebody asks, the time is over, or the server gives up; says so when the simulated people leave."""
    waits = {asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(supervisor.wait_stop())}
    left = asyncio.ensure_future(people.wait()) if people is not None else None
    if left is not None:
        left.add_done_callback(
            lambda done: (
                done.cancelled() or print(f"The simulated people left (exit code {done.result()}).", flush=True)
            )
        )
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in (*waits, *([left] if left is not None else [])):
            wait.cancel()


async def _end_people(people: asyncio.subprocess.Process | None) -> None:
    if people is None or people.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        people.terminate()
    try:
        await asyncio.wait_for(people.wait(), PEOPLE_GRACE_S)
    except TimeoutError:
        people.kill()
        await people.wait()
