"""Hypothesis strategies: a simulation whose choices Hypothesis draws, so that schedules shrink with the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from hypothesis import strategies as st
from hypothesis.control import cleanup

from ._core.instants import MILLISECOND, duration
from .events import Event
from .faults import BY_NAME, Fault, named
from .simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._core.instants import Duration

__all__ = ["events", "faults", "simulations", "step_outcomes", "timelines"]


class DrawnChooser:
    """Draws an index for every choice; index 0, the default, is what Hypothesis shrinks to."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def choose(self, label: str, options: Sequence[object]) -> int:
        """Draw one of the options, under their names."""
        named = [_Named(index, str(option)) for index, option in enumerate(options)]
        return int(self.data.draw(st.sampled_from(named), label=label))


class _Named(int):
    """An index that shows itself as the option that it stands for."""

    name: str

    def __new__(cls, index: int, name: str) -> Self:
        made = super().__new__(cls, index)
        made.name = name
        return made

    def __repr__(self) -> str:
        return repr(self.name)


@st.composite
def simulations(
    draw: st.DrawFn, /, *, faults: Iterable[str | Fault] = (), max_faults: int = 1, **settings: Any
) -> Simulation:
    """Entered simulations whose order of happenings, moments and faults are drawn.

    Args:
        draw: given by Hypothesis.
        faults: faults or their names; each injection is a choice.
        max_faults: how many may happen in one example.
        settings: further arguments of ``Simulation``.
    """
    chooser = DrawnChooser(draw(st.data()))
    simulation = Simulation(chooser=chooser, faults=list(faults), max_faults=max_faults, **settings)
    simulation.__enter__()
    cleanup(simulation.close)
    return simulation


def durations(least: Duration = 0, most: Duration = "7d") -> st.SearchStrategy[int]:
    """Durations in whole milliseconds, as every ``at=`` and ``advance`` takes them."""
    low, high = duration(least) // MILLISECOND, duration(most) // MILLISECOND
    return st.integers(low, high)


def events(names: Sequence[str], data: st.SearchStrategy[dict[str, Any]] | None = None) -> st.SearchStrategy[Event]:
    """Events with one of these names; their data is empty, or drawn."""
    payload = data if data is not None else st.just({})
    return st.builds(Event, st.sampled_from(list(names)), payload)


def timelines(
    event: st.SearchStrategy[Event], *, within: Duration = "7d", max_size: int = 5
) -> st.SearchStrategy[dict[int, Event]]:
    """Event timelines for ``sim.timeline(...)``: moments in milliseconds from now, and an event for each."""
    return st.dictionaries(durations(0, within), event, max_size=max_size)


def step_outcomes(
    values: st.SearchStrategy[Any] | None = None,
    errors: Sequence[type[Exception]] = (RuntimeError,),
    *,
    max_failures: int = 2,
) -> st.SearchStrategy[list[Any]]:
    """What the attempts at a step do, some errors and then a value, for ``sim.step(id).plays(outcomes)``."""
    failures = st.lists(st.sampled_from([error("drawn") for error in errors]), max_size=max_failures)
    return st.builds(lambda failed, value: [*failed, value], failures, values if values is not None else st.none())


def faults() -> st.SearchStrategy[Fault]:
    """One of the faults, with its defaults."""
    return st.sampled_from(sorted(BY_NAME)).map(named)
