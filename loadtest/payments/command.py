"""``python -m loadtest payments``: what it is told, and what it prints."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from ..open_files import raise_open_files
from . import abandoned, burst, killed, rehearsal

Outcome = burst.Outcome | rehearsal.Outcome | abandoned.Outcome | killed.Outcome

PARTS = ("burst", *rehearsal.TROUBLES, "abandoned", "killed")
#: Without being asked for by name.
USUAL = PARTS[:-1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command may be told."""
    parser.add_argument(
        "--only",
        default=",".join(USUAL),
        help=f"which parts, with commas between: {', '.join(PARTS)} (%(default)s). burst: all order within a moment, "
        "on the demonstration's channel; the others: over two simulated providers, the first of which is well, "
        "stalled, or fails at 23 of 100 calls; abandoned: calls that never come back, and then good ones, of one "
        "process; killed: both fail at random, and the server, a part of it or a provider is killed every few seconds",
    )
    parser.add_argument("--orders", type=int, default=1000, help="of the burst, one by each student (%(default)s)")
    parser.add_argument("--within-s", type=float, default=1.0, help="seconds in which all tap (%(default)g)")
    parser.add_argument("--rehearsed", type=int, default=300, help="orders of each of the other parts (%(default)s)")
    parser.add_argument("--abandoned", type=int, default=1000, help="payments of each kind of that part (%(default)s)")
    parser.add_argument("--over-s", type=float, default=60.0, help="seconds in which those come (%(default)g)")
    parser.add_argument("--workers", type=int, default=2, help="web workers of its own server (%(default)s)")
    parser.add_argument("--database-url", default="", help="PostgreSQL for the server of burst and killed (SQLite)")
    parser.add_argument("--data-dir", type=Path, help="folder of its own servers (temporary ones)")
    parser.add_argument("--seed", type=int, default=1)


def run(told: argparse.Namespace) -> int:
    """0: everything accepted and paid, and the books are well; 1: not; raises ValueError for a wrong number."""
    parts = [part for part in told.only.split(",") if part]
    _check(told, parts)
    raise_open_files()
    faults: list[str] = []
    for part in parts:
        folder = told.data_dir.absolute() / part if told.data_dir else None
        outcome = _played(part, told, folder)
        print(outcome.text())
        faults += [f"{part}: {fault}" for fault in outcome.faults()]
        print()
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0


def _played(part: str, told: argparse.Namespace, folder: Path | None) -> Outcome:
    if part == "burst":
        wanted = burst.Options(told.orders, told.within_s, told.workers, told.seed, told.database_url, folder)
        return asyncio.run(burst.burst(wanted))
    if part == "abandoned":
        return asyncio.run(abandoned.abandon(abandoned.Options(told.abandoned, folder)))
    if part == "killed":
        hard = killed.Options(told.orders, told.over_s, told.workers, told.seed, told.database_url, folder)
        return asyncio.run(killed.kill_and_compare(hard))
    asked = rehearsal.Options(part, told.rehearsed, told.over_s, told.workers, told.seed, folder)
    return asyncio.run(rehearsal.rehearse(asked))


def _check(told: argparse.Namespace, parts: list[str]) -> None:
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise ValueError(f"--only: there are {', '.join(PARTS)}")
    for name, low, high in (
        ("orders", 1, 20_000),
        ("within_s", 0, 3600),
        ("rehearsed", 1, 20_000),
        ("abandoned", 1, 20_000),
        ("over_s", 0, 3600),
        ("workers", 1, 64),
    ):
        if not low <= getattr(told, name) <= high:
            raise ValueError(f"--{name.replace('_', '-')}: {low} to {high}")
