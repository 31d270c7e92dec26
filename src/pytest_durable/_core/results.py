"""How an attempt at a step ended, or how a script answers a step in place of the world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE, ERROR, CRASH, DEAF, UNDER_WAY = "value", "error", "crash", "deaf", "under way"


class Wakeable(Protocol):
    """Code that sleeps or waits, while others go on.

    Attributes:
        at: the instant at which it goes on by itself, or None.
        busy_until: the instant before which nobody can wake it.
        wake: to be called when somebody else gives it something to do.
    """

    at: int | None
    busy_until: int
    wake: Callable[[], None] | None


class Underway(Wakeable, Protocol):
    """A handler that sleeps or waits, while others go on.

    Attributes:
        go_on: lets it go on, and gives the result then.
    """

    go_on: Callable[[], Result]

    def close(self) -> None:
        """Let go of it."""
        ...


class Result:
    """A value, an error, a crash, the word that the step hears nothing but its timeout, or a handler under way.

    Attributes:
        kind: VALUE, ERROR, CRASH, DEAF or UNDER_WAY.
        payload: the value, the exception or the Underway.
        elapsed: how much virtual time it took, in microseconds.
    """

    __slots__ = ("elapsed", "kind", "payload")

    def __init__(self, kind: str, payload: Any = None, elapsed: int = 0) -> None:
        self.kind = kind
        self.payload = payload
        self.elapsed = elapsed


def at_the_end(result: Result, then: Callable[[Result], Result]) -> Result:
    """What ``then`` makes of a result, as soon as it is there."""
    if result.kind != UNDER_WAY:
        return then(result)
    course: Underway = result.payload
    go_on = course.go_on
    course.go_on = lambda: at_the_end(go_on(), then)
    return result
