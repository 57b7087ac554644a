"""Structured logs: one JSON object per line, or readable lines on a terminal; phones and tokens never get out."""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

# Attributes that every record has; whatever else a record carries came by ``extra=`` and is shown.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_SECRETS = (
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "[token]"),
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]+"), r"\1 [token]"),
    (re.compile(r"(?i)((?:code|token|password|secret|pin)=)[^\s&\"']+"), r"\1[hidden]"),
    (re.compile(r"(\w+://[^\s:/@]+):[^\s/@]+@"), r"\1:[hidden]@"),
    (re.compile(r"(?<!\d)(1[3-9]\d)\d{4}(\d{4})(?!\d)"), r"\1****\2"),
)
_SECRET_NAMES = frozenset({"token", "password", "secret", "pin", "authorization", "cookie"})


def redact(text: str) -> str:
    """``text`` without tokens, passwords, one-time codes, and with phone numbers masked."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What was given by ``extra=``, fit to be shown."""
    shown: dict[str, Any] = {}
    for name, said in vars(record).items():
        if name in _STANDARD or name.startswith("_"):
            continue
        if name in _SECRET_NAMES:
            shown[name] = "[hidden]"
        elif said is None or isinstance(said, bool | int | float):
            shown[name] = said
        else:
            shown[name] = redact(str(said))
    return shown


class JsonFormatter(logging.Formatter):
    """One object per line, for machines."""

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process_name = process_name

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process_name,
            "pid": record.process,
            "message": redact(record.getMessage()),
        }
        line.update(_fields(record))
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return orjson.dumps(line).decode()


class TextFormatter(logging.Formatter):
    """One readable line, for people."""

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process_name = process_name

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
        extra = "".join(f" {name}={said}" for name, said in _fields(record).items())
        line = f"{at} {record.levelname:<7} {self._process_name:<10} {redact(record.getMessage())}{extra}"
        if record.exc_info:
            line += "\n" + redact(self.formatException(record.exc_info))
        return line


def set_up_logs(level: str, log_format: str, process_name: str) -> None:
    """Send this process's logs to standard error. ``log_format`` is json, text, or auto: text on a terminal."""
    is_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter(process_name) if is_text else JsonFormatter(process_name))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # The server writes its own access log; a debug level is meant for us, not for the libraries.
    for noisy in ("tornado.access", "asyncio", "urllib3", "PIL"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
