"""Async handlers under way: each is a course of its own, on one event loop for all of them, as in a worker.

A handler that sleeps is left there, and others go on meanwhile. What they share (a lock, an event, a queue of asyncio)
works between them, as it is one loop; a course that waits for another one is woken by it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from asyncio import events
from collections import deque
from typing import TYPE_CHECKING, Any

from ._core.errors import UsageError
from .loop import LEFT_BEHIND, NumberedFuture, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core.results import Result
    from .clock import Clock

COURSE: contextvars.ContextVar[Course] = contextvars.ContextVar("course of a handler")
"""Whose callback it is; every task of a handler has it in its context."""


class Course:
    """One async handler, from its call to its end; see ``_core.results.Underway``.

    Attributes:
        of: the step, for messages.
        bound: how many callbacks may still run.
        pauses: others go on while it sleeps; if not, it takes all of its time at once.
        at: the instant at which it goes on by itself, or None.
        busy_until: the instant up to which it blocks its own thread.
        wake: called when somebody else gives it something to do.
    """

    wake: Callable[[], None] | None = None
    go_on: Callable[[], Result]
    at: int | None = None
    busy_until = 0
    number = 0

    def __init__(self, of: str, bound: int, clock: Clock, *, pauses: bool) -> None:
        self.of = of
        self.bound = bound
        self.clock = clock
        self.pauses = pauses
        self.began = clock.micros
        self.handles: deque[asyncio.Handle] = deque()
        self.timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self.made: list[Any] = []
        self.loop = _loop()
        self.task: Any = None

    def itself(self) -> Course:
        """The course, in the place of a handler that is called."""
        return self

    def begin(self, awaitable: Any) -> None:
        """Make a task of what the handler returned."""
        coro = awaitable if asyncio.iscoroutine(awaitable) else _wrapped(awaitable)
        context = contextvars.copy_context()
        context.run(COURSE.set, self)
        before, self.loop.course = self.loop.course, self
        try:
            self.task = self.loop.create_task(coro, context=context)
        finally:
            self.loop.course = before

    def advance(self) -> bool:
        """Go on until the handler ends, or until it sleeps and others go on. Whether it has ended.

        Raises:
            UsageError: nothing will ever wake it.
        """
        loop, paused = self.loop, False
        outer, before = events._get_running_loop(), loop.course  # noqa: SLF001 - this loop runs in place of any other
        events._set_running_loop(loop)  # noqa: SLF001 - as above
        loop.course = self
        loop.paused.pop(self, None)
        try:
            paused = not self._turn()
        finally:
            if not paused:
                loop.abandon()
            loop.course = before
            events._set_running_loop(outer)  # noqa: SLF001 - as above
        return not paused

    def _turn(self) -> bool:
        loop, task = self.loop, self.task
        loop.run_ready()
        while not task.done():
            due = loop.next_timer()
            if due is None and not (self.pauses and loop.paused):
                msg = (
                    f"{self.of} waits for something that no timer will bring; "
                    "a step can await its own tasks, asyncio.sleep and fakes, and nothing from outside"
                )
                raise UsageError(msg)
            if due is None or (self.pauses and due > loop.micros()):
                self.at = None if due is None else self.began + due
                self.busy_until = self.clock.micros
                loop.paused[self] = None
                return False
            self.clock.sleep(max(0, due - loop.micros()))
            loop.fire_timer()
            loop.run_ready()
        return True

    def close(self) -> None:
        """Let go of a handler that nobody waits for any more."""
        loop = self.loop
        loop.paused.pop(self, None)
        before, loop.course = loop.course, self
        try:
            loop.abandon()
        finally:
            loop.course = before


def _of_course(name: str) -> Any:
    """What every loop has for itself, and this one for each of its courses."""

    def read(loop: StepLoop) -> Any:
        if loop.course is None:
            raise UsageError(LEFT_BEHIND)
        return getattr(loop.course, name)

    def write(loop: StepLoop, value: Any) -> None:
        setattr(loop.course, name, value)

    return property(read, write)


class StepLoop(VirtualLoop):
    """The event loop of async handlers.

    Attributes:
        course: the one that runs now, or None.
        paused: those that sleep or wait, in the order in which they began to.
    """

    of, bound, handles, timers, made = map(_of_course, ("of", "bound", "handles", "timers", "made"))
    _number = _of_course("number")

    def __init__(self) -> None:
        self.course: Course | None = None
        self.paused: dict[Course, None] = {}

    def micros(self) -> int:
        """Microseconds since the step began."""
        return self.course.clock.micros - self.course.began if self.course is not None else 0

    def call_soon(  # type: ignore[override]  # any callback
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run a callback in the next turn of the course that it belongs to."""
        course = self.course if context is None else context.get(COURSE, self.course)
        if course is None or course is self.course:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        course.handles.append(handle)
        if course.wake is not None:
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


def _loop() -> StepLoop:
    return _loops.loop


async def _wrapped(awaitable: Any) -> Any:
    return await awaitable
