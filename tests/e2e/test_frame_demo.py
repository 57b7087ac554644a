"""`dispatch demo` as a newcomer sees it: pages open, runners move, orders arrive, Ctrl-C leaves nothing behind."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dispatch.processes import command_of

MOVING_WITHIN_S = 15.0
DELIVERED_WITHIN_S = 120.0
# For the tests that run under coverage and beside others; the promise itself is held to on a machine of its own.
PATIENCE = 3.0


def wait_for(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if outcome := condition():
            return outcome
        time.sleep(0.1)
    return pytest.fail(f"{what}: not within {timeout_s:g} s")


class Demo:
    """A demo that runs, its output, and its console as a browser would use it."""

    def __init__(self, folder: Path, port: int, metrics_port: int, *arguments: str, is_timed: bool = False) -> None:
        self.began = time.monotonic()
        self.output = folder / "output.txt"
        self._ca_file = folder / "demo" / "tls" / "cert.pem"
        command = [sys.executable, "-m", "dispatch", "demo", "--data-dir", str(folder / "demo")]
        command += ["--port", str(port), "--metrics-port", str(metrics_port), *arguments]
        with self.output.open("wb") as out:
            # A group of its own, so that the test can press Ctrl-C on it as a terminal does.
            # What is held to a time runs as it does for people, without coverage.
            environ = {k: v for k, v in os.environ.items() if not (is_timed and k.startswith("COVERAGE_"))}
            self.process = subprocess.Popen(
                command, env=environ, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.metrics_url = f"http://127.0.0.1:{metrics_port}"

    def links(self) -> dict[str, tuple[str, str]]:
        """Page → address and one-time code, once all three are printed."""
        if self.process.poll() is not None:
            pytest.fail(f"the demo ended:\n{self.output.read_text()}")
        found = re.findall(r"(https?://[^/\s]+)/(console|track|runner)#code=(\S+)", self.output.read_text())
        return {page: (url, code) for url, page, code in found} if len(found) == 3 else {}

    def pids(self) -> list[int]:
        """Every process that the demo consists of, the simulated people too."""
        with urllib.request.urlopen(f"{self.metrics_url}/processes", timeout=10) as answer:
            server = [each["pid"] for each in json.loads(answer.read())]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sorted({*server, *map(int, children)})

    def browser(self, page: str) -> Browser:
        url, code = self.links()[page]
        return Browser(url, page, code, self._ca_file if url.startswith("https") else None)

    def press_ctrl_c(self) -> int:
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Browser:
    """Cookies and little else."""

    def __init__(self, url: str, slot: str, code: str, ca_file: Path | None) -> None:
        context = ssl.create_default_context(cafile=str(ca_file)) if ca_file else None
        handlers: list[Any] = [urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())]
        if context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)
        self._headers = {"X-Session-Slot": slot, "Content-Type": "application/json", "Origin": url}
        self._url = url
        self.session = self.ask("/api/v1/auth/exchange", {"code": code})

    def ask(self, path: str, body: object = None) -> Any:
        raw = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=raw, headers=self._headers)
        with self._opener.open(request, timeout=20) as answer:
            return json.loads(answer.read())


@pytest.fixture
def demo(tmp_path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*arguments: str, is_timed: bool = False) -> Demo:
        # Both are held until both are found, so that they differ.
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            ports = [each.getsockname()[1] for each in (one, other)]
        started.append(Demo(tmp_path, *ports, *arguments, is_timed=is_timed))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_the_whole_demo(demo):
    shown = demo(is_timed=True)

    def left(promised_s: float) -> float:
        return shown.began + promised_s - time.monotonic()

    wait_for(shown.links, left(MOVING_WITHIN_S), "the addresses of the pages")
    console = shown.browser("console")

    def positions() -> dict[str, list[float]]:
        runners = console.ask("/api/v1/console")["runners"]
        return {each["id"]: each["position"][:2] for each in runners if each["position"]}

    first = wait_for(positions, left(MOVING_WITHIN_S), "a runner on the map")
    wait_for(
        lambda: any(now != first.get(runner) for runner, now in positions().items()),
        left(MOVING_WITHIN_S),
        "a runner that moves",
    )
    assert shown.browser("track").session["account"]
    assert shown.browser("runner").session["account"]
    wait_for(
        lambda: console.ask("/api/v1/console")["kpis"]["done_today"], left(DELIVERED_WITHIN_S), "a delivered order"
    )
    pids = shown.pids()
    assert len(pids) >= 6
    assert shown.press_ctrl_c() == 0
    assert "Traceback" not in shown.output.read_text()
    assert not [command_of(pid) for pid in pids if command_of(pid)]


@pytest.mark.timeout(180)
def test_the_demo_on_the_local_network_speaks_tls(demo):
    shown = demo("--lan", "--no-people")
    wait_for(shown.links, 30 * PATIENCE, "the addresses of the pages")
    assert all(url.startswith("https://") for url, _ in shown.links().values())
    assert shown.browser("runner").session["account"]
    assert shown.press_ctrl_c() == 0


def make_issued(folder: Path) -> tuple[Path, Path]:
    """A certificate for a name on the internet with its chain to an authority that nobody here knows, and its key."""
    now = datetime.now(UTC)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")])

    def certificate(name: x509.Name, host: str, public_key: ec.EllipticCurvePublicKey, is_ca: bool) -> bytes:
        made = (
            x509.CertificateBuilder().subject_name(name).issuer_name(authority).public_key(public_key)
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1)).add_extension(x509.BasicConstraints(is_ca, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(authority_key, hashes.SHA256())
        )  # fmt: skip
        return made.public_bytes(serialization.Encoding.PEM)

    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "errands.example.edu")])
    chain, key_path = folder / "chain.pem", folder / "key.pem"
    leaf = certificate(own, "errands.example.edu", key.public_key(), False)
    chain.write_bytes(leaf + certificate(authority, "authority.example.edu", authority_key.public_key(), True))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, key_path


@pytest.mark.timeout(180)
def test_people_come_whatever_the_certificate_is_for(demo, tmp_path):
    chain, key = make_issued(tmp_path)
    shown = demo("--lan", "--tls-cert", str(chain), "--tls-key", str(key), "--students", "2", "--runners", "2")
    wait_for(shown.links, 30 * PATIENCE, "the addresses of the pages")

    def sockets() -> bool:
        with urllib.request.urlopen(f"{shown.metrics_url}/metrics", timeout=10) as answer:
            found = re.findall(
                r'^dispatch_hub\{[^}]*what="connections"[^}]*\} (\S+)$', answer.read().decode(), re.MULTILINE
            )
        return sum(map(float, found)) >= 4

    wait_for(sockets, 30 * PATIENCE, "the people's sockets")
    assert shown.press_ctrl_c() == 0
    assert "people left" not in shown.output.read_text()


@pytest.mark.timeout(180)
def test_the_demo_ends_by_itself_and_goes_on_where_it_was(demo):
    shown = demo("--no-people", "--seconds", "1")
    assert shown.process.wait(60) == 0
    assert "Ending" in shown.output.read_text()
    again = demo("--no-people", "--keep")
    wait_for(again.links, 30 * PATIENCE, "the addresses of the pages")
    assert again.browser("console").ask("/api/v1/console")["orders"] == []
    assert again.press_ctrl_c() == 0


@pytest.mark.timeout(180)
def test_a_killed_demo_leaves_nothing_behind(demo):
    shown = demo("--no-people")
    wait_for(shown.links, 30 * PATIENCE, "the addresses of the pages")
    pids = shown.pids()
    shown.process.kill()
    shown.process.wait()
    wait_for(lambda: not any(command_of(pid) for pid in pids), 10, "the end of every process")
