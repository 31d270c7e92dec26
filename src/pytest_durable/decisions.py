"""Which durable decisions the tests exercised: the outcomes of every step and wait, out of the possible ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._core.commands import EXECUTED, INVOKE, SIGNAL, SLEEP, TIMER_OP, WAIT

if TYPE_CHECKING:
    from ._core.runs import Entry
    from .simulation import Simulation

Table = dict[str, dict[str, list[str]]]
"""For each ``function: step``, the possible outcomes and those seen; plain lists, which cross between processes."""


class Decisions:
    """A table of outcomes, filled from finished simulations."""

    def __init__(self) -> None:
        self.table: Table = {}

    def add(self, simulation: Simulation) -> None:
        """Add the runs of a simulation."""
        for run in simulation.engine.runs:
            for entry in run.entries.values():
                if entry.op != TIMER_OP:
                    self._add(f"{run.spec.id}: {entry.id}", entry, attempts=run.spec.attempts)

    def _add(self, name: str, entry: Entry, *, attempts: int) -> None:
        row = self.table.get(name)
        if row is None:
            row = self.table[name] = {"possible": possible(entry, attempts), "seen": []}
        for outcome in seen(entry):
            if outcome not in row["seen"] and outcome in row["possible"]:
                row["seen"].append(outcome)

    def merge(self, other: Table) -> None:
        """Add the table of another process."""
        for name, row in other.items():
            mine = self.table.setdefault(name, {"possible": row["possible"], "seen": []})
            mine["seen"] += [outcome for outcome in row["seen"] if outcome not in mine["seen"]]

    def percentage(self) -> float:
        """How many of the possible outcomes were seen, of 100; 100 if there are none."""
        total = sum(len(row["possible"]) for row in self.table.values())
        return 100.0 if not total else 100.0 * sum(len(row["seen"]) for row in self.table.values()) / total

    def lines(self) -> list[str]:
        """The table for people, what is missing by name."""
        lines = []
        for name, row in sorted(self.table.items()):
            missing = [outcome for outcome in row["possible"] if outcome not in row["seen"]]
            gap = f"  missing: {', '.join(missing)}" if missing else ""
            lines.append(f"{name:<50} {len(row['seen'])}/{len(row['possible'])}{gap}")
        return [*lines, f"{'durable decisions':<50} {self.percentage():.0f} %"]


def possible(entry: Entry, attempts: int) -> list[str]:
    """The outcomes that a step can have."""
    timeout = getattr(entry.command, "timeout", None) is not None
    if entry.op in EXECUTED:
        return ["succeeded", *(["retried"] if attempts > 1 else []), "failed"]
    if entry.op in {WAIT, SIGNAL}:
        return ["answered", *(["timed out"] if timeout else [])]
    if entry.op == INVOKE:
        return ["returned", "failed", *(["timed out"] if timeout else [])]
    return ["passed"]


def seen(entry: Entry) -> list[str]:
    """The outcomes that a step has had in one run."""
    outcomes = ["retried"] if entry.attempts > 1 else []
    if not entry.done:
        return outcomes
    if entry.failure is not None:
        return [*outcomes, "timed out" if entry.failure.kind == "invoke_timeout" else "failed"]
    if entry.op in EXECUTED:
        return [*outcomes, "succeeded"]
    if entry.op in {WAIT, SIGNAL}:
        return ["timed out" if entry.stored == (None, None) else "answered"]
    return ["passed" if entry.op == SLEEP else "returned"]


def summary(terminalreporter: Any, decisions: Decisions, least: float | None) -> None:
    """Print the table, and what it fell short of."""
    terminalreporter.section("durable decisions")
    for line in decisions.lines():
        terminalreporter.line(line)
    if least is not None and decisions.percentage() < least:
        terminalreporter.line(f"FAIL: {decisions.percentage():.1f} % is below --durable-cov-fail-under={least:g}")
