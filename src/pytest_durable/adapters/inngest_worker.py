"""Sync functions that sleep: a thread of its own for each request, so that others go on meanwhile, as on a server.

The threads hand a baton to each other and only who has it runs, so nothing is concurrent and the order stays ours. A
request whose function does not sleep needs no thread and gets none: what belongs to the thread of the test, such as
connections to databases, works there.
"""

from __future__ import annotations

import functools
import threading
import time
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from ..clock import drive_from, real_sleep, virtual_sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

SCANNED = 1_000
"""How many pieces of code are looked at, at the most, to see whether a function sleeps."""

FOLLOWED = (FunctionType, MethodType, functools.partial)
"""What is looked into of what a function refers to."""

PATIENCE = 20
"""How many seconds of real time a request may take until it sleeps or ends."""

STUCK = (
    f"{{}} has not come back for {PATIENCE} s of real time. Perhaps it waits for another request, as for a lock that "
    "one holds over a time.sleep: only one of them runs at a time, so it waits for ever. Hold no lock over a sleep"
)

ABANDONED_TURNS = 100
"""How often an abandoned request that goes on to sleep is told to end."""


class Worker:
    """One request on a thread of its own.

    Args:
        call: makes the request.
        inside: a context manager in which the code of the request runs; it is left for as long as the request sleeps.
        lost: what ends a request that nobody waits for any more.
        goes_through: whether an exception is raised where the baton goes, too.
    """

    def __init__(
        self,
        call: Callable[[], Any],
        inside: Callable[[], AbstractContextManager[Any]],
        lost: type[BaseException],
        goes_through: Callable[[BaseException], bool],
    ) -> None:
        self.call = call
        self.inside = inside
        self.lost = lost
        self.goes_through = goes_through
        self.response: Any = None
        self.done = self.stuck = self.abandoned = False
        self._mine, self._theirs = threading.Semaphore(0), threading.Semaphore(0)
        self._around: AbstractContextManager[Any] | None = None
        self._thread = threading.Thread(target=self._run, name="a request of a sync function", daemon=True)

    def go(self) -> None:
        """Hand over the baton until the request sleeps or ends.

        Raises:
            BaseException: the end of the request is one that ends the test too.
        """
        if self._thread.ident is None:
            self._thread.start()
        before = drive_from(self._thread.ident or 0)
        try:
            self._mine.release()
            back = self._theirs.acquire(timeout=PATIENCE)
        finally:
            drive_from(before)
        if not back:
            self.done = self.stuck = True
            return
        response = self.response
        if isinstance(response, BaseException) and self.goes_through(response):
            raise response

    def sleep(self) -> None:
        """On the thread of the request: hand the baton back until ``go`` is called again."""
        self._leave()
        self._theirs.release()
        self._mine.acquire()
        self._enter()
        if self.abandoned:
            raise self.lost

    def close(self) -> None:
        """End a request that sleeps."""
        self.abandoned = True
        for _ in range(ABANDONED_TURNS):
            if self.done or self._thread.ident is None:
                break
            self.go()

    def _run(self) -> None:
        self._mine.acquire()
        try:
            self._enter()
            try:
                self.response = self.call()
            finally:
                self._leave()
        except BaseException as error:  # noqa: BLE001 - where the baton goes, it is a crash of the server, or raised again
            self.response = error
        self.done = True
        self._theirs.release()

    def _enter(self) -> None:
        self._around = self.inside()
        self._around.__enter__()

    def _leave(self) -> None:
        around, self._around = self._around, None
        if around is not None:
            around.__exit__(None, None, None)


def sleeps(function: object) -> bool:
    """Whether a function, or one that its code refers to, calls ``time.sleep``."""
    queue: list[Any] = [function]
    seen: set[int] = set()
    for position, found in enumerate(queue):
        if position >= SCANNED:
            break
        # By its type alone: a proxy that is asked for more may wake up what stands behind it.
        kind = type(found)
        if kind is functools.partial:
            queue.extend([found.func, *found.args])
        elif kind is MethodType:
            queue.append(found.__func__)
        elif kind is FunctionType and id(found.__code__) not in seen:
            seen.add(id(found.__code__))
            values = list(_values(found))
            if _calls_it(found, values):
                return True
            queue.extend(value for value in values if type(value) in FOLLOWED)
    return False


def _nested(code: CodeType) -> Iterator[CodeType]:
    stack = [code]
    while stack:
        one = stack.pop()
        yield one
        stack.extend(const for const in one.co_consts if type(const) is CodeType)


def _values(function: FunctionType) -> Iterator[Any]:
    """What the code of a function refers to by name."""
    known = function.__globals__
    for code in _nested(function.__code__):
        yield from (known[name] for name in code.co_names if name in known)
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue  # Not bound yet, or not any more.


def _calls_it(function: FunctionType, values: list[Any]) -> bool:
    codes = list(_nested(function.__code__))
    if any("sleep" in code.co_names and "time" in (*code.co_names, *code.co_freevars) for code in codes):
        return True
    named = any("sleep" in code.co_names for code in codes)
    sleeping = (real_sleep, time.sleep, virtual_sleep)
    return any(any(value is one for one in sleeping) or (named and value is time) for value in values)


def ends_the_test(error: BaseException) -> bool:
    """Whether an exception is meant for whoever runs the tests: an interrupt, an exit, an outcome of pytest."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return True
    return any(kind.__module__ == "_pytest.outcomes" for kind in type(error).__mro__)
