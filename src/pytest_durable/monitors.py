"""Monitors: predicates that are looked at after every happening."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._core.happenings import TIMER, Happening
from ._core.instants import Duration, duration, duration_text, instant_text
from .moments import Named

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core.world import World


def watch(world: World, predicate: Callable[[], object], word: str, *, holds: bool) -> None:
    """Let a predicate hold, or not hold, after every happening."""
    name = getattr(predicate, "__qualname__", repr(predicate))

    def look() -> None:
        if bool(predicate()) is not holds:
            verb = "does not hold" if holds else "holds"
            msg = f"{word}({name}) {verb} at {instant_text(world.now)}, after: {world.current}"
            raise AssertionError(msg)

    world.watch(look)


def eventually(world: World, predicate: Callable[[], object], within: Duration) -> Callable[[], None]:
    """The predicate must hold at some moment within that time; otherwise the drive fails when it is over.

    Returns:
        What fails at the end of a test in which it has not held, with time left.
    """
    name = getattr(predicate, "__qualname__", repr(predicate))
    deadline = world.now + duration(within, "eventually: within")
    held: list[bool] = []

    def look() -> None:
        if not held and predicate():
            held.append(True)

    def end() -> None:
        look()
        if not held:
            msg = f"eventually({name}) did not hold within {duration_text(duration(within))}"
            raise AssertionError(msg)

    def left() -> None:
        if not held:
            msg = (
                f"eventually({name}) has not held by the end of the test, at {instant_text(world.now)}; its time is "
                f"over at {instant_text(deadline)}. Drive time on, for example with durable.advance({within!r})"
            )
            raise AssertionError(msg)

    world.watch(look)
    world.push(Happening(deadline, TIMER, "limit", Named("eventually", name), "eventually", end, weak=True))
    return left
