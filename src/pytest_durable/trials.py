"""One execution of a scenario: what was chosen, how it ended, and how it differs from another one."""

from __future__ import annotations

import traceback
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ._core import wire
from ._core.choices import ORDER, Schedule
from ._core.happenings import Happening, Moment
from ._core.instants import instant_text
from .faults import Injection
from .names import injection_told, told
from .simulation import Simulation

if TYPE_CHECKING:
    from ._core.choices import Deviation
    from .faults import Fault


class Trial:
    """One execution of a scenario.

    Attributes:
        error: the exception that failed it, or None.
        pruned: it was left early, as a repetition of another order.
        schedule, deviations: what was chosen.
        effects: how often the ledger recorded each effect.
        faults: the faults of its simulation.
        looked: the logs whose order the test has looked at.
        report: the timelines of its runs.
    """

    def __init__(self, simulation: Simulation | None, error: BaseException | None, *, pruned: bool = False) -> None:
        self.error = error
        self.pruned = pruned
        self.schedule = Schedule((), ())
        self.deviations: list[Deviation] = []
        self.effects: dict[tuple[str, str], int] = {}
        self.looked: frozenset[str] = frozenset()
        self.faults: list[Fault] = []
        self._simulation = simulation
        if simulation is not None:
            self.schedule = simulation.schedule
            self.deviations = simulation.world.choices.deviations
            self.looked = simulation.looked
            self.faults = list(simulation.faults)
            if not pruned:
                self.effects = simulation.ledger.counts()

    def retire(self) -> None:
        """Nobody drives its simulation any more."""
        if self._simulation is not None:
            self._simulation.retire()

    @property
    def report(self) -> str:
        """The timelines of the runs."""
        return self._simulation.report() if self._simulation is not None else ""

    @property
    def story(self) -> str:
        """What differs from the default order, in words."""
        return story(self._simulation) if self._simulation is not None else ""

    def end(self) -> tuple[tuple[Any, ...], ...]:
        """How its runs ended: function, status, result on the wire, how many facts."""
        engine = self._simulation.engine if self._simulation is not None else None
        if engine is None:
            return ()
        return tuple((run.spec.id, run.status, run.result, len(run.noted)) for run in engine.runs)

    def findings(self) -> list[str]:
        """What was found in its runs."""
        engine = self._simulation.engine if self._simulation is not None else None
        return [] if engine is None else [finding for run in engine.runs for finding in run.findings]

    def names(self) -> tuple[set[str], set[str]]:
        """The ids of all steps that were asked for, and the names of all events."""
        engine = self._simulation.engine if self._simulation is not None else None
        if engine is None:
            return set(), set()
        steps = {entry.id for run in engine.runs for entry in run.entries.values()}
        return steps, {event.name for event in engine.answers.events}

    @property
    def with_faults(self) -> bool:
        """Whether faults were options."""
        return self._simulation is not None and self._simulation.faults.present

    def identity(self) -> tuple[str, str, int]:
        """What makes two failures the same: the exception's type and the place that raised it."""
        error = self.error
        if error is None:
            return ("", "", 0)
        frames = traceback.extract_tb(error.__traceback__)
        outside = [frame for frame in frames if "pytest_durable" not in frame.filename] or frames
        last = outside[-1] if outside else None
        cause = type(error.__cause__).__name__ if error.__cause__ is not None else ""
        return (f"{type(error).__name__} {cause}", last.filename if last else "", (last.lineno or 0) if last else 0)


def story(simulation: Simulation) -> str:
    """The schedule of a simulation in words: what differs from the default order."""
    deviations = simulation.world.choices.deviations
    if not deviations:
        return "default order throughout"
    parts: list[str] = []
    overtaken: object = None
    suffix = ""
    for deviation in deviations:
        taken, default = deviation.taken, deviation.default
        if deviation.label == ORDER:
            if default is overtaken:
                # One happening that several overtake, one after the other, is named once, behind all of them.
                parts[-1] = f"{parts[-1].removesuffix(suffix)}, {_told(taken, simulation)}{suffix}"
                continue
            suffix = f" before {_told(default, simulation)}"
            part = f"{_told(taken, simulation)}{suffix}"
        else:
            part = _told(taken, simulation)
        overtaken = default if deviation.label == ORDER else None
        # News that waits for its moment says "later" at every instant before; what counts is when it came.
        if part not in parts:
            parts.append(part)
    return "default order, except: " + "; then ".join(parts)


def _told(taken: object, simulation: Simulation) -> str:
    if isinstance(taken, Moment):
        news = taken.happening
        came = f"at {instant_text(news.at)}" if news.ready else "later than the test looks"
        return f"{news.name} {came}"
    if isinstance(taken, Happening):
        return told(taken, simulation)
    return injection_told(taken, simulation) if isinstance(taken, Injection) else str(taken)


def difference(failing: Trial, passing: Trial | None) -> str:
    """The effects of a failing execution against those of a passing one."""
    if passing is None:
        return ""
    rows = []
    for effect in sorted({*failing.effects, *passing.effects}):
        had, wanted = failing.effects.get(effect, 0), passing.effects.get(effect, 0)
        if had != wanted:
            rows.append(f"  {effect[0]} {effect[1]}: {had} times, and {wanted} times in the nearest passing schedule")
    return "\n".join(["effects:", *rows]) if rows else ""


def told_ends(end: tuple[tuple[Any, ...], ...]) -> str:
    """How runs ended, in words."""
    told = []
    for function, status, result, facts in end:
        value = "" if result is None else f" with {wire.load(result)!r}"
        told.append(f"{function} {status}{value} ({facts} facts)")
    return ", ".join(told) or "no run"


def first_difference(one: str, other: str) -> str:
    """The first line in which two texts differ."""
    for left, right in zip_longest(one.splitlines(), other.splitlines(), fillvalue="(nothing)"):
        if left != right:
            return f"the first difference is\n  {left.strip()}\nand then\n  {right.strip()}"
    return "the timelines are the same, so it is the test itself that decides otherwise"


def simulate(chooser: Any, **settings: Any) -> Simulation:
    """A simulation under a chooser; one that observes is told what happens, one that goes by names meets it."""
    watching = {"observer": chooser} if hasattr(chooser, "happened") else {"chooser": chooser}
    simulation = Simulation(**watching, **settings)
    if hasattr(chooser, "meet"):
        chooser.meet(simulation)
    return simulation
