"""The host of native functions: enters a body with the memo so far, and answers with what it asks for.

An async body is driven by hand, ``send`` by ``send``; only where it uses asyncio does the small loop turn. A sync body
is left by an exception at the first step that the memo does not answer. Both are entered anew for every request.
"""

from __future__ import annotations

import functools
import inspect
from asyncio import events
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ._core.commands import Answer, Asked, Raised, Returned
from ._core.errors import NonDeterminismError, UsageError
from .body import Body, BodyLoop
from .escape import restore
from .handlers import in_words
from .invocation import BODY, CLOSED, Doomed, Invocation, StepInterrupt, divergence, swallowed
from .loop import GUARD, NOTHING, close_quietly
from .mistakes import is_about_a_step, wrong_call
from .step import Context
from .step_sync import ContextSync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._core.runs import Entry, RunState

watchers: list[Callable[[], AbstractContextManager[None]]] = []
"""Context managers that are entered while a body is executed, for checks that watch it; empty in ordinary runs."""


def is_async(body: Callable[..., Any]) -> bool:
    """Whether a body is a coroutine function, also behind partial objects and callable instances."""
    while isinstance(body, functools.partial):
        body = body.func
    called = getattr(type(body), "__call__", None)  # noqa: B004 - the method itself is asked
    return inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(called)


@contextmanager
def watched() -> Iterator[None]:
    """Enter what watches bodies."""
    with ExitStack() as stack:
        for watcher in watchers:
            stack.enter_context(watcher())
        yield


