"""While time is driven: the clock of the simulation is shown, no event loop runs, and sleeping is virtual."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from asyncio import events
from typing import TYPE_CHECKING, Any

from . import clock as clocks
from ._core.errors import UsageError
from .fence import start_in_a_drive
from .gathering import gather
from .loop import GUARD, VirtualLoop, close_quietly, ordered_as_completed, swap_current_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Clock


SELDOM = 10_000
"""How many new objects there may be until Python looks for garbage, while a simulation is entered. It keeps most of
what it makes, and runs leave few knots of references behind, so that looking more often finds next to nothing."""

_thresholds: list[tuple[int, int, int]] = []
"""When Python looked for garbage before each simulation that is entered."""


def collect_seldom() -> None:
    """Let Python look for garbage less often, until ``collect_as_before``."""
    before = gc.get_threshold()
    _thresholds.append(before)
    if 0 < before[0] < SELDOM:
        gc.set_threshold(SELDOM, *before[1:])


def collect_as_before() -> None:
    """Take back one ``collect_seldom``; in whatever order simulations end, the last one leaves all as it was."""
    gc.set_threshold(*_thresholds.pop())


class Over:
    """In the place of ``Drive``, for a simulation that nobody is to drive any more."""

    def __enter__(self) -> None:
        msg = "this simulation is that of an earlier schedule of a search; what happened in it can be read, and no more"
        raise UsageError(msg)

    def __exit__(self, *_: object) -> None:
        """Nothing was entered."""


OVER = Over()


def finalize(generator: Any) -> None:
    """Clean up behind an async generator that was left before its end, as event loops do: in a task of the loop.

    Where none runs, what its ``finally`` blocks do up to their first ``await`` is done, and no more.
    """
    cleans = generator.aclose()
    loop = events._get_running_loop()  # noqa: SLF001 - the loop, or None
    if isinstance(loop, VirtualLoop) and asyncio.current_task(loop) is not None:
        loop.create_task(cleans)
        return
    try:
        cleans.send(None)
    except (StopIteration, RuntimeError, UsageError):
        # At an end; in an ``__anext__`` that is being closed itself; or it asks for what nobody has any more.
        return
    close_quietly(cleans)


class Drive:
    """A context manager for every drive of one simulation; drives of one simulation do not nest.

    A running loop, such as that of an async test, is stepped out of, so that bodies can run on theirs.
    """

    _under_way = False
    _outer: asyncio.AbstractEventLoop | None = None
    _task: Any = None
    _stock: Any = None
    _sleep: Any = None
    _start: Any = None
    _driver = 0
    _hooks: Any = None

    def __init__(self, clock: Clock, begin: Callable[[], None]) -> None:
        self._clock = clock
        self._begin = begin

    def __enter__(self) -> None:
        if self._under_way:
            msg = (
                "time is driven from inside a run of this simulation; a body or a step cannot advance the clock it "
                "lives in. Sleep in the step (time.sleep takes virtual time), or drive from the test"
            )
            raise UsageError(msg)
        self._clock.enter()
        self._begin()
        self._under_way = True
        self._stock = asyncio.as_completed, asyncio.gather
        asyncio.as_completed, asyncio.gather = ordered_as_completed, gather
        self._outer = outer = events._get_running_loop()  # noqa: SLF001 - there is no public way to step out of a loop
        if outer is not None and asyncio.current_task(outer) is not None:
            self._task = swap_current_task(outer, None)
        events._set_running_loop(GUARD)  # noqa: SLF001 - as above
        self._sleep, time.sleep = time.sleep, clocks.virtual_sleep  # type: ignore[assignment]  # it takes a float
        self._start, threading.Thread.start = threading.Thread.start, start_in_a_drive  # type: ignore[assignment, method-assign]  # as time.sleep
        self._driver = clocks.drive_from_here()
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, finalize)

    def __exit__(self, *_: object) -> None:
        sys.set_asyncgen_hooks(*self._hooks)
        time.sleep = self._sleep
        threading.Thread.start = self._start  # type: ignore[method-assign]  # as above
        clocks.drive_from(self._driver)
        outer, task = self._outer, self._task
        events._set_running_loop(outer)  # noqa: SLF001 - as above
        if task is not None:
            swap_current_task(outer, task)
        self._outer = self._task = None
        asyncio.as_completed, asyncio.gather = self._stock
        self._under_way = False
        self._clock.leave()
