"""The command ``python -m loadtest.mdrp``: play instances with several policies and say how each did."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

from .figures import Day, mean_of_instances, pooled
from .parameters import CHOSEN, BadParameter, Setup, with_changes
from .reader import BadInstance, is_instance, read_instance
from .session import NAMES, POLICIES, Job, run_all
from .sets import ALL, SETS, days_of
from .table import text
from .verdicts import Bound, match30_ratio, verdicts

_ABOUT = """\
Plays instances of the public Meal Delivery Routing Problem minute by minute and prints click-to-door, undelivered
orders and the like beside baselines. Every day is checked by a strict validator. Policies:
"""


class Unusable(Exception):
    """What was asked for cannot be done; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0: played; 1: a rule is broken, or a bound is missed and ``--check`` was given; 2: it could not be played."""
    told = _parser().parse_args(arguments)
    try:
        setup = with_changes(CHOSEN, told.param)
        policies = _policies(told.policies)
        folders = _folders(told.dirs, told.only, told.set)
        _check_outputs(told)
        jobs = [Job(folder, policy, setup, told.solutions) for folder in folders for policy in policies]
        days = _play(jobs, told.processes)
        bounds = verdicts(days) if "ours" in policies else []
        print(text(days, policies, bounds, not told.brief))
        if told.json:
            told.json.write_text(json.dumps(as_json(days, policies, bounds, setup), indent=1) + "\n", "utf-8")
        if told.plot:
            _draw(told.plot, days, policies)
    except (Unusable, BadInstance, BadParameter, OSError) as fault:
        print(f"mdrp: {fault}", file=sys.stderr)
        return 2
    is_broken = any(d.faults for d in days)
    return int(is_broken or (told.check and any(bound.is_missed for bound in bounds)))


def as_json(days: Sequence[Day], policies: Sequence[str], bounds: Sequence[Bound], setup: Setup) -> dict[str, object]:
    """Everything that is printed, unrounded, with the parameters that it came from."""
    sets: dict[str, object] = {}
    for set_name, (title, _) in SETS.items():
        for half, chosen in (("", None), (":chosen", True), (":not_seen", False)):
            of = {policy: days_of(days, set_name, policy, chosen) for policy in policies}
            sets[set_name + half] = {"title": title} | {
                policy: {"mean_of_instances": asdict(mean_of_instances(some)), "pooled": asdict(pooled(some))}
                for policy, some in of.items()
                if some
            }
    return {
        "setup": asdict(setup),
        "match30_to_exact": match30_ratio(days),
        "verdicts": [
            asdict(b) | {"verdict": b.judged(b.must), "aim_verdict": None if b.aim is None else b.judged(b.aim)}
            for b in bounds
        ],
        "sets": sets,
        "instances": [
            {"instance": d.instance, "policy": d.policy, "chosen": d.chosen, "seconds": d.seconds, "faults": d.faults}
            | asdict(pooled([d]))
            for d in days
        ],
    }


def _play(jobs: Sequence[Job], processes: int) -> list[Day]:
    days: list[Day] = []
    for done in run_all(jobs, max(1, min(processes, len(jobs)))):
        days.append(done)
        fault = f"  {len(done.faults)} FAULTS" if done.faults else ""
        took = f"{done.seconds:6.1f} s"
        print(
            f"[{len(days)}/{len(jobs)}] {done.instance:<18} {done.policy:<9} {took}{fault}", file=sys.stderr, flush=True
        )
    return sorted(days, key=lambda d: d.instance)


def _draw(path: Path, days: Sequence[Day], policies: Sequence[str]) -> None:
    try:
        from .plot import draw
    except ImportError as fault:
        raise Unusable(f"--plot needs matplotlib: {fault}") from None
    draw(path, days, policies)


def _check_outputs(told: argparse.Namespace) -> None:
    """A day of playing must not end in a place where nothing can be written: it is looked at before the first."""
    if told.processes < 1:
        raise Unusable(f"--processes {told.processes}: must be at least 1")
    for flag, path in (("--json", told.json), ("--plot", told.plot)):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise Unusable(f"{flag} {path}: {'is a folder' if path.is_dir() else f'there is no folder {path.parent}'}")
    if told.solutions is not None and told.solutions.exists() and not told.solutions.is_dir():
        raise Unusable(f"--solutions {told.solutions}: is no folder")


def _policies(told: str) -> list[str]:
    names = [name.strip() for name in told.split(",") if name.strip()]
    if unknown := [name for name in names if name not in NAMES]:
        raise Unusable(f"no such policy: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if not names:
        raise Unusable(f"--policies names none; there are {', '.join(NAMES)}")
    return list(dict.fromkeys(names))


def _folders(dirs: Sequence[Path], only: str | None, set_name: str) -> list[Path]:
    """Instances among what was named: a folder is one, or holds some."""
    found: dict[str, Path] = {}
    for given in dirs:
        if not given.is_dir():
            raise Unusable(f"{given}: no such folder")
        inside = [given] if is_instance(given) else sorted(p for p in given.iterdir() if is_instance(p))
        if not inside:
            read_instance(given)  # says which file is missing
        found |= {p.resolve().name: p for p in inside}
    belongs = SETS[set_name][1]
    chosen = [p for name, p in found.items() if belongs(name) and (only is None or fnmatchcase(name, only))]
    if not chosen:
        raise Unusable("no instance is left to play")
    return chosen


def _parser() -> argparse.ArgumentParser:
    about = _ABOUT + "".join(f"  {name:<10}{what}\n" for name, (what, _) in POLICIES.items())
    about += "  bound     what physics leaves; its undelivered orders could be delivered by nobody\n"
    parser = argparse.ArgumentParser(
        "python -m loadtest.mdrp", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("dirs", nargs="+", type=Path, metavar="DIR", help="an instance, or a folder that holds some")
    add("--policies", default="bound,greedy,match30,ours", help="which, with commas between (default: %(default)s)")
    add("--set", choices=tuple(SETS), default=ALL, help="only the instances of this published set")
    add("--only", metavar="GLOB", help="only instances whose name fits")
    add("--param", action="append", default=[], metavar="NAME=VALUE", help="change a parameter of the optimizer")
    add("--processes", type=int, default=2, metavar="N", help="days played at the same time (default: %(default)s)")
    add("--brief", action="store_true", help="the sets alone, not every instance")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--plot", type=Path, metavar="FILE", help="draw them there (PNG)")
    add("--solutions", type=Path, metavar="DIR", help="write the published evaluator's three files there")
    add("--check", action="store_true", help="exit with 1 when a bound is missed")
    return parser
