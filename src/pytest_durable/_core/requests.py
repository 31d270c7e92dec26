"""A request, and the port through which the test reaches into what it leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .bus import BusEvent
    from .results import Result
    from .runs import Entry, RunState


class Stage(Protocol):
    """The port to the test: what a step does when it is tried, and what befalls what is on its way.

    Attributes:
        misuse: a mistake of the author in the body that was under way, which ends the run whatever the body caught.
    """

    misuse: Any

    @property
    def befalls(self) -> bool:
        """Whether anything may befall a request; if not, ``before`` and ``after`` are not asked."""
        ...

    def attempt(self, run: RunState, entry: Entry) -> Result:
        """Try a step once: its handler, its script, and the faults that befall it."""
        ...

    def stub(self, run: RunState, entry: Entry) -> Result | None:
        """A scripted answer to a step that nobody executes, or None for the real thing."""
        ...

    def reached(self, run: RunState, entry: Entry) -> None:
        """Take note that a run waits."""
        ...

    def deliver(self, event: BusEvent) -> list[tuple[int, BusEvent]]:
        """What arrives, and how much later, when an event is sent."""
        ...

    def before(self, item: Item) -> bool:
        """Take note of a request that is about to be made; False if it is not to be made."""
        ...

    def ended(self, item: Item) -> BaseException | None:
        """Take note that the body has returned; an error if the answer is lost."""
        ...

    def returned(self, run: RunState, value: object) -> None:
        """Take note of what a function has returned, before it crosses the wire."""
        ...

    def is_open(self, run: RunState) -> bool:
        """Whether a request of a run is under way at an SDK."""
        ...

    def after(self, item: Item) -> None:
        """Take note of a request whose answer has been recorded."""
        ...


class Item:
    """A request that is due: the unit of scheduling, with its own count of attempts. Semantics' section 3.2.

    Attributes:
        target: the planned step that it executes, or None to find out what comes next.
        retries: the step whose attempt, in a request without a target, it repeats.
        answered: a sync body has asked for a step, which was begun while the body stood there.
    """

    __slots__ = ("answered", "attempt", "number", "retries", "run", "target")

    def __init__(self, run: RunState, target: Entry | None, number: int) -> None:
        self.run = run
        self.target = target
        self.attempt = 0
        self.number = number
        self.retries: Entry | None = None
        self.answered = False

    @property
    def gone(self) -> bool:
        """Its run is over, so it waits for nothing."""
        return self.run.ended_at is not None

    @property
    def holder(self) -> RunState:
        """In whose name it takes slots."""
        return self.run

    def __str__(self) -> str:
        return f"{self.number}.{self.attempt}" if self.target is None else self.target.key
