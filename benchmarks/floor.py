"""The floor: the simplest driver that memoises. A dict and coroutine sends; no engine, no clock, no history.

The bodies are the ones that the engine runs, the very same function objects: they take a context and await
``ctx.step.run`` and ``ctx.step.sleep``. The driver enters the body from the top, stops at the first step that the dict
does not know, calls its handler, puts the result into the dict and enters again. Nothing here is slowed down on
purpose, and nothing is left out that a memoising driver cannot do without: reused ids count up, a failed handler fails
the run.

What an engine does beyond this (JSON, retries, a clock, order, history, limits, checks of every replay) is what the
ratio of ``run.py`` is the price of.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

Body = Callable[[Any], Coroutine[Any, Any, Any]]


class Pending:
    """A step that the memo does not know: its key, and what to call for its result."""

    __slots__ = ("args", "handler", "key")

    def __init__(self, key: str, handler: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.key = key
        self.handler = handler
        self.args = args


@types.coroutine
def suspend(pending: Pending) -> Generator[Pending, Any, Any]:
    """Leave the body with a step that is to be done."""
    return (yield pending)


class FloorStep:
    """``ctx.step``: answers from the memo, or suspends the body."""

    def __init__(self, memo: dict[str, Any]) -> None:
        self.memo = memo
        self.uses: dict[str, int] = {}

    async def run(self, step_id: str, handler: Callable[..., Any], *args: Any) -> Any:
        """The result of ``handler(*args)``, which is called once."""
        uses = self.uses
        index = uses.get(step_id, 0)
        uses[step_id] = index + 1
        key = f"{step_id}:{index}" if index else step_id
        if key in self.memo:
            return self.memo[key]
        return await suspend(Pending(key, handler, args))

    async def sleep(self, step_id: str, duration: Any) -> None:  # noqa: ARG002 - no clock, so no length either
        """A step without a handler; without a clock it is over at once."""
        await self.run(step_id, nothing)


class FloorContext:
    """What the body receives."""

    def __init__(self, memo: dict[str, Any]) -> None:
        self.step = FloorStep(memo)


def nothing() -> None:
    """What a sleep does."""


def run_with(body: Body, memo: dict[str, Any]) -> Any:
    """Run a body to its end, entering it from the top after every step; the memo fills on the way.

    Returns:
        What the body returned. Whatever the body or a handler raises passes through.
    """
    while True:
        coro = body(FloorContext(memo))
        try:
            pending = coro.send(None)
        except StopIteration as stop:
            return stop.value
        coro.close()
        memo[pending.key] = pending.handler(*pending.args)


def drive(body: Body) -> Any:
    """The result of a body, run with an empty memo."""
    return run_with(body, {})
