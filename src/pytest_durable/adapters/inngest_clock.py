"""While code of a request runs: its course, its time, and the clock that the SDK itself looks at.

Where the process does not show virtual time (``clock="off"``), the SDK sees it all the same: it computes the ends of
sleeps and retries from ``datetime.datetime.now()``, in three modules.
"""

from __future__ import annotations

import datetime as dt
from asyncio import events
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from inngest._internal import errors
from inngest._internal.step_lib import step_async, step_sync

from .._core.instants import as_datetime
from ..loop import GUARD

if TYPE_CHECKING:
    from ..clock import Clock
    from ..courses import Course
    from .inngest_request import Request

PLACES: tuple[Any, ...] = (errors, step_async, step_sync)
"""The modules of the SDK that look at a clock."""


class VirtualClock:
    """Shows the SDK the time of a simulation; a context manager."""

    def __init__(self, clock: Clock) -> None:
        now = SimpleNamespace(now=lambda: as_datetime(clock.micros))
        self._module = SimpleNamespace(**{**vars(dt), "datetime": now})

    def __enter__(self) -> None:
        self._before = [place.datetime for place in PLACES]
        for place in PLACES:
            place.datetime = self._module

    def __exit__(self, *_: object) -> None:
        for place, before in zip(PLACES, self._before, strict=True):
            place.datetime = before


class InRequest:
    """The code of a request runs: in its course if it is async, in its time, and known to the ledger."""

    __slots__ = ("aside", "before", "blocks", "course", "outer", "request", "sdk_clock")

    def __init__(self, request: Request, course: Course | None) -> None:
        self.request = request
        self.course = course
        self.sdk_clock: VirtualClock | None = None

    def __enter__(self) -> None:
        request, course = self.request, self.course
        clock = request.clock
        self.before, clock.elapsed = clock.elapsed, 0
        self.blocks, clock.block = clock.block, None if course is not None else request.block
        if clock.kind != "time-machine":
            self.sdk_clock = VirtualClock(clock)
            self.sdk_clock.__enter__()
        self.outer = events._get_running_loop()  # noqa: SLF001 - the request's loop runs in place of any other
        # On a thread of its own nothing else keeps a sync function from a loop in real time.
        loop: Any = GUARD if course is None else course.loop
        events._set_running_loop(loop)  # noqa: SLF001 - asyncio has no public way to set it
        self.aside = None if course is None else loop.switch(course)
        request.stage.executing = request.executing
        if request.executing is None:
            request.watch_body()

    def __exit__(self, *_: object) -> None:
        request = self.request
        request.unwatch()
        if self.sdk_clock is not None:
            self.sdk_clock.__exit__()
        clock = request.clock
        request.executing, request.stage.executing = request.stage.executing, None
        if self.course is not None:
            self.course.loop.switch(self.aside)
        events._set_running_loop(self.outer)  # noqa: SLF001 - as above
        clock.elapsed, clock.block = self.before, self.blocks
        request.ended_at = clock.micros
        if clock.micros != request.world.now:
            clock.show(request.world.now)
