"""Every socket is an open file."""

from __future__ import annotations

import resource

MOST = 65_536


def raise_open_files() -> None:
    """Allow this process as many as the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