class NativeHost:
    """Executes one body, async or sync."""

    def __init__(self, body: Callable[..., Any]) -> None:
        self.body = body
        self.is_async = is_async(body)
        self._unused: list[BodyLoop] = []

    def invoke(self, run: RunState, target: Entry | None) -> Answer:
        """Enter the body from the top."""
        invocation = Invocation(run, target.visible if target is not None else None, run.surroundings)
        if not self.is_async:
            return self._judge(invocation, self._invoke_sync(run, invocation), target)
        return self._turn(run, invocation, self._enter(invocation), target)

    def _enter(self, invocation: Invocation) -> Body:
        # A loop that the body before had no use for serves the next one, and most have none. One that a handler
        # used after all is let go of. Simulations on other threads may enter the same body.
        try:
            loop = self._unused.pop()
        except IndexError:
            loop = BodyLoop()  # type: ignore[abstract]  # what is not there refuses by name
        if loop.handles is not NOTHING:
            loop = BodyLoop()  # type: ignore[abstract]  # as above
        loop.invocation = invocation
        invocation.loop = loop
        events._set_running_loop(loop)  # noqa: SLF001 - the body's loop runs while the body does
        try:
            coro = self.body(Context(invocation))
        except Exception as error:  # noqa: BLE001 - of a body that cannot be called, as of one that raises
            coro = _raises(error)
        return Body(coro, loop, invocation)

    def probe(self, run: RunState, limit: int) -> tuple[Answer, int]:
        """Enter the body with the first ``limit`` recorded steps as memo, for a check.

        Returns:
            How it answers, and how many steps it asks for.
        """
        invocation = Invocation(run, limit, run.surroundings)
        if not self.is_async:
            answer = self._invoke_sync(run, invocation)
        else:
            body = self._enter(invocation)
            try:
                body.run(None)
                answer = body.answer()
            finally:
                run.open = body
                self.leave(run)
        if invocation.doom is not None:
            answer = Raised(invocation.doom)
        return answer, invocation.position

    def resume(self, run: RunState, entry: Entry | None) -> Answer | None:
        """Go on in place, if the body is suspended at exactly this step."""
        body: Body = run.live
        blocked = body.blocked
        if entry is None or not entry.done or blocked is None or blocked.key != entry.key:
            self.drop(run)
            return None
        run.live = None
        invocation = body.invocation
        invocation.phase = BODY
        invocation.direct = body.loop.handles is NOTHING
        invocation.calls.clear()
        events._set_running_loop(body.loop)  # noqa: SLF001 - as above
        return self._turn(run, invocation, body, None)

    def drop(self, run: RunState) -> None:
        """Close a body that is suspended in place."""
        body: Body | None = run.live
        run.live = None
        if body is not None:
            body.close()

    # -- async --------------------------------------------------------------------------------------------------------

    def _turn(self, run: RunState, invocation: Invocation, body: Body, target: Entry | None) -> Answer:
        wanted = target.key if target is not None else None
        try:
            if watchers:
                with watched():
                    body.run(wanted)
            else:
                body.run(wanted)
            blocked = body.blocked
            direct = blocked is not None and target is None and invocation.direct
            if direct and invocation.position == len(invocation.branch) and len(invocation.calls) == 1:
                # The common case: a sequential body at its next step, after asking for all that it asked for before.
                return Asked(invocation.calls)
            return self._judge(invocation, body.answer(), target)
        finally:
            if run.checkpoint and self._stays(run, body, target):
                invocation.phase = CLOSED
                invocation.direct = False
                run.live = body
            else:
                # Its blocks are left behind the step, as in an SDK, where the step is executed inside of them.
                invocation.phase = CLOSED
                if body.loop.handles is not NOTHING:
                    events._set_running_loop(GUARD)  # noqa: SLF001 - as above
                run.open = body

    def leave(self, run: RunState) -> None:
        """Close the body of a request that is over; what it asked for has been begun."""
        body, run.open = run.open, None
        body.close()
        # It stays the running loop, as good a guard as any, until the next one runs.
        loop = body.loop
        if loop.handles is NOTHING:
            self._unused.append(loop)

    def _stays(self, run: RunState, body: Body, target: Entry | None) -> bool:
        """Whether a body can be left suspended, to go on in place."""
        return (
            not run.attempt
            and target is None
            and body.blocked is not None
            and not (body.loop.made or body.loop.gathers)
        )

    # -- sync ---------------------------------------------------------------------------------------------------------

    def _invoke_sync(self, run: RunState, invocation: Invocation) -> Answer:
        events._set_running_loop(GUARD)  # noqa: SLF001 - no loop runs in it
        try:
            with watched():
                value = self.body(ContextSync(invocation))
        except (StepInterrupt, Doomed):
            return Asked(invocation.calls)
        except Exception as error:  # noqa: BLE001 - whatever the author's body raises is its outcome
            return Raised(error)
        finally:
            invocation.phase = CLOSED
            if invocation.ignored:
                restore()
        if inspect.isawaitable(value):
            close_quietly(value)
            msg = f"the body of {run.spec.id} returned an awaitable; make it an async function, or await it inside"
            return Raised(UsageError(msg))
        if invocation.interrupted:
            return Raised(UsageError(swallowed(run, invocation.calls[-1])))
        return Returned(value)

    # -- both ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def _in_words(invocation: Invocation, raised: Raised) -> Raised:
        """What a body raises that calls a step wrongly, or uses one in place of its result."""
        error = raised.error
        told = in_words(error, f"the body of {invocation.run.spec.id}")
        if told is not error:
            return Raised(told)
        mistake = wrong_call(error) or (invocation.unawaited() if is_about_a_step(error) else None)
        if mistake is None:
            return raised
        mistake.__cause__ = error
        return Raised(mistake)

    def _judge(self, invocation: Invocation, answer: Answer, target: Entry | None) -> Answer:
        """What an answer is worth: a doomed run fails, a targeted step must be there, earlier steps must be again."""
        run = invocation.run
        if invocation.doom is not None:
            return Raised(invocation.doom)
        if isinstance(answer, Raised):
            invocation.take_back()
            return self._in_words(invocation, answer)
        if target is not None:
            if isinstance(answer, Asked):
                found = [command for command in answer.commands if command.key == target.key]
                if found:
                    return Asked(found)
            return Raised(divergence(run, target.key, None, None))
        try:
            invocation.check_end(returned=isinstance(answer, Returned))
        except (NonDeterminismError, UsageError) as error:
            return Raised(error)
        return answer


async def _raises(error: Exception) -> None:
    """A body that is over at once."""
    raise error
