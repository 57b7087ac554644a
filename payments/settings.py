"""Settings of payments, read once from the environment and ``.env`` and then frozen; a wrong one stops the start."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values

from payments.channel_settings import (
    KINDS,
    PREFIX,
    ChannelSetting,
    field_names,
    kind_of,
    read_channel,
    variable_of,
)
from payments.guards.risk import RuleBook, read_rules
from payments.guards.second_factor_act import Thresholds
from payments.key_files import make_keys, read_keys, read_secret
from payments.service.internal_signing import LOOPBACK
from payments.terms import Terms
from payments.terms_settings import TERM_SETTINGS, read_terms
from payments.upkeep.alarms import ServiceHours
from payments.upkeep.service_hours import read_hours
from payments.upkeep.webhook import WebhookConfig

ENVIRONMENTS = ("live", "sandbox", "simulator")
_VARIABLE = re.compile(rf"{PREFIX}[A-Z0-9_]+")
LEVELS = ("debug", "info", "warning", "error")


class SettingsError(ValueError):
    """One or more settings are wrong; the text names each variable and what would be legal, never a secret."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _text(said: str) -> str:
    return said


def _one_of(*legal: str) -> Callable[[str], str]:
    def read(said: str) -> str:
        if said not in legal:
            raise ValueError(f"must be {', '.join(legal[:-1])} or {legal[-1]}")
        return said

    return read


def _port(said: str) -> int:
    if not said.isdecimal() or int(said) > 65535:
        raise ValueError("must be a whole number from 0 to 65535")
    return int(said)


def _names(said: str) -> tuple[str, ...]:
    names = tuple(each.strip() for each in said.split(",") if each.strip())
    if not names or len(set(names)) != len(names):
        raise ValueError("must name at least one channel, each once")
    for name in names:
        kind_of(name)
    return names


def _path(said: str) -> Path:
    path = Path(said).expanduser()
    if not path.is_absolute():
        raise ValueError("must be an absolute path, so that it means the same wherever the process is started")
    return path


def _database_url(said: str) -> str:
    if said.startswith(("sqlite:////", "postgresql://", "postgresql+psycopg://")):
        return said
    raise ValueError("must be postgresql://user:password@host/name or sqlite:////absolute/path.db")


def _web_url(said: str) -> str:
    parts = urlsplit(said)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("must be an address as https://errands.example.edu")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("must be https, except on this machine")
    return said.rstrip("/")


def _thresholds(said: str) -> Thresholds:
    return msgspec.json.decode(said, type=Thresholds)


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "campus-payments"


