"""Executes the handler of a step, sync or async, in virtual time of its own that begins when the step begins."""

from __future__ import annotations

import asyncio
import inspect
from asyncio import events
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from ._core.errors import UsageError
from ._core.results import ERROR, VALUE, Result
from .clock import real_sleep, virtual_sleep
from .loop import LEFT_BEHIND, NumberedFuture, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ._core.runs import Entry, RunState
    from .clock import Clock


PLAIN = frozenset({type(None), bool, int, float, str, list, dict, tuple})
"""What a handler mostly returns, and what is surely not awaitable."""


pauses: list[Callable[[], AbstractContextManager[None]]] = []
"""Context managers that are entered while a handler is called, so that nobody takes it for the body; see purity."""


def _unwatched(handler: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with ExitStack() as stack:
        for pause in pauses:
            stack.enter_context(pause())
        return handler(*args, **kwargs)


class StepLoop(VirtualLoop):
    """The event loop of an async handler: its timers move the time of the step."""

    def __init__(self, where: str, bound: int, clock: Clock) -> None:
        super().__init__(where, bound)
        self.clock = clock

    def micros(self) -> int:
        """Microseconds since the step began."""
        return self.clock.elapsed or 0

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> NumberedFuture:  # type: ignore[override]  # noqa: ARG002
        """Run the function here and now: no thread, and the same order every time."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the outcome of the future
            future.set_exception(error)
        return future


def call(
    handler: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    clock: Clock,
    entry: Entry,
    run: RunState,
    bound: int,
) -> Result:
    """Call a handler and wait for its result in virtual time: a value or an error. Handlers do not nest."""
    if handler is real_sleep:
        handler = virtual_sleep
    if pauses:
        handler = partial(_unwatched, handler)
    began, clock.elapsed = clock.micros, 0
    kind, value = VALUE, None
    try:
        value = handler(*args, **kwargs)
        if type(value) not in PLAIN and inspect.isawaitable(value):
            # Abstract for type checkers only; what is not there refuses by name.
            value = _await(value, StepLoop(_where(entry, run), bound, clock))  # type: ignore[abstract]
    except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001 - it is the outcome of the attempt
        kind, value = ERROR, in_words(raised, entry, run)
    finally:
        elapsed, clock.elapsed = clock.elapsed, None
        if elapsed:
            clock.show(began)
    return Result(kind, value, elapsed)


def _where(entry: Entry, run: RunState) -> str:
    return f"step '{entry.key}' of {run.spec.id}"


def _await(awaitable: Any, loop: StepLoop) -> Any:
    outer = events._get_running_loop()  # noqa: SLF001 - the step's loop runs in place of any other
    events._set_running_loop(loop)  # noqa: SLF001 - as above
    try:
        coro = awaitable if asyncio.iscoroutine(awaitable) else _wrapped(awaitable)
        task = loop.create_task(coro)
        loop.run_ready()
        while not task.done():
            due = loop.next_timer()
            if due is None:
                msg = (
                    f"{loop.where} waits for something that no timer will bring; "
                    "a step can await its own tasks, asyncio.sleep and fakes, and nothing from outside"
                )
                raise UsageError(msg)
            loop.clock.sleep(max(0, due - loop.micros()))
            loop.fire_timer()
            loop.run_ready()
        return task.result()
    finally:
        loop.abandon()
        events._set_running_loop(outer)  # noqa: SLF001 - as above


def in_words(error: BaseException, entry: Entry, run: RunState) -> BaseException:
    """What asyncio says of loops, in the words of whoever wrote the step."""
    text = str(error)
    if text == LEFT_BEHIND:
        return UsageError(f"in {_where(entry, run)}, {text}")
    if isinstance(error, RuntimeError) and "attached to a different loop" in text:
        what = "awaits a future of another event loop"
    elif isinstance(error, RuntimeError) and ("from a running event loop" in text or "another loop is running" in text):
        what = "starts an event loop of its own"
    else:
        return error
    where = _where(entry, run)
    refused = UsageError(f"{where} {what}, which has no virtual time; make its handler async and await there. {text}")
    refused.__cause__ = error
    return refused


async def _wrapped(awaitable: Any) -> Any:
    return await awaitable
