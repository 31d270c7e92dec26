"""The four ports as pluggy hooks: what a third party can add. Each answers with a table of names, merged into ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@pytest.hookspec()
def pytest_durable_hosts() -> list[Callable[[object], Any]]:
    """Adapters: functions from an object to a ``FunctionSpec`` with a host, or None if it is not their kind."""
    return []


@pytest.hookspec()
def pytest_durable_faults() -> Mapping[str, Callable[..., Any]]:
    """Faults by name: functions that return a ``pytest_durable.faults.Fault``."""
    return {}


@pytest.hookspec()
def pytest_durable_strategies() -> Mapping[str, Callable[[int, int], Any]]:
    """Strategies of exploration by name: functions from a seed and a budget to a ``choosers.Search``."""
    return {}


@pytest.hookspec()
def pytest_durable_checks() -> Mapping[str, Callable[..., Any]]:
    """Checks by name: functions from a ``checks.Subject`` to a ``checks.Verdict``."""
    return {}
