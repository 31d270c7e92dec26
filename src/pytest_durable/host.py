"""The host of native functions: enters a body with the memo so far, and answers with what it asks for.

An async body is driven by hand, ``send`` by ``send``; only where it uses asyncio does the small loop turn. A sync body
is left by an exception at the first step that the memo does not answer. Both are entered anew for every request.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from asyncio import events, tasks
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ._core.commands import TIMER_OP, Answer, Asked, Command, Raised, Returned
from ._core.errors import NonDeterminismError, UsageError
from .escape import restore
from .gathering import Member
from .invocation import (
    BODY,
    CLOSED,
    CLOSING,
    Doomed,
    Invocation,
    StepInterrupt,
    divergence,
    swallowed,
)
from .loop import GUARD, LEFT_BEHIND, NOTHING, VirtualLoop, close_quietly
from .places import HOME, LIBRARY
from .step import Context
from .step_sync import ContextSync

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from ._core.runs import Entry, RunState

watchers: list[Callable[[], AbstractContextManager[None]]] = []
"""Context managers that are entered while a body is executed, for checks that watch it; empty in ordinary runs."""

GATHERED = frozenset({"gather.<locals>._done_callback", "TaskGroup._on_task_done"})
"""Who is told of the end of a branch that is one step, and cannot tell in which order its siblings ended."""


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
        return Body(self.body(Context(invocation)), loop, invocation)

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

    def _judge(self, invocation: Invocation, answer: Answer, target: Entry | None) -> Answer:
        """What an answer is worth: a doomed run fails, a targeted step must be there, earlier steps must be again."""
        run = invocation.run
        if invocation.doom is not None:
            return Raised(invocation.doom)
        if target is not None:
            if isinstance(answer, Asked):
                found = [command for command in answer.commands if command.key == target.key]
                if found:
                    return Asked(found)
            if isinstance(answer, Raised):
                return answer
            return Raised(divergence(run, target.key, None, None))
        if isinstance(answer, Raised):
            return answer
        try:
            invocation.check_end(returned=isinstance(answer, Returned))
        except (NonDeterminismError, UsageError) as error:
            return Raised(error)
        return answer


class BodyLoop(VirtualLoop):
    """The loop of a body. Its time is the instant that the body has reached, so a replay sees the same times.

    Attributes:
        invocation: the invocation whose body is under way, or None.
    """

    invocation: Invocation | None = None

    def __init__(self) -> None:
        super().__init__("a step", 0)

    @property
    def where(self) -> str:
        """The body of the function; or a step, whose handler finds the loop of the body that asked for it."""
        invocation = self.invocation
        return self.of if invocation is None or invocation.phase is CLOSED else f"the body of {invocation.run.spec.id}"

    def micros(self) -> int:
        """Microseconds from the start of the run to the instant that the body has reached."""
        invocation = self.invocation
        if invocation is None:
            return 0
        return invocation.logical_now() - (invocation.run.started_at or invocation.now)

    def _open(self) -> None:
        invocation = self.invocation
        if invocation is None or invocation.phase is CLOSED:
            raise UsageError(LEFT_BEHIND)
        self.bound = invocation.around.limits.callbacks_per_invocation
        invocation.direct = False
        super()._open()


class Body:
    """A body under way: a coroutine that is sent into by hand, and as much of a task as asyncio asks for.

    Attributes:
        blocked: the step at which the body is suspended, if no task of its own is involved.
    """

    __slots__ = (
        "__weakref__",
        "_cancels",
        "_must_cancel",
        "blocked",
        "coro",
        "invocation",
        "loop",
        "next_resolved",
        "result",
        "timers_fired",
        "waiter",
    )

    def __init__(self, coro: Coroutine[Any, Any, Any], loop: BodyLoop, invocation: Invocation) -> None:
        self.coro = coro
        self.loop = loop
        self.invocation = invocation
        self.blocked: Command | None = None
        self.waiter: Any = None
        self.result: Answer | None = None
        self.next_resolved = self.timers_fired = self._cancels = 0
        self._must_cancel = False

    # -- driving ------------------------------------------------------------------------------------------------------

    def run(self, target: str | None) -> None:
        """Go on until the body ends, or nothing that it waits for is known; with a target, until that is asked for."""
        self.blocked = None
        self._step(None)
        while self.result is None and self.blocked is None:
            waiting = self.invocation.waiting
            self.loop.run_ready(target, waiting)
            if self.result is not None or self.blocked is not None:
                break
            if target is not None and target in waiting:
                break
            if not self._resolve_next():
                break

    def _resolve_next(self) -> bool:
        """Tell the body of the next recorded step that it waits for, in the order of completion."""
        invocation = self.invocation
        stack, waiting, first = invocation.run.stack, invocation.waiting, self.next_resolved
        if first >= len(stack):
            return False
        end = len(stack) if invocation.limit is None else invocation.limit
        timer_due = self.loop.next_timer() is not None
        for position in range(first, end):
            entry = stack[position]
            if entry.op == TIMER_OP:
                if timer_due and entry.index == self.timers_fired:
                    self.timers_fired += 1
                    invocation.last = entry
                    self.loop.fire_timer()
                    return True
                continue
            if entry.key in waiting:
                future = waiting.pop(entry.key)
                if position == first:
                    self.next_resolved += 1
                if not future.done():
                    invocation.last = entry
                    future.set_result(None)
                    return True
        return False

    def _step(self, error: BaseException | None) -> None:
        self.waiter = None
        if self._must_cancel:
            self._must_cancel = False
            error = asyncio.CancelledError()
        loop = self.loop
        tasks._enter_task(loop, self)  # type: ignore[arg-type]  # noqa: SLF001 - asyncio.timeout asks for the current task
        try:
            wanted = self.coro.send(None) if error is None else self.coro.throw(error)
        except StopIteration as stop:
            self.result = Returned(stop.value)
            return
        except (Exception, asyncio.CancelledError, Doomed) as raised:  # noqa: BLE001 - the body's outcome, whatever it is
            self.result = Raised(raised)
            return
        finally:
            tasks._leave_task(loop, self)  # type: ignore[arg-type]  # noqa: SLF001 - as above
        if isinstance(wanted, Command):
            self.blocked = wanted
        elif wanted is None:
            loop.call_soon(self._step, None)
        elif getattr(wanted, "_asyncio_future_blocking", False) and wanted.get_loop() is loop:
            wanted._asyncio_future_blocking = False  # noqa: SLF001 - the protocol between futures and tasks
            self.waiter = wanted
            wanted.add_done_callback(self._wake)
            if self._must_cancel and wanted.cancel():
                self._must_cancel = False
        else:
            self._refuse(wanted)

    def _wake(self, future: Any) -> None:
        if self.result is None:
            error = None
            if future.cancelled():
                error = asyncio.CancelledError()
            self._step(error)

    def _refuse(self, wanted: object) -> None:
        what = f"a future of another event loop ({wanted!r})" if asyncio.isfuture(wanted) else repr(wanted)
        msg = (
            f"{self.loop.where} awaits {what}, at {self.place()}; a body awaits only its steps, and what asyncio makes "
            "of them. Put other work into a step"
        )
        self.result = Raised(UsageError(msg))

    def _refuse_foreign(self, error: BaseException) -> None:
        """A branch awaited a future of another loop; asyncio has noticed, in words of its own."""
        msg = f"{self.loop.where} awaits a future of another event loop; a body awaits only its steps. {error}"
        self.result = Raised(UsageError(msg))

    def place(self) -> str:
        """Where the body stands: file and line of its innermost frame that is neither asyncio's nor ours."""
        coro: Any = self.coro
        frame = None
        while coro is not None:
            inner = getattr(coro, "cr_frame", None)
            if inner is not None and not inner.f_code.co_filename.startswith((HOME, *LIBRARY)):
                frame = inner
            coro = getattr(coro, "cr_await", None)
        return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "its end"

    # -- the outcome --------------------------------------------------------------------------------------------------

    def answer(self) -> Answer:
        """What the body asks for, or how it ended."""
        if self.result is not None:
            if isinstance(self.result, Raised) and "attached to a different loop" in str(self.result.error):
                self._refuse_foreign(self.result.error)
            return self.result
        calls = self.invocation.calls
        commands = [command for command in calls if command.future is None or not command.future.done()]
        if len(commands) > 1:
            self._mark_positional()
        timer = self.loop.next_timer()
        due = None if timer is None else timer + (self.invocation.run.started_at or self.invocation.now)
        if not commands and due is None:
            msg = (
                f"{self.loop.where} waits for something that no step and no timer will bring, at {self.place()}; "
                "let it wait for steps"
            )
            return Raised(UsageError(msg))
        return Asked(commands, due)

    def _mark_positional(self) -> None:
        for task in self.loop.made:
            command = getattr(task.get_coro(), "command", None)
            if isinstance(command, Command) and not command.race:
                callbacks = getattr(task, "_callbacks", None) or ()
                names = [getattr(callback, "__qualname__", "") for callback, _ in callbacks]
                command.positional = bool(names) and all(name in GATHERED for name in names)
        for command in self.invocation.calls:
            if type(command.future) is Member:
                command.positional = not command.race

    def close(self) -> None:
        """End the invocation: what is suspended is closed and not heard any more."""
        invocation = self.invocation
        invocation.phase = CLOSING
        loop = self.loop
        if invocation.direct:
            invocation.direct = False
        else:
            self.waiter = None
            if loop.made:
                loop.abandon()
            elif loop.handles:
                loop.handles.clear()
            if invocation.waiting:
                invocation.waiting.clear()
                for command in invocation.calls:
                    command.future = None
        if invocation.ignored:
            restore()
        if self.result is None:
            close_quietly(self.coro)
            if invocation.ignored:
                restore()
        invocation.phase = CLOSED
        # The two know each other; apart, neither has to wait for the garbage collector.
        invocation.loop = loop.invocation = None

    # -- what asyncio asks of the current task ------------------------------------------------------------------------

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - the signature of tasks
        """Cancel the body at its next await, as ``asyncio.timeout`` does."""
        self._cancels += 1
        if self.waiter is not None and self.waiter.cancel():
            return True
        self._must_cancel = True
        return True

    def uncancel(self) -> int:
        """Take one cancellation back."""
        self._cancels = max(0, self._cancels - 1)
        if not self._cancels:
            self._must_cancel = False
        return self._cancels

    def cancelling(self) -> int:
        """How many cancellations are in force."""
        return self._cancels

    def done(self) -> bool:
        """Whether the body has ended."""
        return self.result is not None

    def get_loop(self) -> BodyLoop:
        """The loop of the body."""
        return self.loop

    def get_name(self) -> str:
        """A name for messages of asyncio."""
        return self.loop.where
