"""What a long search says while it goes on, on a terminal: one line now and then."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from .exploration import real_clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import pytest

    from .exploration import Report

SECONDS = 5.0
"""How long a search may be silent, in real seconds."""


class Progress:
    """Writes a line for a search whenever the last one is some seconds old.

    Args:
        reporter: pytest's terminal reporter.
        uncaptured: a context manager in which output reaches the terminal.
        name: the item that is explored.
        budget: how many schedules it is run under at most.
        clock: real seconds.
    """

    def __init__(
        self,
        reporter: Any,
        name: str,
        budget: int,
        uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext,
        clock: Callable[[], float] = real_clock,
    ) -> None:
        self.reporter = reporter
        self.uncaptured = uncaptured
        self.name = name
        self.budget = budget
        self.clock = clock
        self.began = self.last = clock()

    def __call__(self, report: Report, pruned: int) -> None:
        """Look whether it is time for a line."""
        now = self.clock()
        if now - self.last < SECONDS:
            return
        self.last = now
        with self.uncaptured():
            self.reporter.ensure_newline()
            self.reporter.write_line(
                f"{self.name}: {report.schedules:,} schedules of at most {self.budget:,}, {pruned:,} left early, "
                f"in {now - self.began:.0f} s"
            )


def progress_of(item: pytest.Item, budget: int) -> Progress | None:
    """The progress of an item, if somebody looks at a terminal."""
    plugins = item.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")
    if reporter is None or not reporter.isatty or item.config.get_verbosity() < 0:
        return None
    return Progress(reporter, item.nodeid, budget, capture.global_and_fixture_disabled if capture else nullcontext)


def section(report: Report) -> str:
    """What a report section says of a search that is over."""
    rate = f", {report.schedules / report.seconds:,.0f} schedules a second" if report.seconds > 0 else ""
    return f"{report}\n{report.seconds:.1f} s{rate}"
