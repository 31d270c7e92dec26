"""Queues of requests that wait for capacity. Pure: no world and no runs, only who waits for what, and since when.

A *line* is one capacity: the slots of a concurrency key, the pace of a throttle. A *party* is all requests that need
the same lines; they differ only in their place in the order, so that of a party only the first is ever looked at. A
party stands in the queue of one line at a time: one that was closed to it. That keeps the work for each request that
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
    """One capacity and the parties that wait for it. This one is always open: a queue for the sake of its order."""

    slots = False

    def __init__(self, line_id: str, name: str) -> None:
        self.id = line_id
        self.name = name
        self.waiting: list[tuple[Score, int, Party]] = []
        self.turn: int | None = None
        """The instant at which the next one is to be let in, or None."""

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


class Party:
    """The requests that need the same lines, the first in front.

    Invariants: ``line`` is where the party waits, None exactly if nobody is in it. ``listed`` is the place under which
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
        self._turns: dict[int, dict[Line, None]] = {}
        """The lines that are to have their turn, by the instant."""

    def enter(self, waiter: Waiter, party: Party, score: Score, now: int, *, patient: bool = False) -> bool:
        """Let somebody in if every line is open and nobody better waits; otherwise queue it. Whether it is in.

        Args:
            waiter: who comes.
            party: which lines it needs.
            score: less goes first.
            now: the present instant.
            patient: it waits for its turn even if all is open, as somebody better may come at this instant.
        """
        self._sequence += 1
        place = (score, self._sequence)
        blocked = self._blocked(party, place, now)
        if blocked is None and not patient and self._better(party, place, now) is None:
            self._take(party, waiter, now)
            return True
        heappush(party.heap, (*place, waiter))
        if party.line is None:
            party.line = blocked or party.lines[0]
        self._list(party)
        self._ensure_turn(party.line, now)
        return False

    def turn(self, line: Line, now: int) -> Waiter | None:
        """Let the next one in from the queue of a line, if anybody, and see to the turn behind it."""
        assert line.turn is not None, "this is our bug: a turn that nobody asked for"
        at, line.turn = line.turn, None
        del self._turns[at][line]
        if not self._turns[at]:
            del self._turns[at]
        while (party := self._best(line)) is not None:
            opens = line.opens(now)
            if opens is None or opens > now:
                self._ensure_turn(line, now)
                return None
            place = party.place()
            assert place is not None, "this is our bug: the best party is empty"
            blocked = self._blocked(party, place, now)
            better = self._better(party, place, now) if blocked is None else None
            if better is not None:
                # It stands in another queue, whose turn it is at this very instant.
                waiter = heappop(better.heap)[2]
                self._take(better, waiter, now)
                better.listed = None
                self._list(better)
                self._ensure_turn(line, now)
                return waiter
            heappop(line.waiting)
            party.listed = None
            if blocked is None:
                waiter = heappop(party.heap)[2]
                self._take(party, waiter, now)
                self._list(party)
                if self._best(line) is not None:
                    self._ensure_turn(line, now)
                return waiter
            party.line = blocked
            self._list(party)
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

    def _take(self, party: Party, waiter: Waiter, now: int) -> None:
        for line in party.lines:
            line.take(waiter.holder, now)

    def _blocked(self, party: Party, place: Place, now: int) -> Line | None:
        """The first line that is closed, or in which somebody better waits."""
        for line in party.lines:
            opens = line.opens(now)
            if opens is None or opens > now:
                return line
            best = self._best(line)
            if best is not None and best.heap[0][:2] < place:
                return line
        return None

    def _better(self, party: Party, place: Place, now: int) -> Party | None:
        """Who has the best place of those that are better, need a line of this party, and are let in now elsewhere."""
        found = None
        for line in self._turns.get(now, ()):
            other = self._best(line)
            if other is None or other is party or set(other.lines).isdisjoint(party.lines):
                continue
            theirs = other.place()
            if theirs is not None and theirs < place and self._blocked(other, theirs, now) is None:
                found, place = other, theirs
        return found

    def _best(self, line: Line) -> Party | None:
        """The first party in the queue of a line; forgets listings that count for nothing.

        What is listed anew is behind what is forgotten: a place in front would have been listed when it was taken.
        """
        waiting = line.waiting
        while waiting:
            score, sequence, party = waiting[0]
            if party.line is line:
                if party.place() == (score, sequence):
                    return party
                if party.listed == (score, sequence):
                    party.listed = None
                self._list(party)
            heappop(waiting)
        return None

    def _list(self, party: Party) -> None:
        """Make sure that a party stands in the queue of its line under its present place; an empty one in none."""
        place = party.place()
        if place is None:
            party.line = party.listed = None
        elif party.listed != place:
            assert party.line is not None, "this is our bug: a party waits nowhere"
            heappush(party.line.waiting, (*place, party))
            party.listed = place

    def _ensure_turn(self, line: Line, now: int) -> None:
        opens = line.opens(now)
        # A line never opens earlier than it said before, so the turn that is due is soon enough.
        if opens is not None and line.turn is None:
            line.turn = opens
            self._turns.setdefault(opens, {})[line] = None
            self.wake(line, opens)
