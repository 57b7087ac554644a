"""The command ``python -m payments.simulator``: providers to rehearse with, on this machine."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, time
from pathlib import Path

import msgspec

from payments.channels.china import BEIJING
from payments.simulator.channels import UnknownChannel, builders
from payments.simulator.faults import FAULTS, MEANINGS, OPERATIONS, BadFault, Fault, checked, read
from payments.simulator.house import House, Plan, PortTaken
from payments.simulator.journal import JournalUnreadable
from payments.simulator.people import Habits
from payments.simulator.protocol import BadOption

ABOUT = """\
Payment providers to rehearse with, on this machine alone. They speak the real protocols: they verify your signatures,
sign their answers, keep books of their own, call you back (and again, on the provider's own ladder), make the day's
bills, and do what goes wrong in real life when they are told to. Open the printed address in a browser to see the
orders, pay them as a student would, and let things go wrong.
"""


#: Where the callbacks of a server on this machine are heard, without more settings.
NOTIFY = "http://127.0.0.1:8888/api/v1/payments/callbacks/{channel}"
#: What a merchant agrees on with a provider instead of being given it. Here: what is payable at a desktop, and offered.
AGREED: Mapping[str, Mapping[str, str]] = {
    "wechat": {"trade_type": "native"},
    # 192.0.2.0/24 is nobody's.
    "edupay": {"school_id": "10001", "scene_type": "CANTEEN", "device_ip": "192.0.2.7"},
    "alipay": {"parts_paid_by": "merchant"},
    "unionpay": {"parts_paid_by": "merchant"},
    "campus_card": {"parts_paid_by": "merchant"},
}


def _faults_help() -> str:
    lines = [
        "faults (--fault may be given several times; more at any time on the page or with POST /admin/faults):",
        "  --fault 'NAME [op=OPERATION] [channel=CHANNEL] [order=NUMBER or BEGINNING*] [p=0..1] [count=N] [skip=N]",
        "           [value=…, or ms=… s=… status=… code=… where that reads better]'",
        "  for example  --fault 'delay op=create p=0.1 ms=1500'  --fault 'drop_after op=debit count=3'",
        "",
        *(f"  {name:<20} {MEANINGS[name]}" for name in FAULTS),
        "",
        f"operations: {', '.join(OPERATIONS)}",
    ]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m payments.simulator",
        description=ABOUT,
        epilog=_faults_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--port", type=_port, default=8901, help="first domain (8901; 0 takes any that is free)")
    add("--backup-port", type=_port, default=None, help="backup domain (the port after the first one)")
    add("--channels", default=",".join(builders()), help="which ones, with commas between (%(default)s)")
    add("--state", type=Path, help="file that keeps books and keys over a restart (without it, nothing is kept)")
    add("--rate", type=_rate, default=1.0, help="how many times faster the providers work and re-send (1)")
    add("--calendar-rate", type=_rate, default=1.0, help="how fast their calendar runs, for a hastened server (1)")
    add("--calendar-start", type=_today, metavar="HH:MM", help="when it begins, today in Beijing (now)")
    add("--seed", type=int, default=1, help="the luck of faults and people (1)")
    add("--fault", action="append", metavar="FAULT", help="something that goes wrong, see below")
    add("--faults", type=Path, metavar="FILE", help="a JSON list of faults, as GET /admin/faults shows them")
    add("--students", type=float, default=0.0, metavar="SHARE", help="so many of the orders are paid by themselves (0)")
    add("--think", default="0.2-3", metavar="S-S", help="after so many seconds (0.2-3)")
    add("--option", action="append", default=[], metavar="CHANNEL.NAME=VALUE", help="e.g. wechat.split_permille=1000")
    add("--settings", type=Path, metavar="FILE", help="write what a merchant configures there, as JSON (mode 600)")
    add("--env", type=Path, metavar="FILE", help="the same as variables for the payments of this project (mode 600)")
    add("--notify", metavar="URL", default=NOTIFY, help="where callbacks go, for --env; {channel} in it is the channel")
    return made


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is from 0 to 65535")
    return port


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 1_000_000:
        raise argparse.ArgumentTypeError("a rate is above 0 and at most 1000000")
    return rate


def _today(text: str) -> datetime:
    try:
        return datetime.combine(datetime.now(BEIJING), time.fromisoformat(text), BEIJING)
    except ValueError:
        raise argparse.ArgumentTypeError("a time of the day, as 10:30") from None


def plan_of(given: argparse.Namespace) -> Plan:
    """What the command line asks for; BadFault, BadOption, ValueError with a sentence in it."""
    backup = given.backup_port
    if backup is None:
        backup = given.port + 1 if 0 < given.port < 65535 else 0
    habits = Habits(pay_share=given.students, think_s=_think(given.think))
    wrong = habits.problem()
    if wrong is not None:
        raise ValueError(wrong.replace("pay_share", "--students").replace("think_s", "--think"))
    return Plan(
        channels=tuple(name for name in given.channels.split(",") if name),
        state=given.state,
        port=given.port,
        backup_port=backup,
        seed=given.seed,
        rate=given.rate,
        calendar_rate=given.calendar_rate,
        calendar_start=given.calendar_start,
        faults=_faults(given),
        habits=habits,
        options=_options(given.option),
    )


def _faults(given: argparse.Namespace) -> list[Fault] | None:
    if given.fault is None and given.faults is None:
        return None
    found = [read(text) for text in given.fault or []]
    if given.faults is not None:
        try:
            listed = msgspec.json.decode(given.faults.read_bytes(), type=list[Fault])
        except (OSError, msgspec.DecodeError) as error:
            raise BadFault(f"{given.faults}: {error}") from error
        found += [checked(fault) for fault in listed]
    return found


def _think(text: str) -> tuple[float, float]:
    least, dash, most = text.partition("-")
    try:
        return float(least), float(most if dash else least)
    except ValueError as error:
        raise ValueError("--think: seconds, as in 0.2-3") from error


def _options(given: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        channel, dot, option = name.partition(".")
        if not equals or not dot:
            raise BadOption(f"--option {text!r}: expected CHANNEL.NAME=VALUE")
        found.setdefault(channel, {})[option] = value
    return found


def write_private(path: Path, content: str) -> None:
    """Into a file that nobody else may read: there are private keys in it, if nobody's real ones."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(content)


def as_json(settings: Mapping[str, Mapping[str, str]]) -> str:
    """Channel by channel."""
    return msgspec.json.format(msgspec.json.encode(settings)).decode() + "\n"


def as_variables(settings: Mapping[str, Mapping[str, str]], notify: str = "") -> str:
    """For a ``.env``: a key on one line, with its line ends as two characters. ``notify``: where callbacks go."""
    lines = [f"PAYMENTS_ENVIRONMENT=simulator\nPAYMENTS_CHANNELS={','.join(settings)}"]
    for channel, values in settings.items():
        for name, value in {**values, **AGREED.get(channel, {})}.items():
            if value and name != "environment":
                text = value.strip().replace("\n", "\\n")
                lines.append(f"PAYMENTS_{channel.upper()}_{name.upper()}='{text}'")
        if notify:
            lines.append(f"PAYMENTS_{channel.upper()}_NOTIFY_URL='{notify.replace('{channel}', channel)}'")
    return "\n".join(lines) + "\n"


def _greeting(house: House) -> str:
    lines = [
        f"Payment simulator: {', '.join(house.plan.channels)}",
        f"  page and first domain  {house.base_url}",
        f"  backup domain          {house.backup_url}",
        f"  books                  {house.base_url}/admin/books   settings  {house.base_url}/admin/settings",
        f"  state                  {house.plan.state or 'in memory: gone when this ends (--state FILE keeps it)'}",
        "What the merchant configures (the keys, too: --env FILE, --settings FILE, or /admin/settings):",
    ]
    for channel, values in house.settings().items():
        lines += [f"  {channel}.{name} = {value}" for name, value in values.items() if "\n" not in value and value]
    return "\n".join(lines)


async def serve(plan: Plan, settings: Path | None = None, env: Path | None = None, notify: str = "") -> None:
    """Until SIGINT or SIGTERM. The two files are written once it listens."""
    house = House(plan)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await house.start()
    try:
        if settings is not None:
            write_private(settings, as_json(house.settings()))
        if env is not None:
            write_private(env, as_variables(house.settings(), notify))
        print(_greeting(house), flush=True)
        await ended.wait()
    finally:
        await house.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status; 2 for a command line that cannot work, 1 for a house that cannot start."""
    made = parser()
    given = made.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        plan = plan_of(given)
    except ValueError as error:
        made.error(str(error))
    try:
        asyncio.run(serve(plan, given.settings, given.env, given.notify))
    except (UnknownChannel, BadOption) as error:
        made.error(str(error))
    except (PortTaken, JournalUnreadable, OSError) as error:
        if isinstance(error, JournalUnreadable) and "is locked" in str(error):
            error = JournalUnreadable(f"another simulator uses {plan.state}: end it, or give another file with --state")
        print(f"python -m payments.simulator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
