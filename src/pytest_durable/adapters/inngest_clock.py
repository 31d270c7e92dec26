"""While code of a request runs: its loop, its time, and the clock that the SDK itself looks at.

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
from ..courses import StepLoop
from ..loop import GUARD, VirtualLoop

if TYPE_CHECKING:
    from ..clock import Clock
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


class RequestLoop(VirtualLoop):
    """The event loop of a request: the time of the world since the request began."""

    def __init__(self, of: str, bound: int, request: Request) -> None:
        super().__init__(of, bound)
        # Not the request, which whatever is left of the loop would keep.
        self.clock, self.began = request.clock, request.began

    def micros(self) -> int:
        """Microseconds since the request began."""
        return self.clock.micros - self.began

    run_in_executor = StepLoop.run_in_executor  # type: ignore[assignment]  # here and now, as in a native step


class InRequest:
    """The code of a request runs: on its loop, in its time, and known to the ledger."""

    __slots__ = ("before", "blocks", "loop", "outer", "request", "sdk_clock")

    def __init__(self, request: Request, loop: RequestLoop | None) -> None:
        self.request = request
        self.loop = loop
        self.sdk_clock: VirtualClock | None = None

    def __enter__(self) -> None:
        request = self.request
        clock = request.clock
        self.before, clock.elapsed = clock.elapsed, 0
        self.blocks, clock.block = clock.block, None if self.loop is not None else request.block
        if clock.kind != "time-machine":
            self.sdk_clock = VirtualClock(clock)
            self.sdk_clock.__enter__()
        self.outer = events._get_running_loop()  # noqa: SLF001 - the request's loop runs in place of any other
        # On a thread of its own nothing else keeps a sync function from a loop in real time.
        events._set_running_loop(self.loop or GUARD)  # noqa: SLF001 - asyncio has no public way to set it
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
        events._set_running_loop(self.outer)  # noqa: SLF001 - as above
        clock.elapsed, clock.block = self.before, self.blocks
        request.ended_at = clock.micros
        if clock.micros != request.world.now:
            clock.show(request.world.now)
