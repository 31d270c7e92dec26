"""Every check of the project: `nox -s NAME`, `nox -l` for the list, `nox` for what CI asks for.

The supported Pythons are the classifiers of pyproject.toml; an interpreter that is not there is skipped. With pyenv,
say which ones nox may find: `PYENV_VERSION=3.11.7:3.13.0 nox -s tests`.
"""

from __future__ import annotations

import nox
from packaging.requirements import Requirement

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
LOWEST = PYTHONS[0]
# Branch coverage in percent: of the kernel, and of all the rest.
KERNEL = "*/pytest_durable/_core/*"
KERNEL_FLOOR = 100
REST_FLOOR = 95
PEERS = ["inngest>=0.5", "aws-durable-execution-sdk-python-testing>=1.4"]

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "docs", "tests", "coverage"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests against the built wheel, not the tree. Arguments go to pytest."""
    session.install(".[dev]")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)


@nox.session(python=LOWEST)
@nox.parametrize("version", ["0.5.0", "0.5.9", "0.5.15"])
def sdk(session: nox.Session, version: str) -> None:
    """Run what concerns the Inngest SDK with an earlier version of it; `.ci/run` tries all."""
    session.install(".[dev]", f"inngest=={version}")
    session.run("python", "-m", "pytest", "tests/adapters", "tests/flow", *session.posargs)


@nox.session(python=LOWEST)
def coverage(session: nox.Session) -> None:
    """Combine what the tests measured on all Pythons, and hold it to the floors."""
    session.install("coverage>=7.10")
    session.run("coverage", "combine")
    session.run("coverage", "report", f"--include={KERNEL}", f"--fail-under={KERNEL_FLOOR}")
    session.run("coverage", "report", f"--omit={KERNEL}", f"--fail-under={REST_FLOOR}")


USERS = ("freezegun", "hypothesis", "inngest", "xdist")
"""The extras that users install."""


@nox.session(name="min", python=LOWEST)
def minimum(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows of what users install."""
    extras = PROJECT["project"]["optional-dependencies"]
    listed = [*PROJECT["project"]["dependencies"], *(line for name in USERS for line in extras[name])]
    requirements = [Requirement(line) for line in listed]
    lowest = [str(requirement).replace(">=", "==") for requirement in requirements]
    session.install(
        ".", *lowest, "anyio", "coverage", "django", "fastapi", "flask", "httpx", "pytest-asyncio", "import-linter"
    )
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=LOWEST)
def lint(session: nox.Session) -> None:
    """Ruff's rules and format, and the directions of imports."""
    session.install("--editable", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session(python=LOWEST)
def types(session: nox.Session) -> None:
    """Mypy, strict, over the package and tests/typing."""
    session.install("--editable", ".[dev]")
    session.run("mypy")


@nox.session(python=LOWEST)
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install("--editable", ".[dev]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session(python=LOWEST)
def bench(session: nox.Session) -> None:
    """Measure against the floor. With `-- peers`, also against the peers' released packages."""
    session.install(".")
    if "peers" in session.posargs:
        session.install(*PEERS)
    session.run("python", "benchmarks/run.py", *session.posargs)
