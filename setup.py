"""Refuses to build a wheel that could not serve its pages; everything else about the package is in setup.cfg."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_pages import missing_files


class BuildWithPages(build_py):
    """An installation for development may come before the pages; a wheel may not."""

    def run(self) -> None:
        if not self.editable_mode and (lacking := missing_files()):
            raise SystemExit(f"the pages' libraries are missing ({lacking[0]}, …): run `make pages` first")
        super().run()


setup(cmdclass={"build_py": BuildWithPages})