def _setting(env: str, read: Callable[[str], Any], default: Any, about: str) -> Any:
    """A field: the variable that sets it, how its text is read, and what it is for."""
    metadata = {"env": PREFIX + env, "read": read, "about": about}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """What one payments process was told."""

    environment: str = _setting("ENVIRONMENT", _one_of(*ENVIRONMENTS), "sandbox",
        "live, sandbox or simulator; every channel must be of the same one")  # fmt: skip
    channel_names: tuple[str, ...] = _setting("CHANNELS", _names, ("sandbox", "sandbox_backup"),
        "ways to pay in order of preference: wechat, edupay, alipay, unionpay, campus_card, sandbox, or one of these "
        "with _more behind it; each has its own variables")  # fmt: skip
    data_dir: Path = _setting("DATA_DIR", _path, _default_data_dir, "folder of what is not told otherwise")
    database_url: str = _setting("DATABASE_URL", _database_url, "",
        "where payments are kept; on PostgreSQL, a role of their own. Empty: SQLite in the data folder")  # fmt: skip
    bank_url: str = _setting("BANK_URL", _database_url, "",
        "where the sandbox bank keeps its own books. Empty: SQLite in the data folder")  # fmt: skip
    host: str = _setting("HOST", _text, "127.0.0.1", "address of the internal interface; TLS unless it is this machine")
    port: int = _setting("PORT", _port, 8890, "port of the internal interface; 0: a free one")
    tls_cert: Path | None = _setting("TLS_CERT", _path, None, "certificate chain of the internal interface, PEM")
    tls_key: Path | None = _setting("TLS_KEY", _path, None, "its private key, PEM")
    internal_keys_file: Path | None = _setting("INTERNAL_KEYS_FILE", _path, None,
        "who holds one of these keys may call: lines of id and hex, the first signs, two while they are "
        "changed")  # fmt: skip
    vault_keys_file: Path | None = _setting("VAULT_KEYS_FILE", _path, None,
        "keys of the vault: lines of id and hex; the last one seals, all open")  # fmt: skip
    lookup_key_file: Path | None = _setting("LOOKUP_KEY_FILE", _path, None,
        "finds in the vault what was entrusted before; one line, it must stay")  # fmt: skip
    sandbox_key_file: Path | None = _setting("SANDBOX_KEY_FILE", _path, None, "signs what the sandbox bank sends")
    risk_rules_file: Path | None = _setting("RISK_RULES_FILE", _path, None,
        "changes of the risk rules by campus, as JSON")  # fmt: skip
    service_hours_file: Path | None = _setting("SERVICE_HOURS_FILE", _path, None,
        'when each campus is served, as JSON {"campus": {"opens": "07:00", "closes": "23:00", "zone": "Asia/Shanghai"}}'
        ", * for all others; inside another server its campuses' own hours count")  # fmt: skip
    thresholds: Thresholds = _setting("SECOND_FACTOR", _thresholds, Thresholds,
        'from which amounts one-time codes are needed, as {"withdraw_from_fen": 20000}')  # fmt: skip
    code_url: str = _setting("CODE_URL", _web_url, "",
        "where one-time codes are posted, signed with an internal key, to be sent to their accounts")  # fmt: skip
    webhook_url: str = _setting("WEBHOOK_URL", _text, "", "where alarms are posted")
    webhook_secret_file: Path | None = _setting("WEBHOOK_SECRET_FILE", _path, None, "signs them")
    log_level: str = _setting("LOG_LEVEL", _one_of(*LEVELS), "info", "least important message; debug is not for live")
    channels: tuple[ChannelSetting, ...] = ()
    #: When money leaves and under which limits; its variables are in ``terms_settings``.
    terms: Terms = Terms()

    def __repr__(self) -> str:
        return f"Settings({self.environment}, {', '.join(self.channel_names)})"

    @property
    def effective_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'payments.db'}"

    @property
    def effective_bank_url(self) -> str:
        return self.bank_url or f"sqlite:///{self.data_dir / 'bank.db'}"

    @property
    def is_live(self) -> bool:
        return self.environment == "live"

    def key_file(self, name: str) -> Path:
        """Where the keys of that name are: as told, or made in the data folder."""
        told: Path | None = getattr(self, f"{name}_file")
        return told or self.data_dir / "secrets" / name

    def keys(self, name: str) -> dict[str, bytes]:
        """The keys of that name; what is nowhere told is made on the first start, except in live. ValueError."""
        path = self.key_file(name)
        if getattr(self, f"{name}_file") is not None or (self.is_live and not path.exists()):
            return read_keys(path)
        for folder in (self.data_dir, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return make_keys(path)

    def rules(self) -> RuleBook:
        """The risk rules with every campus's changes. ValueError."""
        return RuleBook() if self.risk_rules_file is None else read_rules(self.risk_rules_file.read_bytes())

    def hours(self) -> tuple[ServiceHours, ...]:
        """When campuses are served, as told. ValueError."""
        return () if self.service_hours_file is None else read_hours(self.service_hours_file.read_bytes())

    def webhook(self) -> WebhookConfig | None:
        """Where alarms go. ValueError."""
        if not self.webhook_url or self.webhook_secret_file is None:
            return None
        return WebhookConfig(url=self.webhook_url, secret=read_secret(self.webhook_secret_file))

    def contradictions(self) -> Iterator[str]:
        """What no single variable is at fault for."""
        if (self.tls_cert is None) != (self.tls_key is None):
            yield f"{PREFIX}TLS_CERT and {PREFIX}TLS_KEY: give both or neither"
        if self.tls_cert is None and self.host not in LOOPBACK:
            yield f"{PREFIX}HOST={self.host}: needs {PREFIX}TLS_CERT and {PREFIX}TLS_KEY, or this machine's 127.0.0.1"
        if bool(self.webhook_url) != (self.webhook_secret_file is not None):
            yield f"{PREFIX}WEBHOOK_URL and {PREFIX}WEBHOOK_SECRET_FILE: give both or neither"
        for channel in self.channels:
            its = _environment_of(channel)
            if its != self.environment and not (channel.kind == "sandbox" and not self.is_live):
                name = f"{PREFIX}CHANNELS" if channel.kind == "sandbox" else variable_of(channel.code, "environment")
                yield f"{name}: {channel.code} is of the {its} environment, payments are of {self.environment}"
        if self.is_live:
            if self.log_level == "debug" or sys.flags.dev_mode or os.environ.get("PYTHONASYNCIODEBUG"):
                yield f"{PREFIX}LOG_LEVEL: debugging (also python -X dev, PYTHONASYNCIODEBUG) is not legal in live"
            for name in ("internal_keys", "vault_keys", "lookup_key"):
                if getattr(self, f"{name}_file") is None:
                    yield f"{PREFIX}{name.upper()}_FILE: must be named in live, so that it is kept and backed up"
        yield from self._unreadable()

    def _unreadable(self) -> Iterator[str]:
        for name in ("internal_keys", "vault_keys", "lookup_key", "sandbox_key"):
            if getattr(self, f"{name}_file") is not None:
                yield from _try(f"{PREFIX}{name.upper()}_FILE", partial(self.keys, name))
        if self.tls_key is not None:
            yield from _try(f"{PREFIX}TLS_KEY", lambda: read_secret(self.key_path))
        yield from _try(f"{PREFIX}RISK_RULES_FILE", self.rules)
        yield from _try(f"{PREFIX}SERVICE_HOURS_FILE", self.hours)
        yield from _try(f"{PREFIX}WEBHOOK_URL", self.webhook)

    @property
    def key_path(self) -> Path:
        assert self.tls_key is not None, "asked for only with TLS"
        return self.tls_key


def _environment_of(channel: ChannelSetting) -> str:
    if channel.config is None:
        return "sandbox"
    merchant = getattr(channel.config, "merchant", None)
    of = merchant if isinstance(merchant, msgspec.Struct) else channel.config
    return str(getattr(of, "environment", ""))


def _try(variable: str, read: Callable[[], object]) -> Iterator[str]:
    try:
        read()
    except (ValueError, OSError) as fault:
        yield f"{variable}: {fault}"


def setting_fields() -> list[tuple[str, str, str]]:
    """(variable, what it is for, name of the field) of every setting but the channels' own."""
    return [
        (each.metadata["env"], each.metadata["about"], each.name) for each in fields(Settings) if "env" in each.metadata
    ]


def variables() -> str:
    """Every variable with what it is for, as the text of an ``.env`` to fill in."""
    lines = ["# Settings of payments. A variable of the environment wins over this file."]
    for variable, about, _ in setting_fields():
        lines += ["", f"# {about}", f"#{variable}="]
    for each in TERM_SETTINGS:
        lines += ["", f"# {each.about}", f"#{each.variable}={each.default}"]
    for kind in KINDS:
        if names := sorted(field_names(kind) - {"CODE", "ENVIRONMENT"}):
            lines += ["", f"# Channels of the kind {kind}; _FILE behind a name: from a file"]
            lines += [f"#{variable_of(kind, name)}=" for name in names]
    return "\n".join(lines) + "\n"


def _env_file(said: str) -> Path:
    path = Path(said)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"no such file: {said}")
    if not os.access(path, os.R_OK):
        raise argparse.ArgumentTypeError(f"cannot be read: {said}")
    return path


