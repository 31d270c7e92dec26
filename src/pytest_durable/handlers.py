"""Executes the handler of a step, sync or async, in virtual time of its own that begins when the step begins."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from ._core.errors import UsageError
from ._core.failing import text_of
from ._core.results import ERROR, UNDER_WAY, VALUE, Result
from .clock import real_sleep, virtual_sleep
from .courses import HandlerCourse
from .loop import LEFT_BEHIND

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ._core.runs import Entry, RunState
    from .clock import Clock


LOOP_IN_LOOP = ("from a running event loop", "another loop is running", "Already running asyncio in this thread")
"""What asyncio and anyio say where a second event loop is to run inside the first one."""

PLAIN = frozenset({type(None), bool, int, float, str, list, dict, tuple})
"""What a handler mostly returns, and what is surely not awaitable."""


interludes: list[Callable[[], AbstractContextManager[None]]] = []
"""Context managers that are entered while a handler is called, so that nobody takes it for the body; see purity."""


def _unwatched(handler: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with ExitStack() as stack:
        for interlude in interludes:
            stack.enter_context(interlude())
        return handler(*args, **kwargs)


class Later:
    """What an async handler returned, for whoever called it to await; an ``_core.results.Underway``.

    Attributes:
        result: what came of it, once it was awaited.
    """

    at: int | None = None
    busy_until = 0
    wake: Callable[[], None] | None = None
    result: Result

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self.awaitable = awaitable
        self.go_on: Callable[[], Result] = lambda: self.result

    def close(self) -> None:
        """It ends with the request that awaits it."""
        if asyncio.iscoroutine(self.awaitable):
            self.awaitable.close()


def call(
    handler: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    clock: Clock,
    entry: Entry,
    run: RunState,
    bound: int,
    *,
    pauses: bool,
    later: bool = False,
) -> Result:
    """Call a handler, or let one go on, up to its result in virtual time: a value or an error. Handlers do not nest.

    ``handler`` is what the author wrote; one that goes on comes as what returns its course. With ``pauses`` an async
    handler that sleeps is left there, as the result UNDER_WAY, so that others go on. With ``later`` whoever asks awaits
    what an async handler returns by himself: it is UNDER_WAY as a ``Later``.
    """
    if handler is real_sleep:
        handler = virtual_sleep
    if interludes:
        handler = partial(_unwatched, handler)
    began, clock.elapsed = clock.micros, 0
    kind, value = VALUE, None
    try:
        value = handler(*args, **kwargs)
        if type(value) not in PLAIN and (type(value) is HandlerCourse or inspect.isawaitable(value)):
            if later:
                kind, value = UNDER_WAY, Later(value)  # type: ignore[arg-type]  # no course, where nothing goes on as one
            else:
                course: Any = value
                if type(value) is not HandlerCourse:
                    course = HandlerCourse(_where(entry, run), bound, clock, pauses=pauses)
                if course.task is None:
                    course.begin(value)
                kind, value = (VALUE, course.task.result()) if course.advance() else (UNDER_WAY, course)
    except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001 - it is the outcome of the attempt
        kind, value = ERROR, in_words(raised, _where(entry, run))
    finally:
        elapsed, clock.elapsed = clock.elapsed, None
        if elapsed:
            clock.show(began)
    return Result(kind, value, elapsed)


def _where(entry: Entry, run: RunState) -> str:
    return f"step '{entry.key}' of {run.spec.id}"


def in_words(error: BaseException, where: str) -> BaseException:
    """What asyncio says of loops, in the words of whoever wrote the step, or the body."""
    text = text_of(error)
    if text == LEFT_BEHIND:
        return UsageError(f"in {where}, {text}")
    if isinstance(error, RuntimeError) and "attached to a different loop" in text:
        what = "awaits a future of another event loop"
    elif isinstance(error, RuntimeError) and any(words in text for words in LOOP_IN_LOOP):
        what = "starts an event loop of its own"
    else:
        return error
    advice = "make it async and await there, or use what the library has for sync code"
    refused = UsageError(f"{where} {what}, which has no virtual time; {advice}. {text}")
    refused.__cause__ = error
    return refused
