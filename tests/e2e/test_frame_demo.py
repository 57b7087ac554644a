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
from pathlib import Path
from typing import Any

import pytest

from dispatch.processes import command_of

MOVING_WITHIN_S = 15.0
DELIVERED_WITHIN_S = 120.0
# Under coverage, on two busy cores, all is slower; the promise is for an idle machine.
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

    def __init__(self, folder: Path, port: int, metrics_port: int, *arguments: str) -> None:
        self.began = time.monotonic()
        self.output = folder / "output.txt"
        self._ca_file = folder / "demo" / "tls" / "cert.pem"
        command = [sys.executable, "-m", "dispatch", "demo", "--data-dir", str(folder / "demo")]
        command += ["--port", str(port), "--metrics-port", str(metrics_port), *arguments]
        with self.output.open("wb") as out:
            # A group of its own, so that the test can press Ctrl-C on it as a terminal does.
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
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

    def start(*arguments: str) -> Demo:
        # Both are held until both are found, so that they differ.
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            ports = [each.getsockname()[1] for each in (one, other)]
        started.append(Demo(tmp_path, *ports, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_the_whole_demo(demo):
    shown = demo()
    wait_for(shown.links, MOVING_WITHIN_S * PATIENCE, "the addresses of the pages")
    console = shown.browser("console")

    def positions() -> dict[str, list[float]]:
        runners = console.ask("/api/v1/console")["runners"]
        return {each["id"]: each["position"][:2] for each in runners if each["position"]}

    first = wait_for(positions, MOVING_WITHIN_S * PATIENCE, "a runner on the map")
    wait_for(
        lambda: any(now != first.get(runner) for runner, now in positions().items()),
        10 * PATIENCE,
        "a runner that moves",
    )
    assert shown.browser("track").session["account"]
    assert shown.browser("runner").session["account"]
    wait_for(
        lambda: console.ask("/api/v1/console")["kpis"]["done_today"], DELIVERED_WITHIN_S * PATIENCE, "a delivered order"
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
