"""The shape of the project: what style says is checked, is checked here or by the linters that run here."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "pytest_durable"
FUNCTION_LINES = 70
MODULE_LINES = 500

# What a session must not pay for unless it asks: other people's libraries, the heavy parts of the standard one.
HEAVY = {"asyncio", "croniter", "freezegun", "hypothesis", "inngest", "lark", "multiprocessing", "ssl"}
# Spelled in halves, so that this file does not hold what it looks for.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
REGISTRY_HOSTS = ("py" + "pi.org", "python" + "hosted.org")
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:home|root|Users|work)/")
LOCK_FILE = re.compile(r"(?:^|/)(?:[^/]*\.lock|package-lock\.json|pylock[^/]*\.toml)$")


def modules() -> list[Path]:
    """All modules of the package, in order."""
    return sorted(PACKAGE.rglob("*.py"))


def committed() -> list[str]:
    """What the repository holds, and what the next commit would add: paths from its root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def lines_matching(names: list[str], pattern: re.Pattern[str]) -> list[str]:
    """`path:line: text` for every line of these files that the pattern is found in."""
    found = []
    for name in names:
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        found += [
            f"{name}:{number}: {line.strip()}"
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    return found


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module, nested ones too."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def collected(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a file that pytest collects: at its top, or in a class at its top."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    classes = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    bodies = [node for body in [tree.body, *classes] for node in body]
    found = [node for node in bodies if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [node for node in found if node.name.startswith("test")]


def imported_roots(path: Path) -> set[str]:
    """The top-level names of everything that a module imports absolutely."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            roots.add((node.module or "").partition(".")[0])
    return roots


def test_there_is_a_package_to_look_at():
    """The checks below look at something: a moved folder would let them all pass."""
    assert len(modules()) > 1
    assert "pyproject.toml" in committed()


def test_imports_point_down_only():
    """The import contracts of pyproject.toml hold, and every module has a place in them."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
        "--no-cache",
        "--no-logo",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_kernel_imports_the_standard_library_only():
    """What `_core` imports is the standard library or itself."""
    outside = {
        f"{path.relative_to(ROOT)} imports {root}"
        for path in sorted((PACKAGE / "_core").rglob("*.py"))
        for root in imported_roots(path) - sys.stdlib_module_names - {"pytest_durable"}
    }
    assert sorted(outside) == []


def test_functions_are_short():
    """No function of the package passes the house number of lines, docstring and all."""
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in modules()
        for node in functions(path)
    }
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


def test_modules_are_short():
    """No module of the package passes the house number of lines: past it, a file becomes a folder."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_nothing_is_left_unfinished():
    """No code carries a note that it is not done: what is left to do is an issue."""
    assert lines_matching([name for name in committed() if name.endswith(".py")], UNFINISHED) == []


def test_the_plugin_starts_light():
    """Importing the plugin on top of pytest brings in no SDK, no Hypothesis, no parser and no asyncio."""
    code = "import pytest, sys, json; before = set(sys.modules); import pytest_durable.plugin; "
    code += "print(json.dumps(sorted(set(sys.modules) - before)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    loaded = json.loads(result.stdout)
    assert "pytest_durable.plugin" in loaded
    assert sorted({name.partition(".")[0] for name in loaded} & HEAVY) == []


def test_a_star_import_needs_no_extra():
    """What ``from pytest_durable import *`` brings in works without Hypothesis and without any SDK."""
    code = "import sys; sys.modules.update(dict.fromkeys(('hypothesis', 'inngest', 'freezegun')));"
    code += "exec('from pytest_durable import *'); assert callable(durable_function), 'it brings in too little'"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_no_lock_file_is_committed():
    """The tests run with what users resolve today, so no lock file is in the repository."""
    assert [name for name in committed() if LOCK_FILE.search(name)] == []


def test_no_registry_host_is_committed():
    """No file names the host of a package registry: where packages come from is the machine's business."""
    hosts = re.compile("|".join(re.escape(host) for host in REGISTRY_HOSTS), re.IGNORECASE)
    assert lines_matching(committed(), hosts) == []


def test_no_path_of_a_machine_is_committed():
    """No file names a folder of somebody's machine."""
    assert lines_matching(committed(), MACHINE_PATH) == []


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_says_what_it_is_for(path):
    """Every test has a docstring of its own."""
    assert [f"{node.lineno}: {node.name}" for node in collected(path) if not ast.get_docstring(node)] == []
