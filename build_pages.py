"""Copies what the pages use of their npm packages into the folder that the server serves and a wheel carries."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENDOR = ROOT / "dispatch" / "web" / "static" / "vendor"

TAKEN = {
    "leaflet": ("dist/leaflet.js", "dist/leaflet-src.esm.js", "dist/leaflet.css", "dist/images", "LICENSE"),
    "qrcode-generator": ("dist/qrcode.mjs",),
    "swagger-ui": ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "LICENSE", "NOTICE"),
}
PACKAGES = {"leaflet": "leaflet", "qrcode-generator": "qrcode-generator", "swagger-ui": "swagger-ui-dist"}


def missing_files() -> list[str]:
    """What a complete build would hold and this one lacks."""
    wanted = (VENDOR / folder / Path(name).name for folder, names in TAKEN.items() for name in names)
    return [str(path.relative_to(ROOT)) for path in wanted if not path.exists()]


def build() -> None:
    for folder, names in TAKEN.items():
        source, target = ROOT / "node_modules" / PACKAGES[folder], VENDOR / folder
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in names:
            if (source / name).is_dir():
                shutil.copytree(source / name, target / Path(name).name)
            else:
                shutil.copy(source / name, target / Path(name).name)


if __name__ == "__main__":
    if not (ROOT / "node_modules").is_dir():
        sys.exit("node_modules is missing: run `make pages`")
    build()
    if lacking := missing_files():
        sys.exit(f"not in the npm packages: {', '.join(lacking)}")
