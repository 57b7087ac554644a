"""``python -m payments reconcile``: a channel's day against its bill, now, from a terminal; in English and Chinese."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

from payments.assembly import assemble, utc_now
from payments.money import yuan
from payments.port import NoSuchRun
from payments.reconcile.as_csv import items_csv
from payments.reconcile.business_day import CHINA, day_of
from payments.reconcile.view import ReconciliationView, WorkItemView
from payments.settings import Settings, SettingsError, add_env_file, read_settings

Language = Literal["en", "zh", "both"]
#: What is left to do, by the item's state; nothing for the others.
_LEFT = frozenset({"repairing", "open", "taken"})

_DESCRIPTION = (
    "Fetch a channel's bill of a day, compare it with the books line by line, repair what can be repaired and print "
    "what differs. It may be run at any time, beside a server and again: nothing is found twice and no money moves "
    "twice. What the machine is still at is done by the server. Exit code 0: all agrees or is settled · 1: something "
    "is open, or the bill is not there · 2: the settings or the question are wrong.\n\n"
    "取某渠道某日的账单，与账簿逐条比对，能修复的自动修复，打印差异。"
    "可随时运行、可与服务同时运行、可重复运行：不会重复记差异，也不会重复动钱；正在修复的由服务继续。"
    "退出码 0：一致或均已处理 · 1：有未处理的差异或账单未出 · 2：配置或参数有误。"
)
_STATES = {
    "waiting": ("the bill is not there yet", "账单未出"),
    "agreed": ("agrees", "一致"),
    "differing": ("differs", "有差异"),
    "given_up": ("no bill can be had", "未取得账单"),
}
_SIDES = (("paid", "收款"), ("refunded", "退款"), ("split", "分账"), ("taken_back", "回退"), ("transferred", "转账"))


def main(arguments: Sequence[str], now: Callable[[], datetime] = utc_now) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m payments reconcile", description=_DESCRIPTION, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--channel", required=True, help="one of PAYMENTS_CHANNELS · 渠道代码")
    parser.add_argument("--day", type=_day, help="YYYY-MM-DD by the provider's calendar; yesterday · 日期，默认昨天")
    parser.add_argument("--csv", type=_csv, help="write the differences there, - for the terminal · 差异写入 CSV 文件")
    parser.add_argument("--language", choices=("en", "zh", "both"), default="both", help="of what is printed · 语言")
    add_env_file(parser)
    told = parser.parse_args(arguments)
    try:
        settings = read_settings(env_file=told.env_file)
        if told.channel not in settings.channel_names:
            known = ", ".join(settings.channel_names)
            raise NoSuchRun(f"there is no channel {told.channel} in PAYMENTS_CHANNELS; there are · 已配置渠道: {known}")
        day = told.day or day_of(now(), CHINA) - timedelta(days=1)
        run, items = asyncio.run(_reconcile(settings, told.channel, day, now))
    except (SettingsError, NoSuchRun, ValueError) as error:
        print(f"nothing was reconciled · 未对账:\n{error}", file=sys.stderr)
        return 2
    if told.csv == "-":
        print(items_csv(items), end="")
    else:
        print("\n".join(report(run, items, told.language)))
        if told.csv:
            # The mark tells spreadsheets that it is UTF-8.
            Path(told.csv).write_text(items_csv(items), encoding="utf-8-sig", newline="")
    is_settled = run.ran_at is not None and not any(item.state in _LEFT for item in items)
    return 0 if is_settled and not run.reason else 1


def _day(said: str) -> date:
    try:
        return date.fromisoformat(said)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{said!r} is no day as YYYY-MM-DD, for example 2026-03-02") from None


def _csv(said: str) -> str:
    """Where differences can be written, known before any work is done for them."""
    path = Path(said)
    if said != "-" and (path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)):
        raise argparse.ArgumentTypeError(f"cannot be written: {said}")
    return said


async def _reconcile(
    settings: Settings, channel: str, day: date, now: Callable[[], datetime]
) -> tuple[ReconciliationView, list[WorkItemView]]:
    url = settings.effective_database_url
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        raise NoSuchRun(
            f"no payments at {url.removeprefix('sqlite:///')}: is PAYMENTS_DATABASE_URL that of the server?"
        )
    payments = assemble(settings, now)
    try:
        await payments.start()
        if not await payments.upkeep.reconciler.has_begun(channel):
            raise NoSuchRun(f"{channel} never took an order here: is PAYMENTS_DATABASE_URL that of the server?")
        run = await payments.upkeep.reconciler.reconcile(channel, day)
        while await payments.upkeep.reconciler.mend_run(run.id):
            continue
        found = await payments.reconciliation(run.id)
        return found or run, await payments.differences(run.id)
    finally:
        await payments.stop()


def report(run: ReconciliationView, items: Sequence[WorkItemView], language: Language = "both") -> list[str]:
    """The run as lines for people: its state, both sides' sums, and every difference."""
    en, zh = _STATES[run.state]
    lines = [f"{run.channel} {run.day}  {_say(language, en, zh)}{f' ({run.reason})' if run.reason else ''}", ""]
    bill, books = _say(language, "the bill", "账单"), _say(language, "our books", "账簿")
    rows = [("", bill, books)]
    rows += [
        (
            _say(language, side.replace("_", " "), side_zh),
            yuan(getattr(run.sums.theirs, f"{side}_fen")),
            yuan(getattr(run.sums.ours, f"{side}_fen")),
        )
        for side, side_zh in _SIDES
    ]
    lines += _table(rows)
    left = sum(item.state in _LEFT for item in items)
    lines += [
        "",
        _say(
            language,
            f"lines {run.lines}, differences {len(items)}, still open {left}",
            f"账单 {run.lines} 行，差异 {len(items)} 项，未处理 {left} 项",
        ),
    ]
    if items:
        head = ("kind", "cause", "what", "number", "order", "ours", "theirs", "state", "reason")
        lines += ["", *_table([head, *(_row(item) for item in items)])]
    return lines


def _row(item: WorkItemView) -> tuple[str, ...]:
    return (
        item.kind, item.cause, item.what, item.number, item.order_ref or "-", yuan(item.ours_fen),
        yuan(item.theirs_fen), item.state, item.reason,
    )  # fmt: skip


def _say(language: Language, en: str, zh: str) -> str:
    return {"en": en, "zh": zh, "both": f"{en} · {zh}"}[language]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
