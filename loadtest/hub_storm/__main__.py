"""``python -m loadtest.hub_storm``: the same command as ``python -m loadtest hub-faults``."""

from __future__ import annotations

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())
