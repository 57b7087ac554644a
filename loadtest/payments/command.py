"""``python -m loadtest payments``: what it is told, and what it prints."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from ..open_files import raise_open_files
from .burst import Options, burst


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command may be told."""
    parser.add_argument("--orders", type=int, default=1000, help="one by each student (%(default)s)")
    parser.add_argument("--within-s", type=float, default=1.0, help="seconds in which all tap (%(default)g)")
    parser.add_argument("--workers", type=int, default=2, help="web workers of its own server (%(default)s)")
    parser.add_argument("--database-url", default="", help="PostgreSQL for its own server (SQLite)")
    parser.add_argument("--data-dir", type=Path, help="folder of its own server (a temporary one)")
    parser.add_argument("--seed", type=int, default=1)


def run(told: argparse.Namespace) -> int:
    """0: everything accepted and paid, and the books are well; 1: not; raises ValueError for a wrong number."""
    if not 1 <= told.orders <= 20_000:
        raise ValueError("--orders: 1 to 20000")
    if not 0 <= told.within_s <= 3600:
        raise ValueError("--within-s: 0 to 3600")
    if not 1 <= told.workers <= 64:
        raise ValueError("--workers: 1 to 64")
    raise_open_files()
    folder = told.data_dir.absolute() if told.data_dir else None
    outcome = asyncio.run(
        burst(Options(told.orders, told.within_s, told.workers, told.seed, told.database_url, folder))
    )
    print(outcome.text())
    faults = outcome.faults()
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0
