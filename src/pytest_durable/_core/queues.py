"""Queues of requests that wait for capacity. Pure: no world and no runs, only who waits for what, and since when.

A *line* is one capacity: the slots of a concurrency key, the pace of a throttle. A *group* is all requests that need
the same lines; they differ only in their place in the order, so that of a group only the first is ever looked at. A
group stands in the queue of one line at a time: one that was closed to it. That keeps the work for each request that
comes or goes at a few steps of a heap, however many wait.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from .flow import Gcra

Score = tuple[int, int]
Place = tuple[Score, int]
"""A place in the order of a queue: the score, of which less is better, then who came first."""


class Waiter(Protocol):
    """Who waits: a request."""

    @property
    def gone(self) -> bool:
        """It does not wait any more."""
        ...

    @property
    def holder(self) -> object:
        """In whose name it takes slots."""
        ...


class Line:
    """One capacity and the groups that wait for it. This one is always open: a queue for the sake of its order."""

    slots = False

    def __init__(self, line_id: str, name: str) -> None:
        self.id = line_id
        self.name = name
        self.waiting: list[tuple[Score, int, Group]] = []
        self.turn: Any = None
        """What will let the next one in, or None; whoever owns the queue keeps it here."""

    def opens(self, now: int) -> int | None:
        """The first instant at which somebody is let in; None if that depends on who leaves."""
        return now

    def take(self, holder: object, now: int) -> None:
        """Let somebody in."""


class Counter:
    """Who holds the slots of a key, in the order in which they came; several limits may look at one counter."""

    def __init__(self) -> None:
        self.count = 0
        self.held: dict[Any, int] = {}
        self.lines: list[Slots] = []


class Slots(Line):
    """A limit on a counter."""

    slots = True

    def __init__(self, line_id: str, name: str, counter: Counter, limit: int, *, whole_run: bool) -> None:
        super().__init__(line_id, name)
        self.counter = counter
        self.limit = limit
        self.whole_run = whole_run
        counter.lines.append(self)

    def opens(self, now: int) -> int | None:
        """Now, or nobody knows when."""
        return now if self.counter.count < self.limit else None

    def take(self, holder: object, now: int) -> None:  # noqa: ARG002 - one line among others
        """Take a slot."""
        counter = self.counter
        counter.count += 1
        counter.held[holder] = counter.held.get(holder, 0) + 1

    def give(self, holder: object) -> None:
        """Give a slot back."""
        counter = self.counter
        counter.count -= 1
        counter.held[holder] -= 1
        if not counter.held[holder]:
            del counter.held[holder]


class Pace(Line):
    """A throttle."""

    def __init__(self, line_id: str, name: str, bucket: Gcra) -> None:
        super().__init__(line_id, name)
        self.bucket = bucket

    def opens(self, now: int) -> int | None:
        """When the bucket admits the next."""
        return self.bucket.opens(now)

    def take(self, holder: object, now: int) -> None:  # noqa: ARG002 - one line among others
        """Charge the bucket."""
        self.bucket.take(now)


class Group:
    """The requests that need the same lines, the first in front.

    Invariants: ``line`` is where the group waits, None exactly if nobody is in it. ``listed`` is the place under which
    it stands there, or None; older listings of it may stand there too, and count for nothing.
    """

    __slots__ = ("heap", "line", "lines", "listed")

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self.lines = lines
        self.heap: list[tuple[Score, int, Waiter]] = []
        self.line: Line | None = None
        self.listed: Place | None = None

    def place(self) -> Place | None:
        """The place of the first that still waits."""
        heap = self.heap
        while heap and heap[0][2].gone:
            heappop(heap)
        return heap[0][:2] if heap else None


class Queue:
    """Lets requests in, by their place in the order.

    Args:
        wake: called with a line and an instant at which ``turn(line)`` is to be called.
    """

    def __init__(self, wake: Callable[[Line, int], None]) -> None:
        self.wake = wake
        self._sequence = 0

    def enter(self, waiter: Waiter, group: Group, score: Score, now: int, *, patient: bool = False) -> bool:
        """Let somebody in if every line is open and nobody better waits; otherwise queue it. Whether it is in.

        Args:
            waiter: who comes.
            group: which lines it needs.
            score: less goes first.
            now: the present instant.
            patient: it waits for its turn even if all is open, as somebody better may come at this instant.
        """
        self._sequence += 1
        place = (score, self._sequence)
        blocked = self._blocked(group, place, now)
        if blocked is None and not patient:
            self._take(group, waiter, now)
            return True
        heappush(group.heap, (*place, waiter))
        if group.line is None:
            group.line = blocked or group.lines[0]
        self._list(group)
        self._ensure_turn(group.line, now)
        return False

    def turn(self, line: Line, now: int) -> Waiter | None:
        """Let the next one in from the queue of a line, if anybody, and see to the turn behind it."""
        while (group := self._best(line)) is not None:
            opens = line.opens(now)
            if opens is None or opens > now:
                self._ensure_turn(line, now)
                return None
            place = group.place()
            assert place is not None, "this is our bug: the best group is empty"
            blocked = self._blocked(group, place, now)
            heappop(line.waiting)
            group.listed = None
            if blocked is None:
                waiter = heappop(group.heap)[2]
                self._take(group, waiter, now)
                self._list(group)
                if self._best(line) is not None:
                    self._ensure_turn(line, now)
                return waiter
            group.line = blocked
            self._list(group)
            self._ensure_turn(blocked, now)
        return None

    def leave(self, line: Slots, holder: object, now: int) -> bool:
        """Give a slot back. Whether anybody waits for it."""
        line.give(holder)
        awaited = False
        for other in line.counter.lines:
            if self._best(other) is not None:
                awaited = True
                self._ensure_turn(other, now)
        return awaited

    def _take(self, group: Group, waiter: Waiter, now: int) -> None:
        for line in group.lines:
            line.take(waiter.holder, now)

    def _blocked(self, group: Group, place: Place, now: int) -> Line | None:
        """The first line that is closed, or in which somebody better waits."""
        for line in group.lines:
            opens = line.opens(now)
            if opens is None or opens > now:
                return line
            best = self._best(line)
            if best is not None and best.heap[0][:2] < place:
                return line
        return None

    def _best(self, line: Line) -> Group | None:
        """The first group in the queue of a line; forgets listings that count for nothing."""
        waiting = line.waiting
        while waiting:
            score, sequence, group = waiting[0]
            if group.line is line:
                if group.place() == (score, sequence):
                    return group
                if group.listed == (score, sequence):
                    group.listed = None
                self._list(group)
                if waiting[0][:2] != (score, sequence):
                    continue
            heappop(waiting)
        return None

    def _list(self, group: Group) -> None:
        """Make sure that a group stands in the queue of its line under its present place; an empty one in none."""
        place = group.place()
        if place is None:
            group.line = group.listed = None
        elif group.listed != place:
            assert group.line is not None, "this is our bug: a group waits nowhere"
            heappush(group.line.waiting, (*place, group))
            group.listed = place

    def _ensure_turn(self, line: Line, now: int) -> None:
        opens = line.opens(now)
        if opens is not None:
            self.wake(line, opens)
