"""Which durable decisions the tests exercised: the outcomes of every step and wait that they met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .simulation import Simulation


class Decisions:
    """A table of outcomes."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def add(self, simulation: Simulation) -> None:
        """Add the runs of a simulation."""


def summary(terminalreporter: Any, config: Any) -> None:
    """Print the table."""
