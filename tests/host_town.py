"""Hosts in networks of their own: one with the database, Redis and the jobs, and two that serve the web."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e_server import ROOT, wait_until
from tests.net_lab import LabPostgres, NetHost, NetLab
from tests.redis_nodes import redis_binaries

PORT = 8888


@dataclass
class Town:
    """The hosts, and who may come."""

    lab: NetLab
    database_url: str
    plan: dict[str, Any]

    @property
    def webs(self) -> list[str]:
        return [self.lab.hosts[name].address for name in ("one", "two")]

    def phones(self, role: str) -> list[str]:
        return [account["phone"] for account in self.plan["accounts"] if account["role"] == role]


def _serve(host: NetHost, folder: Path, roles: str, urls: dict[str, str]) -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("DISPATCH_")} | urls
    environ |= {
        "DISPATCH_DATA_DIR": str(folder), "DISPATCH_HOST": "0.0.0.0", "DISPATCH_PORT": str(PORT),
        "DISPATCH_ROLES": roles, "DISPATCH_DEMO": "1", "DISPATCH_SMS": "print", "PYTHONPATH": str(ROOT),
        "DISPATCH_PUBLIC_URL": f"http://{host.address}:{PORT}", "DISPATCH_GRACE_S": "3",
    }  # fmt: skip
    if roles != "web":
        plan = folder / "plan.json"
        arguments = ["demo-setup", "--plan", plan, "--students", "1", "--runners", "7"]
        host.run([sys.executable, "-m", "dispatch", "--inherit", *arguments], env=environ, cwd=ROOT)
    host.start([sys.executable, "-m", "dispatch", "serve"], folder / "log", env=environ, cwd=ROOT)


def _can_connect(host: NetHost, address: str, port: int) -> bool:
    def act() -> bool:
        try:
            with socket.create_connection((address, port), 1):
                return True
        except OSError:
            return False

    return host.do(act)


def _is_ready(host: NetHost, port: int, path: str) -> bool:
    def act() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                said = answer.read()
                return path == "/readyz" or all(one["is_ready"] for one in json.loads(said))
        except OSError:
            return False

    return host.do(act)


@contextlib.contextmanager
def open_town() -> Iterator[Town]:
    """Everything started and ready; ended again, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="tn-"))
    with contextlib.ExitStack() as ends:
        lab = NetLab(["books", "one", "two", "people"])
        ends.callback(lab.close)
        books = lab.hosts["books"]
        postgres = LabPostgres(books)
        ends.callback(postgres.close)
        redis = [next(iter(redis_binaries().values())), "--protected-mode", "no", "--bind", "0.0.0.0"]
        books.start([*redis, "--save", "", "--dir", str(folder)], folder / "redis")
        urls = {"DATABASE_URL": postgres.url, "REDIS_URL": f"redis://{books.address}:6379"}
        for port in (5432, 6379):
            wait_until(lambda port=port: _can_connect(books, books.address, port), 30, f"port {port}")  # type: ignore[misc]
        for name, roles in (("books", "planner,jobs"), ("one", "web"), ("two", "web")):
            home = folder / name
            home.mkdir()
            if name != "books":  # the hosts of one service share its secrets
                _copy_secrets(folder / "books", home)
            _serve(lab.hosts[name], home, roles, urls)
        try:
            for name in ("one", "two"):
                wait_until(lambda name=name: _is_ready(lab.hosts[name], PORT, "/readyz"), 60, name)  # type: ignore[misc]
            wait_until(lambda: _is_ready(books, 8889, "/processes"), 60, "jobs")
        except AssertionError:
            print(*((folder / name / "log").read_text()[-2000:] for name in ("books", "one")), sep="\n")
            raise
        plan = json.loads((folder / "books" / "plan.json").read_text())
        yield Town(lab, postgres.url, plan)


def _copy_secrets(source: Path, target: Path) -> None:
    kept = target / "secrets"
    kept.mkdir(mode=0o700)
    for secret in (source / "secrets").iterdir():
        copy = kept / secret.name
        copy.touch(0o600)
        copy.write_bytes(secret.read_bytes())
