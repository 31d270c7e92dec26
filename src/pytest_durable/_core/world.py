"""The loop of the world: one instant after the other, one happening after the other, in the order of choice."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from .choices import ORDER, Choices, First
from .errors import BoundReachedError
from .happenings import RANKS, Moment, nothing
from .instants import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from .choices import Chooser, Observer
    from .happenings import Happening
    from .results import Wakeable

# Every loop has a bound. These two end a livelock (functions that start each other without a distance in time) and a
# storm (a cron or a retry that goes on for ever); a simulation can be given others.
HAPPENINGS_PER_INSTANT = 100_000
HAPPENINGS_PER_DRIVE = 2_000_000

_STRONGER = {("r", "r"): "r", ("c", "c"): "c"}


class Floating:
    """News whose moment is a choice: it may arrive at any instant of its window at which something is due."""

    __slots__ = ("asked_at", "closes", "happening", "opens")

    def __init__(self, happening: Happening, opens: int, closes: int | None) -> None:
        self.happening = happening
        self.opens = opens
        self.closes = closes
        self.asked_at = opens - 1


class World:
    """Instants, happenings and choices; it knows nothing of runs.

    Attributes:
        alive: how many happenings are ready.
        floating: news whose moment is a choice.
        calm: nobody wants to see every single happening, so that what follows at once need not be one.

    Invariants: ``now`` never goes back. Time moves only when nothing is ready at the present instant. Whatever is
    ready at one instant is an option of the next choice, whoever it belongs to.
    """

    def __init__(
        self,
        start: int,
        chooser: Chooser | None = None,
        *,
        observer: Observer | None = None,
        on_time: Callable[[int], object] | None = None,
        per_instant: int = HAPPENINGS_PER_INSTANT,
        per_drive: int = HAPPENINGS_PER_DRIVE,
    ) -> None:
        self.now = start
        self.choices = Choices(observer or chooser or First())
        self.observer = observer
        self.on_time = on_time
        self.per_instant = per_instant
        self.per_drive = per_drive
        self.strong = 0
        self.watchers: list[Callable[[], object]] = []
        self.footprint: dict[str, str] | None = None
        self.current: Happening | None = None
        self.calm = False
        self._sequence = 0
        self._heap: list[tuple[int, int, Happening]] = []
        self._ready: tuple[deque[Happening], ...] = tuple(deque() for _ in RANKS)
        self.alive = 0
        self.floating: list[Floating] = []

    # -- what will happen ---------------------------------------------------------------------------------------------

    def push(self, happening: Happening, *, first: bool = False) -> Happening:
        """Add a happening; one that is due now or earlier becomes ready at once, ``first`` before its equals."""
        if not happening.weak:
            self.strong += 1
        if happening.at <= self.now:
            happening.at = self.now
            happening.ready = True
            self.alive += 1
            if first:
                self._ready[happening.rank].appendleft(happening)
            else:
                self._ready[happening.rank].append(happening)
        else:
            self._sequence += 1
            heappush(self._heap, (happening.at, self._sequence, happening))
        return happening

    def call_off(self, happening: Happening) -> None:
        """Make sure that a happening never happens. It may have happened already."""
        if happening.dead:
            return
        self._bury(happening)
        if happening.ready:
            self.alive -= 1

    def _bury(self, happening: Happening) -> None:
        happening.dead = True
        # What is over keeps nothing alive: closures know the engine, and the engine knows what happened.
        happening.act = nothing
        if not happening.weak:
            self.strong -= 1
        if happening.owner is not None:
            del happening.owner[happening]

    def forget(self) -> None:
        """Let go of all that is still due."""
        self._heap.clear()
        self.floating.clear()
        for ready in self._ready:
            ready.clear()

    def add_floating(self, happening: Happening, closes: int | None) -> None:
        """Add news whose moment is a choice, from its instant on. ``closes=None`` reaches until nothing else is due."""
        self.floating.append(Floating(happening, max(happening.at, self.now), closes))

    def touch(self, key: str, mode: str) -> None:
        """Say, while a happening is under way, that it reads, writes or commutatively updates something."""
        footprint = self.footprint
        if footprint is not None:
            before = footprint.get(key, mode)
            footprint[key] = _STRONGER.get((before, mode), "w")

    def wait_for(self, course: Wakeable, due: Callable[[int], Happening]) -> None:
        """Make what goes on then due: at its time, or as soon as another one gives it something to do."""
        at = course.at

        def wake() -> None:
            course.wake = None
            if at is not None:
                self.call_off(goes_on)
            self.push(due(max(self.now, course.busy_until)))

        course.wake = wake
        goes_on = due(self.now if at is None else at)
        if at is not None:
            act = goes_on.act

            def go_on() -> None:
                course.wake = None
                act()

            goes_on.act = go_on
            self.push(goes_on)

    def watch(self, watcher: Callable[[], object]) -> None:
        """Call this after every happening from now on."""
        self.watchers.append(watcher)
        self.calm = False

    # -- time ---------------------------------------------------------------------------------------------------------

    def drive(self, until: int | None, done: Callable[[], bool], *, idle: bool = False, steady: bool = True) -> bool:
        """Handle what happens, in order, until ``done()``; never past ``until``.

        Args:
            until: the last instant to handle, or None for no end.
            done: asked before and after every happening.
            steady: ``done()`` cannot become true between two requests of one run that follow each other at once.
            idle: stop when only unanswered waits and ticks of cron are left; never go through the timeout of a wait.

        Returns:
            Whether ``done()`` holds. False means that nothing more is due up to ``until``.

        Raises:
            BoundReachedError: more happenings than ``per_instant`` or ``per_drive``.
        """
        self.calm = steady and self.observer is None and not self.watchers
        # A predicate of the test looks at the world after every happening.
        watched = self.observer is not None and not steady
        handled, at_instant, instant = 0, 0, self.now
        while not done():
            happening = self._next(until, idle=idle)
            if happening is None:
                return False
            handled += 1
            at_instant = at_instant + 1 if instant == self.now else 1
            instant = self.now
            if at_instant > self.per_instant or handled > self.per_drive:
                self._bound_reached(happening, at_instant)
            self._let_happen(happening)
            if watched:
                self.observer.barrier()  # type: ignore[union-attr]  # `watched` says that it is there
        if self.observer is not None:
            self.observer.barrier()
        return True

    def move_to(self, instant: int) -> None:
        """Move the clock forward. The caller knows that nothing is due before."""
        if instant > self.now:
            self.now = instant
            if self.on_time is not None:
                self.on_time(instant)

    def _let_happen(self, happening: Happening) -> None:
        act = happening.act
        self._bury(happening)
        self.current = happening
        observer = self.observer
        if observer is None:
            act()
        else:
            self.footprint = {}
            act()
            footprint, self.footprint = self.footprint, None
            observer.happened(happening, footprint)
        if self.watchers:
            for watcher in self.watchers:
                watcher()
            if observer is not None:
                observer.barrier()

    def _bound_reached(self, happening: Happening, at_instant: int) -> None:
        if at_instant > self.per_instant:
            bound = f"more than {self.per_instant:,} happenings at one instant"
        else:
            bound = f"more than {self.per_drive:,} happenings in one drive"
        msg = (
            f"{bound}, at {instant_text(self.now)}; the last was: {happening}. Functions that start each other, "
            "or a retry without an end, look like this; give them a distance in time or an end"
        )
        raise BoundReachedError(msg)

    # -- what is next -------------------------------------------------------------------------------------------------

    def _next(self, until: int | None, *, idle: bool) -> Happening | None:
        while True:
            if self.floating:
                self._ask_floating()
            if self.alive and not (idle and not self.strong):
                return self._pick()
            if idle and not self.strong and not self.floating:
                return None
            instant = self._next_instant(idle=idle)
            if instant is None or (until is not None and instant > until):
                if self.floating and instant is None and not self.alive:
                    # Nothing else is due, not even the end of a window, so what is left has none: it arrives now.
                    self._land(self.floating[0])
                    continue
                return None
            self.move_to(instant)
            self._make_ready(instant, idle=idle)

    def _next_instant(self, *, idle: bool) -> int | None:
        heap = self._heap
        while heap and heap[0][2].dead:
            heappop(heap)
        instant = heap[0][0] if heap else None
        if idle and heap and heap[0][2].answer and all(h.answer for at, _, h in heap if at == instant and not h.dead):
            # Only timeouts of waits are due there, and idling does not go through them.
            instant = None
        for floating in self.floating:
            for edge in (floating.opens, floating.closes):
                if edge is not None and edge > self.now and (instant is None or edge < instant):
                    instant = edge
        return instant

    def _make_ready(self, instant: int, *, idle: bool) -> None:
        heap = self._heap
        left = []
        while heap and heap[0][0] == instant:
            entry = heappop(heap)
            happening = entry[2]
            if idle and happening.answer:
                left.append(entry)
            elif not happening.dead:
                happening.ready = True
                self._ready[happening.rank].append(happening)
                self.alive += 1
        for entry in left:
            heappush(heap, entry)

    def _ask_floating(self) -> None:
        for floating in list(self.floating):
            opens, closes, now = floating.opens, floating.closes, self.now
            if now < opens or floating.asked_at == now:
                continue
            if now == closes:
                self._land(floating)
            elif self.alive or now == opens:
                floating.asked_at = now
                moments = (Moment(floating.happening, now), Moment(floating.happening, None))
                if self.choices.choose(f"the moment of {floating.happening}", moments) == 0:
                    self._land(floating)

    def _land(self, floating: Floating) -> None:
        self.floating.remove(floating)
        floating.happening.at = self.now
        self.push(floating.happening)

    def _pick(self) -> Happening:
        ready, count = self._ready, self.alive
        self.alive -= 1
        if self.observer is None and (count == 1 or type(self.choices.chooser) is First):
            if count > 1:
                self.choices.counts.append(count)
                self.choices.indices.append(0)
            work, news, timers = ready
            while True:
                happening = (work or news or timers).popleft()
                if not happening.dead:
                    return happening
        options = [happening for rank in ready for happening in rank if not happening.dead]
        if count == 1:
            self.choices.chooser.choose(ORDER, options)
            chosen = options[0]
        else:
            chosen = options[self.choices.choose(ORDER, options)]
        ready[chosen.rank].remove(chosen)
        return chosen
