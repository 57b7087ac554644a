"""The house keeps its own rules: sizes, docstrings, imports, and nothing of one machine or half-done in the tree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dispatch", "geo", "payments", "loadtest")
# A test module may be longer: its cases are tables. A function has about 50 lines, one far over wants dividing.
LONGEST_MODULE = 400
LONGEST_TEST_MODULE = 450
LONGEST_FUNCTION = 60
TEXT = {".py", ".md", ".cfg", ".toml", ".json", ".js", ".css", ".html", ".txt", ".conf", ".yml", ".example", ""}

# Split, so that this file does not find itself.
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "X" + "XX:", "raise Not" + "ImplementedError", "pragma: " + "no cover",
              "mark." + "xfail", "mark." + "skip(")  # fmt: skip
FOREIGN = ("registry." + "npmjs", "py" + "pi.org", "files.python" + "hosted", "deb.debian" + ".org")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode != 0:
        pytest.fail("these tests read the list of files from git: run them in a clone", pytrace=False)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


TRACKED = tracked()
SOURCES = [path for path in TRACKED if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PACKAGES]
TESTS = [path for path in TRACKED if path.suffix == ".py" and path.relative_to(ROOT).parts[0] == "tests"]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_modules_open_with_one_sentence():
    for path in SOURCES:
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        assert docstring, f"{named(path)} has no docstring"
        first = docstring.split("\n\n")[0].strip()
        assert first.endswith((".", "!", "?", ":")), f"{named(path)}: not a sentence: {first}"


def test_modules_are_short():
    bounds = dict.fromkeys(SOURCES, LONGEST_MODULE) | dict.fromkeys(TESTS, LONGEST_TEST_MODULE)
    lengths = {path: len(path.read_text().splitlines()) for path in bounds}
    long = {named(path): lines for path, lines in lengths.items() if lines > bounds[path]}
    assert not long, "divide these modules"


def test_functions_are_short():
    long = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long[f"{named(path)}:{node.name}"] = lines
    assert not long, "divide these functions"


def test_public_functions_say_what_they_do():
    silent = []
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            is_asked = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(node.body) > 4
            if is_asked and not node.name.startswith("_") and not ast.get_docstring(node):
                silent.append(f"{named(path)}:{node.name}")
    assert not silent


def test_nothing_is_half_done():
    found = []
    for path in TRACKED:
        if path.suffix in TEXT and path.name != "package-lock.json":
            text = path.read_text(errors="replace")
            found += [f"{named(path)}: {mark}" for mark in UNFINISHED if mark in text]
            if path.suffix == ".py":
                found += [f"{named(path)}: a silenced type" for _ in re.finditer(r"# type: " + r"ignore(?!\[)", text)]
    assert not found


def test_nothing_names_one_machine_or_registry():
    here = f"{ROOT.parent}/"
    found = []
    for path in TRACKED:
        if path.suffix in TEXT:
            text = path.read_text(errors="replace")
            found += [f"{named(path)}: {host}" for host in FOREIGN if host in text]
            if len(here) > 3 and here in text:
                found.append(f"{named(path)}: {here}")
    assert not found


def test_no_large_file_is_kept():
    assert not {named(path): size for path in TRACKED if (size := path.stat().st_size) > 400_000}


def test_imports_keep_to_the_rooms():
    checked = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_pages_refer_to_files_that_are_there():
    static = ROOT / "dispatch" / "web" / "static"
    missing = []
    for path in sorted([*static.glob("*.html"), *static.glob("js/**/*.js"), *static.glob("css/**/*.css")]):
        text = path.read_text()
        wanted = re.findall(r"""(?:src|href)=["'](/static/[^"'?#]+)""", text)
        wanted += re.findall(r"""(?:from|import)\s*\(?["']((?:\.{1,2}/|/static/)[^"']+)["']""", text)
        wanted += [each for each in re.findall(r"""url\(["']?([^"')]+)""", text) if not each.startswith(("data:", "#"))]
        for each in wanted:
            target = static / each.removeprefix("/static/") if each.startswith("/") else path.parent / each
            is_vendor = "vendor" in target.parts
            if "${" not in each and not is_vendor and not target.exists():
                missing.append(f"{named(path)}: {each}")
    assert not missing


def string_keys(path: Path) -> set[str]:
    return set(re.findall(r"""^\s*["']?([\w.-]+)["']?\s*:""", path.read_text(), re.MULTILINE))


def test_every_text_exists_in_both_languages():
    folder = ROOT / "dispatch" / "web" / "static" / "js"
    chinese, english = (sorted(folder.glob(f"strings*.{language}*.js")) for language in ("zh-CN", "en"))
    assert len(chinese) == len(english)
    for one, other in zip(chinese, english, strict=True):
        assert string_keys(one) == string_keys(other), f"{one.name} and {other.name} differ"
