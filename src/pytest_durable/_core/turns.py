"""Whose turn it is: requests in the queues for concurrency, throttle and priority. Semantics' 14.7 to 14.9."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .commands import SLEEP
from .flow import SOON
from .happenings import TIMER, Happening
from .instants import MILLISECOND, instant_text
from .queues import Counter, Line, Pace, Party, Queue, Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from .engine import Engine
    from .flow import Capacity, Flow, Key
    from .queues import Score
    from .requests import Item
    from .runs import Entry, FunctionSpec, RunState

NO_VALUE = "<nil>"
"""What a key that cannot be evaluated comes to where requests wait."""


class Ticket:
    """What flow control knows of a run.

    Attributes:
        first, later: the lines that its first request needs, and the others; None for none.
        single: the place of the singleton that it holds, or None.
        factor: seconds by which it counts as older in its queues.
        scores: the places of its requests that are due.
        waiting: its requests that wait in a queue.
        inside: its requests that are under way, with the lines that let each in.
        staying: its requests that take time.
        whole: the slots that it holds until its end.
        callers: who invoked it, by the number of the event; a batch may have several.
    """

    __slots__ = ("callers", "factor", "first", "inside", "later", "scores", "single", "staying", "waiting",
                 "whole")  # fmt: skip

    def __init__(self) -> None:
        self.first: Party | None = None
        self.later: Party | None = None
        self.single: tuple[str, str] | None = None
        self.factor = 0
        self.scores: dict[Item, Score] = {}
        self.waiting: dict[Item, None] = {}
        self.inside: dict[Item, tuple[Line, ...]] = {}
        self.staying: dict[Item, None] = {}
        self.whole: list[Slots] = []
        self.callers: list[tuple[int, tuple[RunState, Entry]]] = []


class Turns:
    """The queues in front of requests.

    A request that finds every line open, and nobody better in front of it, is made at once. The others have their
    turn, one after the other, in happenings of rank TIMER: what is under way at an instant is in the queue by then.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.world = engine.world
        self.queue = Queue(self._wake)
        self._counters: dict[str, Counter] = {}
        self._lines: dict[str, Line] = {}
        self._parties: dict[tuple[str, ...], Party] = {}

    # -- what the requests of a run need ------------------------------------------------------------------------------

    def join(self, run: RunState, flow: Flow) -> None:
        """Find the lines of a run. Keys are read once, for its first event."""
        ticket: Ticket = run.ticket
        event, ms = run.events[0], self.world.now // MILLISECOND
        first: list[Line] = []
        later: list[Line] = []
        if flow.priority is not None:
            ticket.factor = flow.priority(event, ms)
            first.append(self._line(f"queue {run.spec.id}", lambda i: Line(i, run.spec.id)))
        for capacity in flow.capacities:
            (first if capacity.whole_run else later).append(self._slots(run.spec, capacity, event, ms))
        first += later
        if flow.throttle is not None:
            rule, value = flow.throttle, _text(flow.throttle.key, event, ms)
            name = f"the throttle of {run.spec.id}" + (f" for {value!r}" if value is not None else "")
            first.append(self._line(f"throttle {run.spec.id} {value}", lambda i: Pace(i, name, rule.bucket())))
        ticket.first, ticket.later = self._party(first), self._party(later)

    def _slots(self, spec: FunctionSpec, capacity: Capacity, event: dict[str, Any], ms: int) -> Line:
        value = _text(capacity.key, event, ms)
        owner = spec.id if capacity.scope == "fn" else capacity.scope
        counted = f"{owner} {capacity.text} {value} {capacity.whole_run}"
        counter = self._counters.setdefault(counted, Counter())
        name = f"concurrency key {value!r}" if value is not None else f"the concurrency of {spec.id}"
        return self._line(
            f"slots {counted} {capacity.limit}",
            lambda i: Slots(i, name, counter, capacity.limit, whole_run=capacity.whole_run),
        )

    def _line(self, line_id: str, make: Callable[[str], Line]) -> Line:
        line = self._lines.get(line_id)
        if line is None:
            line = self._lines[line_id] = make(line_id)
        return line

    def _party(self, lines: list[Line]) -> Party | None:
        if not lines:
            return None
        key = tuple(line.id for line in lines)
        party = self._parties.get(key)
        if party is None:
            party = self._parties[key] = Party(tuple(lines))
        return party

    # -- a request comes, waits, is made and goes ---------------------------------------------------------------------

    def expect(self, item: Item, at: int) -> Callable[[Item], None]:
        """What to do when a request is due. Its place in a queue is the age of its run, or its own time if it is late.

        Late is what is due in more than two seconds, and what comes behind a sleep of more than that.
        """
        run, now = item.run, self.world.now
        ticket: Ticket = run.ticket
        if ticket.first is None and ticket.later is None:
            return self.engine._request  # noqa: SLF001 - no gate stands in front of it
        last = run.stack[-1] if run.stack and item.target is None else None
        slept = last is not None and last.op == SLEEP and last.ended_at == now and now - (last.started_at or now) > SOON
        own = slept or at - now > SOON
        time = at // MILLISECOND if own else run.queued_at // MILLISECOND - ticket.factor * 1_000
        # Of equal ones, a run that has begun goes on before another begins.
        ticket.scores[item] = (time, run.started_at is None)
        return self._due

    def _due(self, item: Item) -> None:
        run = item.run
        ticket: Ticket = run.ticket
        score = ticket.scores.pop(item)
        begins = run.started_at is None
        party = ticket.first if begins else ticket.later
        if party is None:
            self.engine._request(item)  # noqa: SLF001 - no gate stands in front of it
            return
        # A start lets all that arrives at this instant in, before it takes its place in the order of priorities.
        patient = begins and run.spec.flow is not None and run.spec.flow.priority is not None
        if self.queue.enter(item, party, score, self.world.now, patient=patient):
            self._make(item, party, "r")
        else:
            ticket.waiting[item] = None
            self._touch(party.lines, "w")

    def _make(self, item: Item, party: Party, mode: str) -> None:
        item.run.ticket.inside[item] = party.lines
        self._touch(party.lines, mode)
        for line in party.lines:
            if isinstance(line, Pace):
                self.world.touch(line.id, "w")
        self.engine._request(item)  # noqa: SLF001 - the gate has let it through
        self._leaves(item)

    def stays(self, item: Item, goes_on: Happening) -> None:
        """A request that has been made takes time: it keeps its slots until the happening in which it goes on."""
        ticket: Ticket = item.run.ticket
        ticket.staying[item] = None
        self._touch(ticket.inside.get(item, ()), "w")
        act = goes_on.act

        def go_on() -> None:
            ticket.staying.pop(item, None)
            act()
            self._leaves(item, late=True)

        goes_on.act = go_on

    def _leaves(self, item: Item, *, late: bool = False) -> None:
        ticket: Ticket = item.run.ticket
        if item in ticket.staying:
            return
        for line in ticket.inside.pop(item, ()):
            if isinstance(line, Slots) and line.whole_run and not item.gone:
                ticket.whole.append(line)
                self.world.touch(line.id, "w")
            elif isinstance(line, Slots):
                self._free(line, item.run, late=late)

    def ended(self, run: RunState) -> None:
        """A run is over: it holds nothing, and waits for nothing."""
        ticket: Ticket = run.ticket
        for item in list(ticket.inside):
            late = item in ticket.staying
            ticket.staying.pop(item, None)
            self._leaves(item, late=late)
        for line in ticket.whole:
            self._free(line, run, late=True)
        ticket.whole.clear()
        ticket.waiting.clear()

    def _free(self, line: Slots, run: RunState, *, late: bool) -> None:
        if self.queue.leave(line, run, self.world.now) or late:
            self._touch(tuple(line.counter.lines), "w")

    def _touch(self, lines: tuple[Line, ...], mode: str) -> None:
        if self.world.footprint is not None:
            for line in lines:
                self.world.touch(line.id, mode)

    # -- turns --------------------------------------------------------------------------------------------------------

    def _wake(self, line: Line, at: int) -> None:
        self.world.push(Happening(at, TIMER, "turn", line, "", lambda: self._turn(line)))

    def _turn(self, line: Line) -> None:
        self.world.touch(line.id, "w")
        item: Any = self.queue.turn(line, self.world.now)
        if item is None:
            return
        run = item.run
        ticket: Ticket = run.ticket
        del ticket.waiting[item]
        party = ticket.first if run.started_at is None else ticket.later
        assert party is not None, "this is our bug: a request without lines had to wait"
        assert self.world.current is not None, "this is our bug: a turn outside any happening"
        self.world.current.did = f"{run.name} {'starts' if run.started_at is None else 'goes on'}"
        self._make(item, party, "w")

    def describe(self, run: RunState) -> str:
        """What a run waits for in its queues, or ""."""
        ticket: Ticket | None = run.ticket
        if ticket is None or not ticket.waiting:
            return ""
        party, now = ticket.first if run.started_at is None else ticket.later, self.world.now
        for line in party.lines if party is not None else ():
            opens = line.opens(now)
            if isinstance(line, Slots) and opens is None:
                holders = ", ".join(f"the run of {holder.name}" for holder in line.counter.held)
                return f"it is waiting for 1 of {line.limit} slots of {line.name}, held by {holders}"
            if opens is not None and opens > now:
                return f"it is waiting for {line.name} until {instant_text(opens)}"
        return "it is waiting for its turn"


def _text(key: Key | None, event: dict[str, Any], ms: int) -> str | None:
    if key is None:
        return None
    reading = key(event, ms)
    return NO_VALUE if reading.problem else reading.text
