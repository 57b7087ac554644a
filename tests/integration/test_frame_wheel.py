"""The wheel: it is built from what is tracked, holds everything that a server needs, and serves from there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENDOR = Path("dispatch/web/static/vendor")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy, so that nothing is left in the tree; without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked():
        if not name.startswith("tests/"):
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "tree" / name)
    shutil.copytree(ROOT / VENDOR, folder / "tree" / VENDOR)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)],
        cwd=folder / "tree", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_the_packages_and_the_pages_and_nothing_else(wheel: Path) -> None:
    members = set(zipfile.ZipFile(wheel).namelist())
    packages = ("dispatch/", "geo/", "payments/", "loadtest/")
    wanted = {name for name in tracked() if name.startswith(packages)}
    assert wanted - members == set()
    files = [path for path in (ROOT / VENDOR).rglob("[!.]*") if path.is_file()]
    vendor = {str(path.relative_to(ROOT)) for path in files}
    assert vendor and vendor - members == set()
    others = {name for name in members - wanted - vendor if ".dist-info/" not in name}
    assert others == set()


@pytest.fixture
def served(wheel: Path, tmp_path: Path, free_port: int) -> Iterator[str]:
    """The address of a server whose code lies in the unpacked wheel alone."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("DISPATCH_", "COVERAGE_"))}
    environ |= {
        "PYTHONPATH": str(tmp_path / "site"),
        "DISPATCH_DATA_DIR": str(tmp_path / "data"),
        "DISPATCH_PORT": str(free_port),
        "DISPATCH_METRICS_PORT": "0",
    }
    where = [sys.executable, "-c", "import dispatch, geo, payments; print(dispatch.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(tmp_path / "site")), found.stdout
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "dispatch", "serve"], cwd=tmp_path, env=environ, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{free_port}"
    try:
        until = time.monotonic() + 60
        while True:
            assert server.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text()
            try:
                urllib.request.urlopen(f"{url}/readyz", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(40)


def test_an_installation_from_the_wheel_serves_its_pages(served: str) -> None:
    library = min(path for path in (ROOT / VENDOR).rglob("*.js"))
    for path in ("console", "track", "runner", "openapi.json", f"static/{library.relative_to(ROOT / VENDOR.parent)}"):
        with urllib.request.urlopen(f"{served}/{path}", timeout=10) as answer:
            assert answer.status == 200 and len(answer.read()) > 500, path
