"""Settings, read once from the environment and ``.env`` and then frozen; a wrong one stops the start and is named."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from dotenv import dotenv_values

from dispatch import parse
from dispatch.clock import ScaledClock, real_clock
from dispatch.ticks.variant import parse_variant
from payments import settings as payments_settings
from payments.guards.second_factor_act import Thresholds
from payments.service.internal_signing import is_private
from payments.terms import Terms
from payments.terms_settings import TERM_SETTINGS, read_terms, slips, told_terms

ROLES = ("web", "planner", "jobs")
# Channels where no real money moves: only these may run in a demo or in scaled time.
SANDBOX_CHANNELS = ("sandbox", "sandbox_backup")
PREFIX = "DISPATCH_"


class SettingsError(ValueError):
    """One or more settings are wrong; the text names each variable, what it says and what would be legal."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _setting(env: str, read: parse.Reader[Any], default: Any, about: str) -> Any:
    """A field of Settings: the variable that sets it, how its text is read, and what it is for."""
    metadata = {"env": env, "read": read, "about": about}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def _variant(said: str) -> str:
    """Settings of the optimizer, as they were written once it is known that there are such."""
    parse_variant(said)
    return said.strip()


def _thresholds(said: str) -> Thresholds:
    return msgspec.json.decode(said, type=Thresholds)


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "campus-dispatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one server was told. Durations are seconds unless the name says otherwise."""

    # Where things are
    data_dir: Path = _setting("DISPATCH_DATA_DIR", parse.folder, _default_data_dir,
        "folder of the databases, secrets and run-time files")  # fmt: skip
    database_url: str = _setting("DATABASE_URL", parse.database_url, "",
        "where orders are kept; empty: SQLite in the data folder")  # fmt: skip
    payments_database_url: str = _setting("PAYMENTS_DATABASE_URL", parse.database_url, "",
        "where payments are kept; empty: SQLite in the data folder, or DATABASE_URL in its own schema")  # fmt: skip
    redis_url: str = _setting("REDIS_URL", parse.redis_url, "",
        "a Redis of yours (6.2 or newer); empty: the server starts a private one")  # fmt: skip

    # What listens
    host: str = _setting("DISPATCH_HOST", parse.text, "127.0.0.1", "address that the server listens on")
    port: int = _setting(
        "DISPATCH_PORT", parse.integer(0, 65535), 8888, "port that the server listens on; 0: a free one"
    )
    metrics_port: int = _setting("DISPATCH_METRICS_PORT", parse.integer(0, 65535), 8889,
        "port of 127.0.0.1 for /metrics and /processes; 0: none")  # fmt: skip
    public_url: str = _setting("DISPATCH_PUBLIC_URL", parse.web_url, "",
        "address that people reach the server by; empty: made of host and port")  # fmt: skip
    allowed_origins: tuple[str, ...] = _setting("DISPATCH_ALLOWED_ORIGINS", parse.each(parse.web_url), (),
        "further origins whose pages may open sockets, separated by commas")  # fmt: skip
    trusted_proxies: tuple[str, ...] = _setting("DISPATCH_TRUSTED_PROXIES", parse.each(parse.network), (),
        "addresses or networks of proxies whose X-Forwarded-For is believed")  # fmt: skip
    tls_cert: Path | None = _setting("DISPATCH_TLS_CERT", parse.readable_file, None, "certificate chain, PEM")
    tls_key: Path | None = _setting("DISPATCH_TLS_KEY", parse.readable_file, None, "its private key, PEM")

    # What runs
    roles: tuple[str, ...] = _setting("DISPATCH_ROLES", parse.each(parse.one_of(*ROLES)), ROLES,
        "parts that this machine runs, separated by commas; web: pages, API and sockets")  # fmt: skip
    workers: int = _setting("DISPATCH_WORKERS", parse.integer(1, 64), 1, "processes that serve pages and sockets")
    grace_s: float = _setting("DISPATCH_GRACE_S", parse.number(0, 300), 10.0, "how long a stopping process may finish")
    connections_per_worker: int = _setting("DISPATCH_CONNECTIONS_PER_WORKER", parse.integer(1, 1_000_000), 10_000,
        "sockets that one process holds; the next are asked to come back")  # fmt: skip
    connections_per_account: int = _setting("DISPATCH_CONNECTIONS_PER_ACCOUNT", parse.integer(1, 1000), 20,
        "sockets that one account may hold in one process")  # fmt: skip
    flush_ms: int = _setting("DISPATCH_FLUSH_MS", parse.integer(5, 5000), 50, "rhythm of the hub, real milliseconds")
    planning_tick_s: float = _setting("DISPATCH_PLANNING_TICK_S", parse.number(0.1, 60), 2.0, "rhythm of the planner")
    offer_ttl_s: float = _setting("DISPATCH_OFFER_TTL_S", parse.number(3, 600), 15.0, "how long an offer stands")
    plan_deadline_s: float = _setting("DISPATCH_PLAN_DEADLINE_S", parse.number(0.01, 60), 1.0,
        "real seconds that a plan may take before the greedy one acts instead")  # fmt: skip
    plan_params: str = _setting("DISPATCH_PLAN_PARAMS", _variant, "",
        "settings of the optimizer, as lateness_weight=3,nearest=40; try them with `dispatch replay`")  # fmt: skip
    shadow_params: str = _setting("DISPATCH_SHADOW_PARAMS", _variant, "",
        "a second optimizer that plans every tick and never acts: settings as above, or greedy")  # fmt: skip

    # Time and money
    channels: tuple[str, ...] = _setting("DISPATCH_CHANNELS", parse.each(parse.one_of(*SANDBOX_CHANNELS)),
        SANDBOX_CHANNELS, "demonstration channels in order of preference, separated by commas; real ones and their "
        "simulators are set up by PAYMENTS_CHANNELS, see docs/PAYMENTS.md")  # fmt: skip
    payments_url: str = _setting("DISPATCH_PAYMENTS_URL", parse.web_url, "",
        "payments run apart, at this address (`python -m payments serve`); empty: in this server")  # fmt: skip
    payments_keys_file: Path | None = _setting("DISPATCH_PAYMENTS_KEYS_FILE", parse.readable_file, None,
        "the keys that it knows its callers by; with DISPATCH_PAYMENTS_URL")  # fmt: skip
    risk_rules_file: Path | None = _setting("PAYMENTS_RISK_RULES_FILE", parse.readable_file, None,
        "changes of the risk rules by campus, as JSON; see docs/PAYMENTS.md")  # fmt: skip
    second_factor: Thresholds = _setting("PAYMENTS_SECOND_FACTOR", _thresholds, Thresholds,
        'from which amounts one-time codes are needed, as {"withdraw_from_fen": 20000}')  # fmt: skip
    time_scale: float = _setting("DISPATCH_TIME_SCALE", parse.number(0.1, 1000), 1.0,
        "how fast business time runs; other than 1 only where no real money moves")  # fmt: skip
    time_start: datetime | None = _setting("DISPATCH_TIME_START", parse.instant, None,
        "when business time begins, as 2026-03-02T11:00:00+08:00; only where no real money moves")  # fmt: skip
    is_demo: bool = _setting(
        "DISPATCH_DEMO", parse.boolean, False, "printed sign-in codes and made-up people are allowed"
    )

    has_job_hint: bool = _setting("DISPATCH_JOB_HINT", parse.boolean, True,
        "whoever has too little money to pay is told that runners are looked for")  # fmt: skip

    # Sign-in
    access_ttl_s: float = _setting("DISPATCH_ACCESS_TTL_S", parse.number(30, 86_400), 900.0, "life of an access token")
    refresh_ttl_s: float = _setting("DISPATCH_REFRESH_TTL_S", parse.number(60, 31_536_000), 2_592_000.0,
        "life of a session that is not used")  # fmt: skip
    link_ttl_s: float = _setting("DISPATCH_LINK_TTL_S", parse.number(60, 604_800), 3600.0, "life of a one-time link")
    codes_per_phone_hour: int = _setting("DISPATCH_CODES_PER_PHONE_HOUR", parse.integer(1, 1000), 5,
        "sign-in codes sent to one phone in an hour")  # fmt: skip
    codes_per_ip_hour: int = _setting("DISPATCH_CODES_PER_IP_HOUR", parse.integer(1, 100_000), 100,
        "sign-in codes asked for from one address in an hour (a campus may share one)")  # fmt: skip
    codes_per_campus_hour: int = _setting("DISPATCH_CODES_PER_CAMPUS_HOUR", parse.integer(1, 1_000_000), 5000,
        "sign-in codes sent for one campus in an hour")  # fmt: skip

    # Text messages
    sms: str = _setting("DISPATCH_SMS", parse.one_of("none", "print", "aliyun"), "none",
        "who sends text messages: none, print (demo only) or aliyun")  # fmt: skip
    sms_url: str = _setting("DISPATCH_SMS_URL", parse.web_url, "", "address of the provider's API")
    sms_access_key_id: str = _setting("DISPATCH_SMS_ACCESS_KEY_ID", parse.text, "", "your key's id at the provider")
    sms_access_key_secret_file: Path | None = _setting("DISPATCH_SMS_ACCESS_KEY_SECRET_FILE", parse.readable_file, None,
        "file that holds the key's secret")  # fmt: skip
    sms_sign_name: str = _setting("DISPATCH_SMS_SIGN_NAME", parse.text, "", "signature that the provider approved")
    sms_code_template: str = _setting("DISPATCH_SMS_CODE_TEMPLATE", parse.text, "", "template of the sign-in message")
    sms_money_template: str = _setting("DISPATCH_SMS_MONEY_TEMPLATE", parse.text, "",
        "template of the message with a code for a payment, a withdrawal or a refund; empty: that of the "
        "sign-in")  # fmt: skip

    # Secrets that are kept elsewhere than in the data folder
    token_key_file: Path | None = _setting("DISPATCH_TOKEN_KEY_FILE", parse.readable_file, None, "signs tokens")
    data_key_file: Path | None = _setting("DISPATCH_DATA_KEY_FILE", parse.readable_file, None, "encrypts personal data")
    lookup_key_file: Path | None = _setting("DISPATCH_LOOKUP_KEY_FILE", parse.readable_file, None,
        "hashes phone numbers so that they can be looked up")  # fmt: skip
    sandbox_key_file: Path | None = _setting("DISPATCH_SANDBOX_KEY_FILE", parse.readable_file, None,
        "signs the sandbox channel's callbacks")  # fmt: skip

    # What is kept and told
    track_days: int = _setting("DISPATCH_TRACK_DAYS", parse.integer(1, 30), 1,
        "days until the track of a silent runner is forgotten; it holds at most three hours")  # fmt: skip
    record_days: int = _setting("DISPATCH_RECORD_DAYS", parse.integer(0, 90), 2,
        "days for which the planner's ticks are kept, to be planned again; 0: none is recorded")  # fmt: skip
    record_mb: int = _setting("DISPATCH_RECORD_MB", parse.integer(1, 1_000_000), 512,
        "megabytes of recorded ticks per campus; the oldest go first")  # fmt: skip
    record_dir: Path | None = _setting("DISPATCH_RECORD_DIR", parse.folder, None,
        "folder of the recorded ticks; empty: ticks, in the data folder")  # fmt: skip
    log_level: str = _setting("DISPATCH_LOG_LEVEL", parse.one_of("debug", "info", "warning", "error"), "info",
        "least important message that is logged")  # fmt: skip
    log_format: str = _setting("DISPATCH_LOG_FORMAT", parse.one_of("auto", "json", "text"), "auto",
        "json, text, or auto: text on a terminal")  # fmt: skip

    # Set by the supervisor for the processes that it starts, so that all agree on the time
    clock_start: datetime | None = _setting("DISPATCH_CLOCK_START", parse.instant, None, "internal")
    clock_origin_s: float | None = _setting("DISPATCH_CLOCK_ORIGIN_S", parse.number(0, 1e12), None, "internal")

    #: Payments with channels of their own (PAYMENTS_CHANNELS and what belongs to it); None: the demonstration's.
    payments: payments_settings.Settings | None = None
    #: When runners are paid and under which limits, in this server.
    terms: Terms = Terms()

    def clock(self) -> ScaledClock:
        """The clock that all processes of this server share."""
        if self.clock_start is not None and self.clock_origin_s is not None:
            return ScaledClock(self.clock_start, self.clock_origin_s, self.time_scale)
        real = real_clock()
        return ScaledClock(self.time_start or real.start, real.origin_s, self.time_scale)

    @property
    def effective_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'dispatch.db'}"

    @property
    def effective_payments_database_url(self) -> str:
        if self.payments_database_url:
            return self.payments_database_url
        if self.database_url.startswith("postgresql"):
            return self.database_url
        return f"sqlite:///{self.data_dir / 'payments.db'}"

    @property
    def guarded(self) -> payments_settings.Settings:
        """What guards payments in this server, whichever channels there are: keys, rules, one-time codes. The keys lie
        at the same place with every kind of channel, so that what was entrusted stays readable."""
        return self.payments or payments_settings.Settings(
            data_dir=self.payments_dir, risk_rules_file=self.risk_rules_file, thresholds=self.second_factor
        )

    @property
    def payments_dir(self) -> Path:
        """Where payments of this server keep what they are told nowhere else to keep."""
        return self.data_dir.absolute() / "payments"

    @property
    def effective_record_dir(self) -> Path:
        return self.record_dir or self.data_dir / "ticks"

    @property
    def is_tls(self) -> bool:
        return self.tls_cert is not None

    @property
    def effective_public_url(self) -> str:
        """Scheme, host and port without a slash at the end."""
        if self.public_url:
            return self.public_url
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104 - compared, not bound
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}"

    def contradictions(self) -> Iterator[str]:
        """What no single setting is at fault for."""
        if (self.tls_cert is None) != (self.tls_key is None):
            yield "DISPATCH_TLS_CERT and DISPATCH_TLS_KEY: give both or neither"
        if bool(self.payments_url) != (self.payments_keys_file is not None):
            yield "DISPATCH_PAYMENTS_URL and DISPATCH_PAYMENTS_KEYS_FILE: give both or neither"
        if self.payments_url and not is_private(self.payments_url):
            yield "DISPATCH_PAYMENTS_URL: must be https, except on this machine"
        if self.payments_url and self.payments is not None:
            yield "DISPATCH_PAYMENTS_URL: PAYMENTS_CHANNELS is a setting of that process, not of this one"
        if self.payments is None:
            try:
                self.guarded.rules()
            except ValueError as fault:
                yield f"PAYMENTS_RISK_RULES_FILE={self.risk_rules_file}: {fault}"
        if self.may_move_money:
            if self.time_scale != 1.0:
                yield "DISPATCH_TIME_SCALE: only 1 is legal while payments are live or in a process of their own"
            if self.time_start is not None:
                yield "DISPATCH_TIME_START: not legal while payments are live or in a process of their own"
            if self.is_demo:
                yield "DISPATCH_DEMO: not legal while payments are live or in a process of their own"
        if self.sms == "print" and not self.is_demo:
            yield "DISPATCH_SMS=print: prints sign-in codes, so it is legal only with DISPATCH_DEMO=1"
        if self.sms == "aliyun":
            needed = {
                "DISPATCH_SMS_URL": self.sms_url,
                "DISPATCH_SMS_ACCESS_KEY_ID": self.sms_access_key_id,
                "DISPATCH_SMS_ACCESS_KEY_SECRET_FILE": self.sms_access_key_secret_file,
                "DISPATCH_SMS_SIGN_NAME": self.sms_sign_name,
                "DISPATCH_SMS_CODE_TEMPLATE": self.sms_code_template,
            }
            if lacking := [name for name, text in needed.items() if not text]:
                yield f"DISPATCH_SMS=aliyun: needs {', '.join(lacking)} too"
        if self.metrics_port and self.metrics_port == self.port:
            yield "DISPATCH_METRICS_PORT: must differ from DISPATCH_PORT, for metrics are not public"

    @property
    def is_sandbox_only(self) -> bool:
        """Whether every channel is the demonstration's."""
        return not self.payments_url and all(each in SANDBOX_CHANNELS for each in self.channel_names)

    @property
    def may_move_money(self) -> bool:
        """Whether real money may move, as far as is known here: a payments process is not asked what it is."""
        return bool(self.payments_url) or (self.payments is not None and self.payments.is_live)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The ways to pay in order of preference; those of a payments process are known to it alone."""
        if self.payments_url:
            return ()
        return self.channels if self.payments is None else self.payments.channel_names


def setting_fields() -> Iterator[Field[Any]]:
    """Every field of Settings that a variable sets, in order."""
    return (each for each in fields(Settings) if "env" in each.metadata)


def read_settings(environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """Read and check all settings; a variable of the environment wins over one of ``env_file``. An empty value counts
    as not set. Raises SettingsError with every fault at once, so that nobody mends them one start at a time."""
    told = gather_environ(os.environ if environ is None else environ, env_file)
    known = {str(each.metadata["env"]): each for each in setting_fields()}
    faults = [_unknown(name, known) for name in told if name.startswith(PREFIX) and name not in known]
    given: dict[str, Any] = {}
    for name, each in known.items():
        text = told.get(name, "").strip()
        if not text:
            continue
        read: Callable[[str], Any] = each.metadata["read"]
        try:
            given[each.name] = read(text)
        except ValueError as fault:
            shown = "(hidden)" if name.endswith("_URL") and "@" in text else repr(text)
            faults.append(f"{name}={shown}: {fault}")
    terms, more = read_terms(told)
    faults += more if told.get("PAYMENTS_CHANNELS", "").strip() else more + slips(told)
    if not faults:
        settings = Settings(**given, terms=terms)
        try:
            settings = replace(settings, payments=_payments(settings, told))
        except payments_settings.SettingsError as error:
            faults = error.faults
        faults += settings.contradictions()
        if settings.payments_url:
            faults += [f"{each}: is a setting of the payments process, not of this one" for each in told_terms(told)]
    if faults:
        raise SettingsError(faults)
    return settings


def _payments(settings: Settings, told: Mapping[str, str]) -> payments_settings.Settings | None:
    """Payments with channels of their own, where there are such; what is not told lies beside the rest."""
    if not told.get("PAYMENTS_CHANNELS", "").strip():
        return None
    usual = {"PAYMENTS_DATA_DIR": str(settings.payments_dir)}
    given = {name: text for name, text in told.items() if name.startswith("PAYMENTS_")}
    return payments_settings.read_settings(
        usual | given | {"PAYMENTS_DATABASE_URL": settings.effective_payments_database_url}, None
    )


def gather_environ(environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """``environ`` with what ``env_file`` adds to it."""
    told: dict[str, str] = {}
    if env_file is not None and env_file.is_file():
        told = {name: text or "" for name, text in dotenv_values(env_file, interpolate=False).items()}
    told.update(environ)
    return told


def _unknown(name: str, known: Mapping[str, object]) -> str:
    ours = [each.removeprefix(PREFIX) for each in known if each.startswith(PREFIX)]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), ours, n=1, cutoff=0.6)
    return f"{name}: there is no such setting" + (f"; did you mean {PREFIX}{near[0]}?" if near else "")


#: What is made when nothing is told, as the example shows it.
_MADE = {"data_dir": "~/.local/share/campus-dispatch", "second_factor": ""}


def example_env() -> str:
    """The text of .env.example: every setting with what it is for and what it is without you."""
    lines = [
        "# Settings of the server. Copy this file to .env, take the # away from what you change.",
        "# A variable of the environment wins over this file. A wrong setting stops the start and is named.",
    ]
    for each in setting_fields():
        if each.metadata["about"] == "internal":
            continue
        default = each.default if each.default is not MISSING else _MADE[each.name]
        lines += ["", f"# {each.metadata['about']}", f"#{each.metadata['env']}={_as_text(default)}"]
    for term in TERM_SETTINGS:
        lines += ["", f"# {term.about}", f"#{term.variable}={term.default}"]
    return "\n".join(lines) + "\n"


def _as_text(default: object) -> str:
    if default is None or default is False:
        return "" if default is None else "0"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    if isinstance(default, datetime):
        return default.astimezone(UTC).isoformat()
    return f"{default:g}" if isinstance(default, float) and default < 1e6 else str(default)