def add_env_file(parser: argparse.ArgumentParser) -> None:
    """``--env-file``: one that is named has to be there, or a slip in its name would start the sandbox."""
    parser.add_argument(
        "--env-file",
        type=_env_file,
        default=Path(".env"),
        metavar="FILE",
        help="file of settings; without it .env, if there is one · 配置文件，默认 .env（可不存在）",
    )


def read_settings(environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """Read and check all settings; a variable of the environment wins over one of ``env_file``. SettingsError has
    the faults of all together, so that nobody mends them one start at a time."""
    told = gather_environ(os.environ if environ is None else environ, env_file)
    faults: list[str] = []
    given: dict[str, Any] = {}
    for each in fields(Settings):
        text = told.get(each.metadata.get("env", ""), "").strip()
        if not text:
            continue
        try:
            given[each.name] = each.metadata["read"](text)
        except ValueError as fault:
            faults.append(f"{each.metadata['env']}: {fault}")
    given["terms"], wrong_terms = read_terms(told)
    settings = Settings(**given)
    channels, more = _read_channels(settings, told)
    faults += wrong_terms + more + _unknown(settings, told)
    settings = Settings(**given, channels=tuple(channels))
    # What could not be read was left out: what that alone contradicts is no fault of its own.
    wrong = {fault.partition(":")[0].partition("=")[0] for fault in faults}
    faults += [each for each in settings.contradictions() if not wrong & set(_VARIABLE.findall(each))]
    if faults:
        raise SettingsError(faults)
    return settings


def _read_channels(settings: Settings, told: Mapping[str, str]) -> tuple[list[ChannelSetting], list[str]]:
    channels: list[ChannelSetting] = []
    faults: list[str] = []
    for code in settings.channel_names:
        channel, more = read_channel(code, told, settings.environment)
        faults += more
        if channel is not None:
            channels.append(channel)
    return channels, faults


def gather_environ(environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """``environ`` with what ``env_file`` adds to it."""
    told: dict[str, str] = {}
    if env_file is not None and env_file.is_file():
        told = {name: text or "" for name, text in dotenv_values(env_file, interpolate=False).items()}
    told.update(environ)
    return told


def _unknown(settings: Settings, told: Mapping[str, str]) -> list[str]:
    """Variables that begin as ours and say nothing: a slip of the pen must not be silent."""
    known = {variable for variable, _, _ in setting_fields()} | {each.variable for each in TERM_SETTINGS}
    # A kind that is not used now may stay set up.
    for of, kind in {
        **{kind: kind for kind in KINDS},
        **{code: kind_of(code) for code in settings.channel_names},
    }.items():
        for name in field_names(kind):
            known |= {variable_of(of, name), variable_of(of, name) + "_FILE"}
    faults = []
    for name in sorted(told):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            faults.append(f"{name}: there is no such setting" + (f"; did you mean {near[0]}?" if near else ""))
    return faults
