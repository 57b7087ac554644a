"""`dispatch replay`: recorded ticks planned again under other settings or by another method, side by side."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from .closed_loop import Day, play_on
from .replay import CannotReplay, Comparison, NothingThere, Recording, Span, replay
from .report import as_html, as_json, as_text
from .variant import Variant, parse_variant

EXIT_FAILED, EXIT_WRONG_COMMAND = 1, 2
_SAY_EVERY = 50


@dataclass(frozen=True, slots=True)
class _Asked:
    where: Path
    campus: str | None
    span: Span
    variant: Variant | None


def run(told: argparse.Namespace) -> int:
    """Do it; gives the exit code (0 well, 1 failed, 2 wrong command line)."""
    try:
        asked = _Asked(told.where, told.campus, _span(told), _variant(told))
    except ValueError as fault:
        _complain(f"{fault}")
        return EXIT_WRONG_COMMAND
    try:
        comparison, days = _compared(asked, is_closed=told.closed)
        said = as_json(comparison, days)
        if told.out is not None or told.plot is not None:
            _draw(told, comparison, days)
        sys.stdout.write((json.dumps(said, indent=2, ensure_ascii=False) if told.json else as_text(said)) + "\n")
    except (CannotReplay, OSError) as fault:
        _complain(f"{fault}")
        # What it was pointed at was wrong: as for a file to import that is not there.
        return EXIT_WRONG_COMMAND if isinstance(fault, NothingThere) else EXIT_FAILED
    if told.check and comparison.same_plan < comparison.ticks:
        _complain("not every recorded plan came out again")
        return EXIT_FAILED
    return 0


def _complain(what: str) -> None:
    sys.stderr.write(f"dispatch replay: {what}\n")


def _variant(told: argparse.Namespace) -> Variant | None:
    if not told.params and told.method is None:
        return None
    found = parse_variant(" ".join(told.params))
    return Variant(found.changes, told.method or found.method)


def _span(told: argparse.Namespace) -> Span:
    if told.every < 1 or (told.most is not None and told.most < 1):
        raise ValueError("--every and --most must be at least 1")
    # Hours of ticks must not be planned again for a page that cannot be written.
    for flag, path in (("--out", told.out), ("--plot", told.plot)):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise ValueError(
                f"{flag} {path}: {'is a folder' if path.is_dir() else f'there is no folder {path.parent}'}"
            )
    return Span(_ms(told.from_at, "--from"), _ms(told.until_at, "--until"), told.every, told.most)


def _ms(said: str | None, flag: str) -> int | None:
    if said is None:
        return None
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise ValueError(f"{flag} {said}: write it as 2026-03-02T11:00:00+08:00") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _compared(asked: _Asked, *, is_closed: bool) -> tuple[Comparison, list[Day]]:
    recording = Recording(asked.where, asked.campus)
    comparison = replay(recording.ticks(asked.span), asked.variant, _say)
    if sys.stderr.isatty():
        sys.stderr.write("\r")
    for fault in recording.unreadable:
        _complain(f"passed over: {fault}")
    if recording.torn:
        _complain(f"{recording.torn} torn records were passed over")
    days = []
    if is_closed:
        # Every tick, for in those that were left out there may be orders that are in no other.
        whole = replace(asked.span, every=1)
        days.append(play_on(recording.ticks(whole), "as recorded", None))
        if asked.variant is not None:
            days.append(play_on(recording.ticks(whole), asked.variant.words(), asked.variant))
    return comparison, days


def _say(count: int) -> None:
    if count % _SAY_EVERY == 0 and sys.stderr.isatty():
        sys.stderr.write(f"\r{count} ticks")
        sys.stderr.flush()


def _draw(told: argparse.Namespace, comparison: Comparison, days: list[Day]) -> None:
    svg = None
    try:
        from .plot import as_svg, draw, save
    except ImportError as fault:
        if told.plot is not None:
            raise CannotReplay(f"--plot needs matplotlib (pip install matplotlib): {fault}") from None
    else:
        figure = draw(comparison, days)
        svg = as_svg(figure)
        if told.plot is not None:
            try:
                save(figure, told.plot)
            except ValueError as fault:
                raise CannotReplay(f"--plot {told.plot}: {fault}") from None
    if told.out is not None:
        told.out.write_text(as_html(as_json(comparison, days), svg), encoding="utf-8")
