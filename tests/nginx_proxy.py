"""nginx with the server block that the documents give, on a free port and without its TLS."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "deploy" / "nginx.conf"
START_DEADLINE_S = 10.0


@asynccontextmanager
async def nginx_before(
    backend: int | Sequence[int],
    folder: Path,
    port: int,
    without: str = "",
    replaced: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[str]:
    """Starts it before servers on these ports; gives its address. Lines that hold ``without`` are left out."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert nginx, "nginx is missing: install nginx-light"
    servers = "\n".join(f"server 127.0.0.1:{each};" for each in ([backend] if isinstance(backend, int) else backend))
    block = EXAMPLE.read_text().replace("server 127.0.0.1:8888;", servers)
    for old, new in replaced.items():
        assert old in block, old
        block = block.replace(old, new)
    block = block.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    kept = [line for line in block.splitlines() if "ssl_" not in line and (not without or without not in line)]
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; "
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        + "\n".join(kept) + "\n}\n"
    )  # fmt: skip
    process = subprocess.Popen([nginx, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"])
    try:
        await _until_it_listens(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


async def _until_it_listens(port: int) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.monotonic() < deadline, "nginx did not start"
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
