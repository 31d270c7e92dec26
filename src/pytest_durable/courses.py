"""Async code under way: each handler, and each request of an SDK, is a course of its own, on one event loop for all.

As in a worker, a course that sleeps is left there, and others go on meanwhile. What they share (a lock, an event, a
queue of asyncio) works between them, as it is one loop; a course that waits for another one is woken by it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from asyncio import events
from collections import deque
from typing import TYPE_CHECKING, Any

from ._core.errors import UsageError
from .loop import LEFT_BEHIND, NOTHING, NumberedFuture, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core.results import Result
    from .clock import Clock

COURSE: contextvars.ContextVar[Course] = contextvars.ContextVar("course")
"""Whose callback it is; every task of a course has it in its context."""


class Course:
    """What the loop has of its own for each that runs on it: its callbacks, its timers, its tasks and its time.

    Attributes:
        of: what runs, for messages.
        bound: how many callbacks may still run.
        at: the instant at which it goes on by itself, or None.
        busy_until: the instant up to which it blocks its own thread.
        wake: called when somebody else gives it something to do.
    """

    wake: Callable[[], None] | None = None
    at: int | None = None
    busy_until = 0
    number = 0

    def __init__(self, of: str, bound: int, clock: Clock) -> None:
        self.of = of
        self.bound = bound
        self.clock = clock
        self.began = clock.micros
        self.handles: deque[asyncio.Handle] = deque()
        self.timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self.made: list[Any] = []
        self.loop = _loops.loop

    def pause(self, at: int | None, busy_until: int) -> None:
        """Take note that others go on, until an instant or until it is woken."""
        self.at = at
        self.busy_until = busy_until

    def close(self) -> None:
        """Let go of what is left of it; nobody waits for it any more."""
        loop = self.loop
        if not self.made and not self.handles:
            return
        before = loop.switch(self)
        try:
            loop.abandon()
        finally:
            loop.switch(before)


class HandlerCourse(Course):
    """One async handler, from its call to its end; see ``_core.results.Underway``.

    Attributes:
        pauses: others go on while it sleeps; if not, it takes all of its time at once.
    """

    go_on: Callable[[], Result]
    task: Any = None

    def __init__(self, of: str, bound: int, clock: Clock, *, pauses: bool) -> None:
        super().__init__(of, bound, clock)
        self.pauses = pauses

    def itself(self) -> HandlerCourse:
        """The course, in the place of a handler that is called."""
        return self

    def begin(self, awaitable: Any) -> None:
        """Make a task of what the handler returned."""
        coro = awaitable if asyncio.iscoroutine(awaitable) else _wrapped(awaitable)
        context = contextvars.copy_context()
        context.run(COURSE.set, self)
        before = self.loop.switch(self)
        try:
            self.task = self.loop.create_task(coro, context=context)
        finally:
            self.loop.switch(before)

    def advance(self) -> bool:
        """Go on until the handler ends, or until it sleeps and others go on. Whether it has ended.

        Raises:
            UsageError: nothing will ever wake it.
        """
        loop, paused = self.loop, False
        outer, before = events._get_running_loop(), loop.switch(self)  # noqa: SLF001 - this loop runs in place of any other
        events._set_running_loop(loop)  # noqa: SLF001 - as above
        try:
            paused = not self._turn()
        finally:
            if not paused:
                loop.abandon()
            loop.switch(before)
            events._set_running_loop(outer)  # noqa: SLF001 - as above
        return not paused

    def _turn(self) -> bool:
        loop, task = self.loop, self.task
        loop.run_ready()
        while not task.done():
            due = loop.next_timer()
            if due is None and not self.pauses:
                msg = (
                    f"{self.of} waits for something that no timer will bring; "
                    "a step can await its own tasks, asyncio.sleep and fakes, and nothing from outside"
                )
                raise UsageError(msg)
            if due is None or (self.pauses and due > loop.micros()):
                self.pause(None if due is None else self.began + due, self.clock.micros)
                return False
            self.clock.sleep(max(0, due - loop.micros()))
            loop.fire_timer()
            loop.run_ready()
        return True


class StepLoop(VirtualLoop):
    """The event loop of all courses; what it has of its own is that of the course that runs now.

    Attributes:
        course: that one, or None.
    """

    def __init__(self) -> None:
        super().__init__("", 0)
        self.course: Course | None = None

    def switch(self, course: Course | None) -> Course | None:
        """Let another course run, or none. Returns the one before."""
        before = self.course
        if before is not None:
            before.bound, before.number = self.bound, self._number
        self.course = course
        if course is None:
            self.handles = self.timers = self.made = NOTHING
        else:
            self.of, self.bound, self._number = course.of, course.bound, course.number
            self.handles, self.timers, self.made = course.handles, course.timers, course.made
        return before

    @property
    def where(self) -> str:
        """The step or the body that is under way, for messages."""
        actor = self.course.clock.actor if self.course is not None else None
        return (actor() if actor is not None else "") or self.of

    def _open(self) -> None:
        raise UsageError(LEFT_BEHIND)

    def micros(self) -> int:
        """Microseconds since the course began."""
        return self.course.clock.micros - self.course.began if self.course is not None else 0

    def call_soon(  # type: ignore[override]  # any callback
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run a callback in the next turn of the course that it belongs to."""
        course = self.course if context is None else context.get(COURSE, self.course)
        if course is None:
            raise UsageError(LEFT_BEHIND)
        handle = asyncio.Handle(callback, args, self, context)
        course.handles.append(handle)
        if course is not self.course and course.wake is not None:
            course.wake()
        return handle

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> NumberedFuture:  # type: ignore[override]  # noqa: ARG002 - asyncio's signature; there is no executor
        """Run the function here and now: no thread, and the same order every time."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the outcome of the future
            future.set_exception(error)
        return future


class _Loops(threading.local):
    """One loop for each thread, so that what handlers share works from one simulation to the next."""

    def __init__(self) -> None:
        self.loop = StepLoop()  # type: ignore[abstract]  # what is not there refuses by name


_loops = _Loops()


async def _wrapped(awaitable: Any) -> Any:
    return await awaitable
