"""What a check is about, and what it says."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ._core.choices import First
from ._core.errors import BoundReachedError, NonDeterminismError
from .choosers import Labelled
from .trials import Trial, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .run import Run
    from .simulation import Simulation


@dataclass
class Verdict:
    """What a check says.

    Attributes:
        check: its name.
        violations: what is wrong, with the schedule that shows it.
        proved: what was shown, with figures.
        not_reached: what the check could not look at, or "".
    """

    check: str
    violations: list[str] = field(default_factory=list)
    proved: str = ""
    not_reached: str = ""

    def __str__(self) -> str:
        if self.violations:
            return "\n".join(f"{self.check}: {violation}" for violation in self.violations)
        return f"{self.check}: {self.proved or 'nothing to look at'}" + (
            f" (not reached: {self.not_reached})" if self.not_reached else ""
        )


class Subject:
    """A function under check, and how to run it.

    Args:
        function: the function.
        event: what starts it: an event, a dict as the data of one, or None.
        setup: is called with the simulation before each run; it can register functions, write scripts, reset fakes.
        allow: impure calls that are fine, such as "time.time" or "file".

    Attributes:
        trial, effects: what was done in the run in the default order, and how often each effect with a key.
    """

    trial: Trial
    effects: dict[tuple[str, str], int]

    def __init__(self, function: Any, event: Any, setup: Callable[[Simulation], object] | None,
                 allow: Iterable[str] = ()) -> None:  # fmt: skip
        self.function = function
        self.event = event
        self.setup = setup
        self.allow = tuple(allow)

    def run(self, chooser: Any = None, **settings: Any) -> tuple[Simulation, Run]:
        """Run the function once, to its end or until nothing more is due."""
        with simulate(chooser or First(), **settings) as simulation:
            run = self.go(simulation)
        return simulation, run

    def go(self, simulation: Simulation) -> Run:
        """Set a simulation up and run the function in it."""
        simulation._stage.strict = True  # noqa: SLF001 - checks look into the simulation
        if self.setup is not None:
            self.setup(simulation)
        run = simulation.start(self.function, self.event)
        state = run._state  # noqa: SLF001 - checks look into the run
        simulation.drive_to(lambda: state.ended_at is not None)
        return run

    @functools.cached_property
    def baseline(self) -> tuple[Simulation, Run]:
        """The run in the default order, without faults."""
        simulation, run = self.run()
        # Before any check enters the body once more.
        self.trial = Trial(simulation, None)
        self.effects = keyed(simulation)
        return simulation, run

    @property
    def replay(self) -> str:
        """How checks run it that look at what it does once: in place, if entering the body anew takes long."""
        try:
            return "checkpoint" if len(self.baseline[1].steps) > LONG else "always"
        except (NonDeterminismError, BoundReachedError):
            return "always"


LONG = 200
"""From how many steps on a run is long."""


class Ending(NamedTuple):
    """What must not change: how a run ended, and the sequence of its steps; not the values that steps may mint.

    Attributes:
        in_turn: its steps ended in the order in which the body asked for them. Where they did not, or might not have,
            they stood side by side, and one that is tried again ends behind its siblings.
        result: what it returned, of which only the shape counts.
    """

    status: str
    error: str
    steps: tuple[str, ...]
    in_turn: bool
    result: Any


def ending(run: Run) -> Ending:
    """How a run ended."""
    steps = tuple(run.steps)
    in_turn = steps == tuple(run._state.entries)  # noqa: SLF001 - checks look into the run
    error = run.error.name if run.error is not None else ""
    return Ending(str(run.status), error, steps, in_turn, run.result)


def shape(value: Any) -> Any:
    """What a result is made of, without what its parts are: the keys of dicts, and how long lists are."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    return [shape(part) for part in value] if isinstance(value, list) else None


def keyed(simulation: Simulation) -> dict[tuple[str, str], int]:
    """How often each effect with a key was recorded."""
    return {who: count for who, count in simulation.ledger.counts().items() if who[1] != "None"}


def at(simulation: Simulation) -> str:
    """The line of a violation that replays it."""
    return f"  schedule: {simulation.schedule}"


def deviations(subject: Subject, faults: list[Any], *labels: str) -> list[list[int]]:
    """For every choice of these labels in the default order: the schedules that deviate there alone."""
    chooser = Labelled([])
    subject.run(chooser, faults=faults)
    return [
        [0] * position + [index]
        for position, (said, count) in enumerate(chooser.labels)
        if said.startswith(labels)
        for index in range(1, count)
    ]
